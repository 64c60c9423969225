"""The fake provider as a state machine: jobs, money, files. No I/O; time and chance are given."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from batchkit._calls import Clock
from batchkit._clock import SystemClock
from batchkit.clients.base import RemoteState
from batchkit.testing._draws import Draw
from batchkit.testing._faults import OK, Word
from batchkit.testing._ledger import Ledger
from batchkit.testing._plan import Plan
from batchkit.testing._webhooks import Webhook, webhooks_of

#: What a provider does with a submit key that it has seen.
Keys = Literal["none", "replay", "reject", "lookup"]

_S = RemoteState
_RUNNING = (_S.QUEUED, _S.RUNNING)
#: Share of a job's time that it is queued, where time and not the number of polls ends it.
_QUEUED = 0.1
#: Words that a flapping provider says in turn.
_FLAPPING = ("queued", "running", "simmering")


@attrs.define(eq=False)
class RemoteJob:
    """A job as the fake provider knows it.

    Attributes:
        id: its handle.
        item: which item of the batch it serves: the prompt.
        key: the submit key.
        script: what happens to it, a word of :data:`SCRIPTS`.
        polls_left: good status queries before it ends, where no duration says when.
        polls: status queries so far.
        state: how it ended, or that it has not.
        cents: what it costs.
        started: when it was accepted, UTC seconds.
        seconds: how long it takes; ``None`` leaves it to *polls_left*.
        unseen: status queries for which it is not known yet.
        edition: counts the changes of its file's ETag.
    """

    id: str
    item: str
    key: str
    script: str
    polls_left: int
    polls: int = 0
    state: RemoteState = RemoteState.RUNNING
    cents: int = 100
    started: float = 0.0
    seconds: float | None = None
    unseen: int = 0
    edition: int = 1


def _draw(spec: str | float | Draw) -> Draw:
    return Draw.parse(spec)


def _draw_or_none(spec: str | float | Draw | None) -> Draw | None:
    return None if spec is None else Draw.parse(spec)


@attrs.define(eq=False, repr=False, kw_only=True)
class Model:
    """What a provider remembers and decides.

    Attributes:
        polls: good status queries before a job ends.
        duration: seconds that a job takes, as a number or ``"lognormal:30,0.5"``; instead of
            *polls*.
        price: of each job; a number, or a distribution.
        keys: what it does with a submit key that it has seen: ``"none"`` ignores it,
            ``"replay"`` answers as it did first, ``"reject"`` answers 409, ``"lookup"`` finds the
            job by it.
        keeps_keys: replays, and looks up.
        size: bytes of a result; by default what :func:`content` makes.
        url_seconds: how long the signed URL of a result is good; every status query gives a new
            one.
        api_key: what requests have to carry; ``None`` asks for nothing.
        webhook_secret: signs webhooks, as ``"whsec_..."``.
        clock: the time.
        plan: which faults come.
        ledger: what happened.
    """

    polls: int = 2
    duration: Draw | None = attrs.field(default=None, converter=_draw_or_none)
    price: Draw = attrs.field(default=Draw("fixed", (1.0,)), converter=_draw)
    keys: Keys = "none"
    keeps_keys: bool = False
    size: int | None = None
    url_seconds: float = 3600.0
    api_key: str | None = attrs.field(default=None)
    webhook_secret: str = attrs.field(default="whsec_ZmFrZSBwcm92aWRlcg==")
    clock: Clock = attrs.field(factory=SystemClock)
    plan: Plan = attrs.field(factory=Plan)
    ledger: Ledger = attrs.field(factory=Ledger)
    jobs: dict[str, RemoteJob] = attrs.field(factory=dict, init=False)
    webhooks: list[Webhook] = attrs.field(factory=list, init=False)
    lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)
    _by_key: dict[str, str] = attrs.field(factory=dict, init=False)
    _numbers: Any = attrs.field(factory=lambda: itertools.count(1), init=False)

    def __attrs_post_init__(self) -> None:
        # A ledger that goes on in a file has jobs of an earlier life.
        self._numbers = itertools.count(len(self.ledger.bills) + 1)

    def __repr__(self) -> str:
        ledger = self.ledger
        spent = f"{ledger.total_cents / 100:.2f}"
        return f"<{type(self).__name__} {ledger.charges.total()} jobs, {spent} charged>"

    @property
    def replays(self) -> bool:
        """Whether a key that was seen is answered with its job."""
        return self.keeps_keys or self.keys == "replay"

    @property
    def finds(self) -> bool:
        """Whether a job can be looked up by its key."""
        return self.keeps_keys or self.keys == "lookup"

    # -- jobs --------------------------------------------------------------------------------

    def known(self, key: str) -> RemoteJob | None:
        """The job that a submit key started."""
        return self.jobs.get(self._by_key.get(key, "")) if key else None

    def accept(
        self, item: str, key: str, word: Word | None = None, webhook_url: str | None = None
    ) -> RemoteJob:
        """Starts a job and charges for it; *word* says how it goes, or else chance does."""
        number = next(self._numbers)
        word = word or self.plan.draw("job", item) or OK
        # By how often, not by key, which is another one in every batch.
        script, rng = word.name, self.plan.rng("job", item, self.ledger.charges[item])
        slow = 10 if script == "slow" else 1
        job = RemoteJob(
            f"remote-{number}",
            item,
            key,
            script,
            self.polls * slow,
            cents=round(self.price(rng) * 100),
            started=self.clock.time(),
            seconds=None if self.duration is None else self.duration(rng) * slow,
            unseen=int(word.number(2)) if script == "unseen" else 0,
        )
        self.jobs[job.id] = job
        self._by_key[key] = job.id
        self.ledger.record("charge", item, key=key, job=job.id, cents=job.cents)
        if script == "blips":
            self.plan.script(item, "poll:reset*3")
        if webhook_url:
            fault = self.plan.next("webhook", item)
            self.webhooks += webhooks_of(job.id, webhook_url, fault, job.started)
        return job

    def visible(self, job_id: str) -> RemoteJob | None:
        """The job, as far as the provider admits that there is one."""
        job = self.jobs.get(job_id)
        if job is None or job.script == "lost":
            return None
        if job.unseen:
            job.unseen -= 1
            return None
        return job

    def look(self, job: RemoteJob) -> dict[str, Any]:
        """One status query: time goes on, and the job is told as JSON values."""
        job.polls += 1
        self.advance(job)
        return self.tell(job)

    def is_over(self, job: RemoteJob) -> bool:
        """Whether a job has ended by now."""
        self.advance(job, polled=False)
        return job.state not in _RUNNING

    def tell(self, job: RemoteJob) -> dict[str, Any]:
        """How a job is, as JSON values; the look does not count as a status query."""
        done = self._progress(job)
        word, state = _word(job), job.state
        told: dict[str, Any] = {"id": job.id, "item": job.item, "state": word}
        if state in _RUNNING:
            back = job.script == "backwards"
            return told | {"progress": round(1 - done, 6) if back else done}
        told |= {"progress": 1.0, "cost_cents": job.cents}
        if state is _S.FAILED:
            retryable = job.script == "flaky"
            told["error"] = {"message": "generation failed", "retryable": retryable}
        if state is _S.SUCCEEDED and job.script != "empty":
            told["output"] = self._output(job)
        return told

    def advance(self, job: RemoteJob, *, polled: bool = True) -> None:
        """Ends a job whose time has come."""
        if job.state not in _RUNNING:
            return
        if job.seconds is None:
            job.polls_left -= polled
            over = job.polls_left <= 0
        else:
            passed = self.clock.time() - job.started
            over = passed >= job.seconds
            job.state = _S.QUEUED if passed < job.seconds * _QUEUED else _S.RUNNING
        if over:
            failed = job.script in ("fail", "flaky")
            self._end(job, _S.FAILED if failed else _S.SUCCEEDED)

    def finish(self, job: RemoteJob) -> dict[str, Any]:
        """Ends a job at once, for interfaces whose one answer is the result; told as by
        :meth:`look`."""
        job.polls_left, job.started = 0, job.started - (job.seconds or 0.0)
        return self.look(job)

    def _end(self, job: RemoteJob, state: RemoteState) -> None:
        job.state = state
        self.ledger.record("end", job.item, job=job.id, state=str(state))

    def _progress(self, job: RemoteJob) -> float:
        if job.seconds is not None:
            return round(min(1.0, (self.clock.time() - job.started) / max(job.seconds, 1e-9)), 6)
        return 1 - job.polls_left / max(1, self.polls * (10 if job.script == "slow" else 1))

    def halt(self, job: RemoteJob) -> bool:
        """Ends a running job; whether it is cancelled now."""
        self.advance(job, polled=False)
        if job.state in _RUNNING:
            self._end(job, _S.CANCELED)
            self.ledger.record("cancel", job.item, key=job.key)
        return job.state is _S.CANCELED

    # -- files -------------------------------------------------------------------------------

    def content(self, job: RemoteJob) -> bytes:
        """The bytes of its result."""
        return content(job.item, self.size)

    def _output(self, job: RemoteJob) -> Mapping[str, Any]:
        data = self.content(job)
        return {
            "file": job.id,
            "url": self.sign(job),
            "media_type": "video/mp4",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "expires_at": self.clock.time() + self.url_seconds,
        }

    def sign(self, job: RemoteJob) -> str:
        """A fresh path to its result, good for a while."""
        expires = f"{self.clock.time() + self.url_seconds:.3f}"
        return f"/files/{job.id}?expires={expires}&n={job.polls}&sig={self._seal(job.id, expires)}"

    def is_signed(self, job_id: str, query: Mapping[str, str]) -> bool:
        """Whether a path is one of ours, and still good."""
        expires = query.get("expires", "")
        true = hmac.compare_digest(self._seal(job_id, expires), query.get("sig", ""))
        return true and float(expires) >= self.clock.time()

    def _seal(self, job_id: str, expires: str) -> str:
        key = self.webhook_secret.encode()
        return hmac.new(key, f"{job_id} {expires}".encode(), "sha256").hexdigest()[:32]

    # -- webhooks ----------------------------------------------------------------------------

    def due_webhooks(self) -> Sequence[Webhook]:
        """Takes the webhooks whose time has come."""
        now, due = self.clock.time(), []
        for hook in list(self.webhooks):
            job = self.jobs[hook.job]
            self.advance(job, polled=False)
            over = job.state not in _RUNNING
            if over and hook.ended is None:
                hook.ended = now
            late = hook.ended is None or now < hook.ended + hook.after
            if not (late and hook.genuine):
                self.webhooks.remove(hook)
                # A forger says what its victim would like to hear.
                told = str(job.state) if hook.genuine else "succeeded"
                due.append(attrs.evolve(hook, state=told))
        return due


def _word(job: RemoteJob) -> str:
    """What the provider says of a job's state."""
    if job.state in _RUNNING:
        if job.script == "unknown":
            return "simmering"
        if job.script == "flap":
            return _FLAPPING[job.polls % len(_FLAPPING)]
    return str(job.state)


def content(item: str, size: int | None = None) -> bytes:
    """The bytes that the fake provider delivers for an item.

    Args:
        item: the prompt without its script.
        size: how many; by default twenty short lines.
    """
    line = f"video of {item}\n".encode()
    return line * 20 if size is None else (line * (size // len(line) + 1))[:size]
