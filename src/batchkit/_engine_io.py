"""What a flow can do to the world: the :class:`~batchkit._io.IO` of every executor."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final

import attrs

from batchkit._calls import Call, Calls, Clock
from batchkit._codec import plain_error, plain_handle
from batchkit._config import BatchConfig, Control
from batchkit._context import WorkCanceledError
from batchkit._dispatch import Dispatcher
from batchkit._doubles import Doubles
from batchkit._errors import NotAcceptedError, StorageError
from batchkit._events import Event, JobProgress, JobSubmitted, JobUncertain
from batchkit._hints import Hints
from batchkit._io import CallTimeoutError, FencedError, Lane, Park
from batchkit._jobs import Attempt, ErrorKind, Handle, Job, JobError, submit_key
from batchkit._redaction import scrub
from batchkit._results import EMPTY, JobResult
from batchkit._scheduler import Scheduler, Task
from batchkit._verdicts import describe
from batchkit.artifacts.base import ArtifactStore
from batchkit.clients.base import BoundClient, Method
from batchkit.storage.base import Change, Entry, Storage

log = logging.getLogger("batchkit.engine")

#: A run that is otherwise over waits this long for submissions that missed their time-out.
LATE_ANSWER_SECONDS = 30.0
#: A store that keeps to the time-out of its own accord is given so much longer to end.
GRACE_SECONDS = 60.0

#: What a person can do about a batch that is paused because nothing gets through.
_WAY_OUT = {
    ErrorKind.RATE_LIMIT: "wait for the quota, or set rate_limit; then run it again",
    ErrorKind.NETWORK: "check the connection and the address; then run it again",
}

_COMMIT: Final = Park()
_UNGUARDED: Final = nullcontext()


@attrs.define(eq=False, kw_only=True)
class FlowIO:
    """What flows await, and the state that it needs.

    Args:
        client: who does the work.
        config: how.
        storage: where the records are.
        dispatcher: who goes next.
        clock: the time.
        draw: draws from 0 to 1.
        tell: takes every event that somebody listens to.
        listens: whether anybody listens to an event class.
        settled: whether every event has been heard; if not, calls what it is given when so.
        artifacts: where results are delivered; ``None`` delivers nothing.
        hook: called at every point at which dying is interesting; tests raise there.

    Attributes:
        calls: where calls run; set by the executor.
        calls_in_flight: calls that a flow waits for.
        live: records that are not worth a save, by job.
        group: saves that wait for the next commit.
        waiting: their flows, in the same order.
        overdue: submissions that missed their time-out, and may still answer.
        overdue_until: when the last of them is given up, in monotonic seconds.
        hints: what webhooks say.
        doubles: repeats of submissions that may have been accepted.
        begun: when this run began, in UTC seconds.
    """

    client: BoundClient
    config: BatchConfig
    storage: Storage
    dispatcher: Dispatcher
    clock: Clock
    draw: Callable[[], float]
    tell: Callable[[Event], None]
    listens: Callable[[type[Event]], bool]
    settled: Callable[[Callable[[], None]], bool]
    artifacts: ArtifactStore | None = None
    hook: Callable[[str], object] | None = None
    calls: Calls | None = None
    calls_in_flight: int = 0
    live: dict[int, Job] = attrs.field(factory=dict)
    group: list[Change] = attrs.field(factory=list)
    waiting: list[Task] = attrs.field(factory=list)
    overdue: set[Call] = attrs.field(factory=set)
    overdue_until: float = 0.0
    hints: Hints = attrs.field(factory=Hints)
    doubles: Doubles = attrs.field(init=False)
    begun: float = attrs.field(init=False)
    scheduler: Scheduler = attrs.field(init=False)
    guard: Uncancellable = attrs.field(init=False)

    def at(self, point: str) -> None:
        """Passes a point at which dying is interesting."""
        if self.hook is not None:
            self.hook(point)

    def now(self) -> float:
        return self.clock.time()

    def uniform(self) -> float:
        return self.draw()

    def submit_key(self, job: Job, attempt: int) -> str:
        return submit_key(self.dispatcher.batch.uid, job.index, attempt)

    async def save(
        self,
        job: Job,
        *told: type[Event],
        power_safe: bool = False,
        result: bool = False,
        facts: Mapping[str, Any] = EMPTY,
    ) -> Job:
        task = self.scheduler.current
        assert task is not None
        now = self.clock.time()
        plain = job.error is None and job.handle is None
        entries = [
            Entry(cls.kind, now, job.id, job.attempt, None if plain else _facts(cls, job))
            for cls in told
        ]
        if facts:
            entries[0] = entries[0]._replace(data={**(entries[0].data or EMPTY), **facts})
        self.group.append(Change(job, task.job, entries, power_safe, result, told))
        self.waiting.append(task)
        task.job = job
        await _COMMIT
        if task.fenced:
            raise FencedError(job.id)
        return job

    async def call(
        self,
        method: Method,
        *args: Any,
        lane: Lane = "call",
        timeout: float | None = None,
        due: float = math.inf,
    ) -> Any:
        task = self.scheduler.current
        assert task is not None
        assert self.calls is not None
        name = getattr(method.fn, "__name__", "call")
        self.at(f"{name}:before")
        call = Call(method, args, lane, task.context.copy(), self.scheduler.post, due=due)
        if not self.calls.start(call):
            await self._outcome(call, timeout)
        self.at(f"{name}:after")
        if not call.done:
            if call.withdraw is not None and call.withdraw():
                raise NotAcceptedError("it never left: all threads were busy")
            self._overdue(call)
            raise CallTimeoutError(f"{name} took longer than {timeout:g} s")
        try:
            return call.outcome()
        except WorkCanceledError:
            if self.dispatcher.control is Control.ABORTING:
                raise FencedError(task.key) from None
            raise

    async def _outcome(self, call: Call, timeout: float | None) -> None:
        self.calls_in_flight += 1
        try:
            queued = True
            while queued and not call.done:
                # The time that it waited for a thread is not its own.
                queued = call.queued
                await Park(None if timeout is None else self.clock.monotonic() + timeout, call)
        finally:
            self.calls_in_flight -= 1

    def _overdue(self, call: Call) -> None:
        if call.method is self.client.submit:
            self.overdue.add(call)
            self.overdue_until = self.clock.monotonic() + LATE_ANSWER_SECONDS
        elif call.cancel is not None:
            call.cancel(call)

    async def sleep(self, job: Job, seconds: float) -> None:
        await Park(self.clock.monotonic() + seconds, job.id)

    async def until_poll(self, job: Job, seconds: float, least: float) -> None:
        if seconds > 0:
            await Park(self.hints.until(job.id, self.clock.monotonic(), seconds, least), job.id)
        self.hints.polled(job.id)

    def uncancellable(self) -> AbstractContextManager[None]:
        # Free work is left at any moment: its next run repeats it.
        return _UNGUARDED if self.client.free else self.guard

    def cancel_requested(self, job: Job) -> bool:
        return job.id in self.dispatcher.cancels

    async def evidence(self, job: Job) -> Handle | None:
        return self.storage.evidence(job.id, job.attempt)

    def watch(self, job: Job) -> None:
        self.live[job.id] = job
        if self.listens(JobProgress):
            now, batch = self.clock.time(), job.batch_id
            self.tell(JobProgress(at=now, batch_id=batch, job=job, attempt=job.attempt))

    @property
    def delivers(self) -> bool:
        return self.artifacts is not None

    async def existing(self, job: Job) -> JobResult | None:
        assert self.artifacts is not None
        look, timeout = Method(self.artifacts.existing), self.config.collect_timeout
        try:
            found: JobResult | None = await self.call(look, job, lane="look", timeout=timeout)
        except StorageError:
            raise
        except (CallTimeoutError, NotAcceptedError) as exc:
            # A place that does not answer will not take the result either.
            raise StorageError(
                f"the place for results has not answered within {timeout:g} s: see whether its disk"
                " is there, then run again"
            ) from exc
        except Exception as exc:  # noqa: BLE001 - a store may raise anything; it spares work, no more
            log.warning("job %d: what lies on disk is not used: %s", job.id, describe(exc).message)
            return None
        return found

    def sent_at(self, job: Job) -> float:
        last = self._last_attempt(job)
        return last.started if last else self.clock.time()

    def given_up_at(self, job: Job) -> float:
        last, sent = self._last_attempt(job), self.sent_at(job)
        if last and last.outcome == JobUncertain.kind and last.ended is not None:
            return last.ended
        # Its process has died; the connection went with it, and not later than this run began.
        return max(sent, min(sent + self.config.request_timeout, self.begun))

    def _last_attempt(self, job: Job) -> Attempt | None:
        last = [one for one in self.storage.attempts(job.id) if one.number == job.attempt]
        return last[0] if last else None

    def unanswered(self, job: Job) -> bool:
        return any(call.args[0].id == job.id for call in self.overdue)

    @property
    def leaving(self) -> bool:
        return self.dispatcher.control is Control.ABORTING

    def must_collect(self, job: Job) -> bool:
        result = job.result
        return self.delivers and result is not None and result.collected < len(result.outputs)

    async def collect(self, job: Job) -> Job:
        assert self.artifacts is not None
        assert job.result is not None
        result, timeout = job.result, self.config.collect_timeout
        output = result.outputs[result.collected]
        due, data = result.expires or math.inf, None
        if self.client.fetch is not None and (output.ref or output.url):
            fetch = self.client.fetch
            data = await self.call(fetch, job, output, lane="collect", timeout=timeout, due=due)
        write, longer = Method(self.artifacts.write), timeout + GRACE_SECONDS
        made = await self.call(write, job, output, data, lane="collect", timeout=longer, due=due)
        artifacts, done = (*result.artifacts, *made), result.collected + 1
        return job.evolve(result=attrs.evolve(result, artifacts=artifacts, collected=done))

    async def recollect(self, job: Job) -> Job:
        assert job.result is not None
        if await self._ask_store("holds", job, job.result.artifacts):
            return job
        return job.evolve(result=attrs.evolve(job.result, artifacts=(), collected=0))

    async def discard(self, job: Job) -> None:
        await self._ask_store("discard", job, job)

    async def _ask_store(self, name: str, job: Job, about: object) -> Any:
        """Calls an optional method of the store; ``None`` when there is none, or it fails."""
        method = getattr(self.artifacts, name, None)
        if method is None:
            return None
        timeout = self.config.collect_timeout
        try:
            return await self.call(Method(method), about, lane="look", timeout=timeout)
        except Exception as exc:  # noqa: BLE001 - it spares work and litter, and decides nothing
            log.warning("job %d: %s failed: %s", job.id, name, describe(exc).message)
            return None

    def may_pay_twice(self, risk: float | None) -> bool:
        return self.doubles.allow(risk)

    def pause_batch(self, reason: str) -> None:
        reason = scrub(reason)
        log.warning("the batch is paused: %s", reason)
        self.dispatcher.pause(reason)

    def hold_back(self, error: JobError, retry_after: float | None) -> float:
        rounds = self.dispatcher.rounds_held_back
        wait = max(self.config.retry_policy.how_long(rounds, self.draw), retry_after or 0.0)
        if self.dispatcher.hold_back(wait):
            self.pause_batch(f"nothing gets through ({error.message}): {_WAY_OUT[error.kind]}")
        return wait

    def got_through(self) -> None:
        self.dispatcher.rounds_held_back = 0

    @property
    def held_back(self) -> bool:
        return not self.dispatcher.open or self.dispatcher.rounds_held_back > 0


class Uncancellable:
    """Marks the current task critical. One object for all: it keeps no state of its own."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __enter__(self) -> None:
        assert self._scheduler.current is not None
        self._scheduler.current.critical += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._scheduler.current is not None
        self._scheduler.current.critical -= 1


def _facts(cls: type[Event], job: Job) -> dict[str, Any] | None:
    """What the journal keeps beside the event's name."""
    if cls is JobSubmitted and job.handle is not None:
        return {"handle": plain_handle(job.handle)}
    if job.error is not None and cls is not JobSubmitted:
        return {"error": plain_error(job.error)}
    return None
