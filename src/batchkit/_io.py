"""The only things that a pipeline may await.

A flow is an ``async def`` that awaits nothing but the methods of :class:`IO`, and these suspend on
nothing but :class:`Park`. No event loop is needed: whoever runs flows steps them with
``flow.send(None)``, gets a ``Park`` back, and sends again when its time has come or somebody woke
it. That is what lets one pipeline serve every executor, and what makes a waiting job cost no
thread, no task and no timer.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar

import attrs

from batchkit._config import BatchConfig
from batchkit._events import Event
from batchkit._jobs import Handle, Job, JobError
from batchkit._results import EMPTY, JobResult
from batchkit.clients.base import BoundClient, Method

T = TypeVar("T")
Flow = Coroutine["Park", None, T]
#: Downloads have threads of their own, so that they never hold up a status query; and so have looks
#: at what lies on disk, which a submission waits for.
Lane = Literal["call", "look", "collect"]


@attrs.define(eq=False)
class Park:
    """Wake me at a time, or when somebody calls ``wake(token)``.

    A wake that comes before the park is not lost: the next park on that token returns at once.

    Attributes:
        until: monotonic seconds; ``None`` waits for the wake alone.
        token: what a waker names; ``None`` when only whoever parked it can wake it.
    """

    until: float | None = None
    token: object = None

    def __await__(self) -> Generator[Park, None, None]:
        yield self


class FencedError(BaseException):
    """Leave this job alone: another runner or a person has taken it, or the run is leaving.

    Ends a flow silently. A ``BaseException``, because flows judge every ``Exception`` of a client.
    """


class CrashError(BaseException):
    """The death of the process, as a test stages it: nothing is written after it."""


class CallTimeoutError(Exception):
    """A call took longer than its time-out; it may still have had its effect."""


class IO(Protocol):
    """What a flow may do to the world."""

    @property
    def client(self) -> BoundClient:
        """The client in use."""
        ...

    @property
    def config(self) -> BatchConfig:
        """The configuration in force."""
        ...

    def now(self) -> float:
        """UTC seconds."""
        ...

    def uniform(self) -> float:
        """A random number from 0 to 1."""
        ...

    def submit_key(self, job: Job, attempt: int) -> str:
        """The key that this attempt, and no other, carries to the provider."""
        ...

    async def save(
        self,
        job: Job,
        *told: type[Event],
        power_safe: bool = False,
        result: bool = False,
        facts: Mapping[str, Any] = EMPTY,
    ) -> Job:
        """Stores *job* and the events that it makes true; returns when they are safe.

        Args:
            job: the new record.
            told: the events, in order.
            power_safe: must survive the loss of power, not only of the process.
            result: ``job.result`` is new and has to be written.
            facts: JSON values to keep with the first event.

        Raises:
            FencedError: the job is no longer ours.
        """
        ...

    async def call(
        self, method: Method, *args: Any, lane: Lane = "call", timeout: float | None = None
    ) -> Any:
        """Calls a client's method wherever the executor runs such calls.

        Raises:
            CallTimeoutError: it took longer than *timeout* seconds.
            WorkCanceledError: local work was ended because a person asked for it.
            Exception: whatever the method raised.
        """
        ...

    async def sleep(self, job: Job, seconds: float) -> None:
        """Waits, unless somebody wakes the job earlier (a cancel)."""
        ...

    async def until_poll(self, job: Job, seconds: float, least: float) -> None:
        """Waits for the next status query, unless a cancel or a hint of a webhook comes earlier.

        Args:
            job: with its handle.
            seconds: how long, without either.
            least: no hint shortens the wait to less.
        """
        ...

    def uncancellable(self) -> AbstractContextManager[None]:
        """Inside, stopping the run waits for this flow: between a payment and its record."""
        ...

    def cancel_requested(self, job: Job) -> bool:
        """Whether a person asked for the end of this job."""
        ...

    async def evidence(self, job: Job) -> Handle | None:
        """The handle that the journal holds for the job's last attempt, or ``None``."""
        ...

    def watch(self, job: Job) -> None:
        """Shows a record that is not worth a save: progress, poll errors."""
        ...

    @property
    def delivers(self) -> bool:
        """Whether results are delivered anywhere."""
        ...

    async def existing(self, job: Job) -> JobResult | None:
        """The verified result that an earlier run left on disk for this request.

        Raises:
            StorageError: the place where results are delivered cannot be used.
        """
        ...

    def must_collect(self, job: Job) -> bool:
        """Whether any of the job's outputs still has to be brought to disk."""
        ...

    def sent_at(self, job: Job) -> float:
        """When the job's last submission left, in UTC seconds, from the journal."""
        ...

    def given_up_at(self, job: Job) -> float:
        """When nobody waited for the answer to that submission any more, in UTC seconds."""
        ...

    def unanswered(self, job: Job) -> bool:
        """Whether a submission of it missed its time-out, and may still be answered."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether the run ends now: nothing new may be submitted."""
        ...

    async def collect(self, job: Job) -> Job:
        """Brings the job's next output to disk; returns it with its artifacts."""
        ...

    async def recollect(self, job: Job) -> Job:
        """The job with those artifacts of an earlier run that are still there, byte for byte."""
        ...

    async def discard(self, job: Job) -> None:
        """Removes what was kept of the job's outputs to be gone on with."""
        ...

    def may_pay_twice(self, risk: float | None) -> bool:
        """Whether a submission that may be billed already may be repeated; if so, counts it.

        Args:
            risk: what that costs at most; ``None`` when nobody knows.
        """
        ...

    def pause_batch(self, reason: str) -> None:
        """Stops submissions until a person resumes them."""
        ...

    def hold_back(self, error: JobError, retry_after: float | None) -> float:
        """Stops all submissions for a while, longer each time; for how many seconds.

        A batch of which nothing gets through for long is paused, with *error* as the reason.
        """
        ...

    def got_through(self) -> None:
        """A submission was answered: whatever held the batch back is over."""
        ...

    @property
    def held_back(self) -> bool:
        """Whether submissions wait, or the batch is paused."""
        ...
