"""A fake provider that keeps a ledger: what was really submitted, charged, cancelled, fetched.

Tests judge from the provider's side. Whatever a batch believes, the ledger says what happened.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable

import attrs

from batchkit._errors import (
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    ResultExpiredError,
)
from batchkit._io import CrashError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._results import Output
from batchkit.clients.base import (
    Accepted,
    Capabilities,
    Finished,
    RemoteState,
    RemoteStatus,
)


@attrs.define
class RemoteJob:
    """A job as the fake provider knows it.

    Attributes:
        id: its handle.
        item: which item of the batch it serves: the prompt.
        key: the submit key.
        script: what happens to it, see :class:`FakeProvider`.
        polls_left: good status queries before it ends.
        polls: status queries so far.
        state: how it ended, or that it has not.
    """

    id: str
    item: str
    key: str
    script: str
    polls_left: int
    polls: int = 0
    state: RemoteState = RemoteState.RUNNING


@attrs.define
class Ledger:
    """What happened at the provider, per item.

    Attributes:
        submissions: requests that reached it.
        charges: jobs that were started, and billed.
        cancels: jobs that it cancelled.
        downloads: results that were fetched.
        polls: status queries.
    """

    submissions: Counter[str] = attrs.field(factory=Counter)
    charges: Counter[str] = attrs.field(factory=Counter)
    cancels: Counter[str] = attrs.field(factory=Counter)
    downloads: Counter[str] = attrs.field(factory=Counter)
    polls: Counter[str] = attrs.field(factory=Counter)

    def charged_twice(self) -> list[str]:
        """Items that were billed more than once."""
        return sorted(item for item, count in self.charges.items() if count > 1)


#: What a script's word makes of one submission. Words after the first apply to later submissions.
SCRIPTS = (
    "ok",  # accepted, runs, succeeds
    "slow",  # ten times as many polls
    "reject",  # refused for good
    "busy",  # proved not accepted; try again
    "limit",  # the same, and everybody slows down
    "drop_before",  # the connection broke; nothing was started (nobody can know)
    "drop_after",  # the connection broke; the job runs
    "fail",  # accepted, then fails; repeating does not help
    "flaky",  # accepted, then fails; repeating may help
    "blips",  # status queries fail three times in a row
    "unknown",  # says a word that nobody knows, then succeeds
    "expire",  # succeeds, but the result is gone
    "lost",  # accepted, then the provider no longer knows it
)


class FakeProvider:
    """A provider in this process, with scripted faults.

    The prompt says what happens: ``"cat"`` simply works, ``"cat [busy busy]"`` is refused twice and
    then works; see :data:`SCRIPTS` for the words. Thread-safe.

    Args:
        polls: good status queries before a job ends.
        keeps_keys: it can look a submission up by its key, and replays a key it has seen.
        price: charged for each job that it starts.
    """

    def __init__(self, *, polls: int = 2, keeps_keys: bool = False, price: float = 1.0) -> None:
        self.polls, self.keeps_keys, self.price = polls, keeps_keys, price
        self.ledger = Ledger()
        self.jobs: dict[str, RemoteJob] = {}
        self._by_key: dict[str, str] = {}
        self._scripts: dict[str, deque[str]] = {}
        self._next = ""
        self._lock = threading.Lock()

    def submit(self, prompt: str, key: str) -> Handle:
        """Starts a job, or fails as the script says."""
        with self._lock:
            item = prompt.partition(" [")[0]
            self.ledger.submissions[item] += 1
            if self.keeps_keys and key in self._by_key:
                return Handle(id=self._by_key[key])
            word = self._next_word(prompt)
            self._refuse(word)
            job = self._start(item, key, word)
        if word == "drop_after":
            raise OutcomeUnknownError("the connection broke after the request was sent")
        return Handle(id=job.id, data={"item": item})

    def _next_word(self, prompt: str) -> str:
        told, self._next = self._next, ""
        if told:
            return told
        item, found, words = prompt.partition(" [")
        script = self._scripts.setdefault(item, deque(words.rstrip("]").split() if found else ()))
        return script.popleft() if script else "ok"

    def submissions(self) -> int:
        """How many submissions it has seen; with the next two, what ``check_client`` needs."""
        return sum(self.ledger.submissions.values())

    def drop_next(self) -> None:
        """Accepts the next submission, and breaks the connection before it answers."""
        self._next = "drop_after"

    def refuse_next(self) -> None:
        """Refuses the next submission."""
        self._next = "reject"

    def _refuse(self, word: str) -> None:
        if word == "reject":
            raise RejectedError("the prompt is not allowed", code="moderation")
        if word == "busy":
            raise NotAcceptedError("the service is busy", code="503")
        if word == "limit":
            raise RateLimitedError("too many requests", code="429", retry_after=2.0)
        if word == "drop_before":
            raise OutcomeUnknownError("the connection broke before the request was sent")

    def _start(self, item: str, key: str, word: str) -> RemoteJob:
        number = len(self.jobs) + 1
        job = RemoteJob(f"remote-{number}", item, key, word, self._polls(word))
        self.jobs[job.id] = job
        self._by_key[key] = job.id
        self.ledger.charges[item] += 1
        return job

    def _polls(self, word: str) -> int:
        return self.polls * 10 if word == "slow" else self.polls

    def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        with self._lock:
            job = self.jobs.get(handle.id)
            if job is None or job.script == "lost":
                raise NotFoundError("no such job", code="404")
            job.polls += 1
            self.ledger.polls[job.item] += 1
            if job.script == "blips" and job.polls <= 3:
                raise ConnectionResetError("the connection broke")
            if job.state is not RemoteState.RUNNING:
                return self._ended(job)
            job.polls_left -= 1
            if job.polls_left > 0:
                done = 1 - job.polls_left / self._polls(job.script)
                word = "simmering" if job.script == "unknown" else "running"
                return RemoteStatus(state=RemoteState.RUNNING, progress=done, raw_state=word)
            failed = job.script in ("fail", "flaky")
            job.state = RemoteState.FAILED if failed else RemoteState.SUCCEEDED
            return self._ended(job)

    def _ended(self, job: RemoteJob) -> RemoteStatus:
        if job.state is RemoteState.SUCCEEDED:
            output = Output(ref=job.id, media_type="video/mp4", size=len(content(job.item)))
            done = Finished(outputs=(output,), value={"remote": job.id})
            return RemoteStatus(state=job.state, finished=done, cost=self.price)
        error = None
        if job.state is RemoteState.FAILED:
            retryable = job.script == "flaky"
            error = JobError(
                kind=ErrorKind.PROVIDER, message="generation failed", retryable=retryable
            )
        return RemoteStatus(state=job.state, error=error, cost=self.price)

    def fetch(self, output: Output) -> bytes:
        """Brings a result."""
        with self._lock:
            job = self.jobs[output.ref or ""]
            if job.script == "expire":
                raise ResultExpiredError("the result has been deleted", code="410")
            self.ledger.downloads[job.item] += 1
            return content(job.item)

    def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        with self._lock:
            job = self.jobs[handle.id]
            if job.state is RemoteState.RUNNING:
                job.state = RemoteState.CANCELED
                self.ledger.cancels[job.item] += 1
            return job.state is RemoteState.CANCELED

    def find(self, key: str) -> Handle | None:
        """Looks a submission up by its key."""
        with self._lock:
            found = self._by_key.get(key)
            return None if found is None else Handle(id=found)


def content(item: str) -> bytes:
    """The bytes that the fake provider delivers for an item."""
    return f"video of {item}\n".encode() * 20


def _prompt(job: Job) -> str:
    return str(getattr(job.request, "prompt", job.title))


class FakeClient:
    """A client of a :class:`FakeProvider`, with plain methods.

    Args:
        provider: where the ledger is.
        capabilities: by default paid work that is polled, on the scheduler's own thread.
        lookup: offer ``find``, when the provider keeps keys.
        before: called with the name of each operation first; it may raise.
    """

    def __init__(
        self,
        provider: FakeProvider,
        *,
        capabilities: Capabilities | None = None,
        lookup: bool = False,
        before: Callable[[str], object] | None = None,
    ) -> None:
        self.provider = provider
        self.capabilities = capabilities or Capabilities(inline=True, cancel="running")
        self._before = before or _nothing
        if lookup:
            self.find = self._find

    def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        self._before("submit")
        return Accepted(handle=self.provider.submit(_prompt(job), job.submit_key))

    def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        self._before("poll")
        return self.provider.poll(handle)

    def fetch(self, job: Job, output: Output) -> bytes:
        """Brings a result."""
        self._before("fetch")
        return self.provider.fetch(output)

    def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        self._before("cancel")
        return self.provider.cancel(handle)

    def _find(self, job: Job, submit_key: str) -> Handle | None:
        self._before("find")
        return self.provider.find(submit_key)


class AsyncFakeClient:
    """The same with ``async`` methods."""

    def __init__(self, provider: FakeProvider, *, capabilities: Capabilities | None = None) -> None:
        self._sync = FakeClient(provider, capabilities=capabilities)
        self.provider, self.capabilities = provider, self._sync.capabilities

    async def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        return self._sync.submit(job)

    async def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        return self._sync.poll(handle)

    async def fetch(self, job: Job, output: Output) -> bytes:
        """Brings a result."""
        return self._sync.fetch(job, output)

    async def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        return self._sync.cancel(handle)


def _nothing(operation: str) -> None:
    """No fault."""


class Crash(CrashError):  # noqa: N818 - it is the death of a process, not an error
    """The death of the process, as an exception that nothing catches."""


class CrashAt:
    """A hook for ``BatchRunner(hook=...)`` that dies at one of the points it passes.

    Args:
        point: 1 for the first; 0 only counts.

    Attributes:
        passed: the names of the points that were passed, in order.
    """

    def __init__(self, point: int = 0) -> None:
        self.point = point
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.point:
            raise Crash(name)


def items(prompts: Iterable[str]) -> list[str]:
    """The item names of scripted prompts."""
    return [prompt.partition(" [")[0] for prompt in prompts]
