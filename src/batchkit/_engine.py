"""Runs flows against a storage: the :class:`~batchkit._io.IO` they see, and one turn of the wheel.

A turn takes up wakes and outcomes, starts what may start, steps every flow that can go on, and
commits what they saved in one transaction; the flows of a group go on once it is safe. Then it says
until when there is nothing to do, and the executor waits in its own way. All of it happens on one
thread: only calls of the client run elsewhere.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final

import attrs

from batchkit import _flow
from batchkit._calls import Call, Calls, Clock
from batchkit._codec import plain_error, plain_handle
from batchkit._config import BatchConfig, Control
from batchkit._context import WorkCanceledError, progress_sink
from batchkit._dispatch import CONTROL_INTERVAL, Dispatcher
from batchkit._errors import StorageError
from batchkit._events import Event, JobProgress, JobSubmitted
from batchkit._io import CallTimeoutError, FencedError, Lane, Park
from batchkit._jobs import IN_FLIGHT, Handle, Job, JobStatus, submit_key
from batchkit._results import JobResult
from batchkit._scheduler import Scheduler, Task
from batchkit.artifacts.base import ArtifactStore
from batchkit.clients.base import Accepted, BoundClient, Method
from batchkit.storage._journal import make_event
from batchkit.storage.base import Change, Entry, Storage

log = logging.getLogger("batchkit.engine")

#: What :meth:`Engine.turn` answers when the run is over.
DONE: Final = -1.0
#: A turn goes back to its executor after this many seconds, so that an event loop can breathe.
TURN_SECONDS = 0.02

_COMMIT: Final = Park()
#: No job has this id: posting it wakes the executor and no flow.
_NOBODY: Final = 0
#: Seconds that a client may take to close.
_CLOSE_SECONDS: Final = 10.0
_UNGUARDED: Final = nullcontext()


@attrs.define(eq=False, kw_only=True)
class Engine:
    """One run of one batch.

    Args:
        client: who does the work.
        config: how.
        storage: where the records are.
        dispatcher: who goes next.
        clock: the time.
        uniform: draws from 0 to 1.
        tell: takes every event that somebody listens to.
        listens: whether anybody listens to an event class.
        artifacts: where results are delivered; ``None`` delivers nothing.
        hook: called at every point at which dying is interesting; tests raise there.
    """

    client: BoundClient
    config: BatchConfig
    storage: Storage
    dispatcher: Dispatcher
    clock: Clock
    uniform: Callable[[], float]
    tell: Callable[[Event], None]
    listens: Callable[[type[Event]], bool]
    artifacts: ArtifactStore | None = None
    hook: Callable[[str], None] | None = None
    calls: Calls | None = None
    calls_in_flight: int = 0
    ended_jobs: int = 0
    live: dict[int, Job] = attrs.field(factory=dict)
    scheduler: Scheduler = attrs.field(init=False)
    _group: list[Change] = attrs.field(factory=list)
    _waiting: list[Task] = attrs.field(factory=list)
    _failure: BaseException | None = None
    _late: deque[Call] = attrs.field(factory=deque)
    _attached: bool = False
    _closed: bool = False
    _guard: _Uncancellable = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scheduler = Scheduler(self._flow_ended)
        self._guard = _Uncancellable(self.scheduler)

    # -- the wheel ---------------------------------------------------------------------------

    def turn(self) -> float | None:
        """Does everything that can be done now.

        Returns:
            Monotonic seconds until which there is nothing to do, ``None`` for until somebody
            wakes it, or :data:`DONE`.

        Raises:
            BatchkitError: whatever ended the run, once the submissions in flight are recorded.
        """
        start = self.clock.monotonic()
        scheduler, dispatcher = self.scheduler, self.dispatcher
        ready = scheduler.ready
        while True:
            scheduler.drain()
            scheduler.release_due(self.clock.monotonic())
            self._take_late()
            if dispatcher.refresh():
                self._obey()
            for job in dispatcher.claim():
                self._start(job)
            if not ready:
                break
            while ready:
                scheduler.step(ready.popleft())
            if self._group:
                self._commit()
            if dispatcher.control is Control.ABORTING:
                scheduler.drop_uncritical()
            if self.clock.monotonic() - start > TURN_SECONDS:
                return start
        if dispatcher.control is Control.ABORTING:
            scheduler.drop_uncritical()
        if not dispatcher.finished:
            return _earliest(scheduler.next_due(), dispatcher.next_look())
        if self._closing():
            return start if ready else scheduler.next_due()
        dispatcher.over = True
        if self._failure is not None:
            raise self._failure
        return DONE

    def _closing(self) -> bool:
        """Closes a client that was made for this run, where its calls ran; whether that goes on."""
        if not self._closed:
            self._closed = True
            for position, closer in enumerate(self.client.closers, 1):
                self.scheduler.start(self._close(closer), -position, None)
        return any(key < 0 for key in self.scheduler.tasks)

    async def _close(self, closer: Method) -> None:
        try:
            await self.call(closer, timeout=_CLOSE_SECONDS)
        except Exception as exc:  # noqa: BLE001 - the work is done; a bad farewell does not undo it
            log.warning("closing the client failed: %s", exc)

    @property
    def longest_wait(self) -> float | None:
        """Seconds after which an executor should turn the wheel whatever happens."""
        return CONTROL_INTERVAL if self.storage.shared else None

    def _start(self, job: Job) -> None:
        task = self.scheduler.start(_flow.run_job(self, job), job.id, job)
        self.dispatcher.active += 1
        task.context.run(progress_sink.set, _Sink(self, job.id))

    def _flow_ended(self, task: Task, error: BaseException | None) -> None:
        if task.key < 0:
            return
        self.dispatcher.active -= 1
        self.live.pop(task.key, None)
        if error is not None and not isinstance(error, FencedError):
            log.error("job %d: the run ends: %s", task.key, error, exc_info=error)
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self.dispatcher.stop(Control.ABORTING, str(error))

    # -- control -----------------------------------------------------------------------------

    def _obey(self) -> None:
        """Acts on what persons want; every run starts by taking up what is in flight."""
        for job_id in self.dispatcher.cancels:
            self.scheduler.post(job_id)
        if self.dispatcher.control is not Control.ABORTING and not self.dispatcher.reason:
            self._attach()

    def _attach(self) -> None:
        """Takes up every job in flight, and at the start the uncertain ones too."""
        first, self._attached = not self._attached, True
        for job in self.storage.in_flight(self.dispatcher.batch.id, self.dispatcher.epoch):
            if job.id not in self.scheduler.tasks and (first or job.status in IN_FLIGHT):
                self._start(job)

    def stop(self, control: Control, cause: str) -> None:
        """Ends the run: ``DRAINING`` lets jobs in flight end, ``ABORTING`` only submissions.

        Callable from any thread and from a signal handler.
        """
        self.dispatcher.stop(control, cause)
        self.nudge()

    def nudge(self) -> None:
        """Turns the wheel now: something changed. From any thread."""
        self.dispatcher.touch()
        self.scheduler.post(_NOBODY)

    def abandon(self) -> list[Job]:
        """Gives up at once, as a crash would; says which submissions nobody can vouch for now."""
        doubtful = [task.job for task in self.scheduler.tasks.values() if task.critical]
        for task in list(self.scheduler.tasks.values()):
            self.scheduler.drop(task)
        return doubtful

    def _take_late(self) -> None:
        """A submission answered after its time-out: that is evidence, and the job goes on."""
        while self._late:
            call = self._late.popleft()
            if call.method is self.client.submit and isinstance(call.value, Accepted):
                job: Job = call.args[0]
                handle = {"handle": plain_handle(call.value.handle)}
                entry = Entry(JobSubmitted.kind, self.clock.time(), job.id, job.attempt, handle)
                self.storage.append(job.batch_id, [entry])
                now = self.storage.get(job.id)
                if now is not None and now.status is JobStatus.UNCERTAIN:
                    self._start(now)

    # -- IO: what flows await ----------------------------------------------------------------

    def now(self) -> float:
        return self.clock.time()

    def submit_key(self, job: Job) -> str:
        return submit_key(self.dispatcher.batch.uid, job.index, job.attempt)

    async def save(
        self, job: Job, *told: type[Event], power_safe: bool = False, result: bool = False
    ) -> Job:
        task = self.scheduler.current
        assert task is not None
        now = self.clock.time()
        entries = [Entry(cls.kind, now, job.id, job.attempt, _facts(cls, job)) for cls in told]
        self._group.append(Change(job, task.job, entries, power_safe, result, told))
        self._waiting.append(task)
        task.job = job
        await _COMMIT
        if task.fenced:
            raise FencedError(job.id)
        return job

    def _commit(self) -> None:
        group, waiting = self._group, self._waiting
        self._group, self._waiting = [], []
        self._at("save:before")
        try:
            if self._failure is None:
                saved = self.storage.save(group)
                for position in saved.fenced:
                    waiting[position].fenced = True
                self._told(group, saved.first_seq)
            else:
                self.storage.rescue(group)
        except StorageError as exc:
            log.error("saving failed; no more submissions: %s", exc)
            self.storage.rescue(group)
            self._fail(exc)
        self._at("save:after")
        self.scheduler.ready.extend(waiting)

    def _told(self, group: Iterable[Change], seq: int) -> None:
        """After a commit: bookkeeping, then the events that it made true."""
        for change in group:
            job = change.job
            if job.status is JobStatus.PENDING:
                self.dispatcher.returned(job)
            elif job.done:
                self.ended_jobs += 1
                if job.status is JobStatus.FAILED and self.config.stop_on_error:
                    self.dispatcher.stop(Control.DRAINING, "stopped at the first error")
            for entry, cls in zip(change.entries, change.told, strict=True):
                if self.listens(cls):
                    self.tell(make_event(cls, entry, job.batch_id, job, seq))
                seq += 1

    async def call(
        self, method: Method, *args: Any, lane: Lane = "call", timeout: float | None = None
    ) -> Any:
        task = self.scheduler.current
        assert task is not None and self.calls is not None
        name = getattr(method.fn, "__name__", "call")
        self._at(f"{name}:before")
        call = Call(method, args, lane, task.context.copy(), self._delivered)
        if not self.calls.start(call):
            await self._outcome(call, timeout)
        self._at(f"{name}:after")
        if not call.done:
            self._abandon(call, task)
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
            await Park(None if timeout is None else self.clock.monotonic() + timeout, call)
        finally:
            self.calls_in_flight -= 1

    def _delivered(self, call: Call) -> None:
        if call.abandoned:
            self._late.append(call)
            self.scheduler.post(_NOBODY)
        else:
            self.scheduler.post(call)

    def _abandon(self, call: Call, task: Task) -> None:
        call.abandoned = True
        if call.cancel is not None and not task.critical:
            call.cancel()

    async def sleep(self, job: Job, seconds: float) -> None:
        await Park(self.clock.monotonic() + seconds, job.id)

    def uncancellable(self) -> AbstractContextManager[None]:
        # Free work is left at any moment: its next run repeats it.
        return _UNGUARDED if self.client.free else self._guard

    def cancel_requested(self, job: Job) -> bool:
        return job.id in self.dispatcher.cancels

    async def evidence(self, job: Job) -> Handle | None:
        return self.storage.evidence(job.id, job.attempt)

    def watch(self, job: Job) -> None:
        self.live[job.id] = job
        if self.listens(JobProgress):
            now, batch = self.clock.time(), job.batch_id
            self.tell(JobProgress(at=now, batch_id=batch, job=job, attempt=job.attempt))

    async def existing(self, job: Job) -> JobResult | None:
        if self.artifacts is None:
            return None
        found: JobResult | None = await self.call(
            Method(self.artifacts.existing), job, lane="collect"
        )
        return found

    def must_collect(self, job: Job) -> bool:
        return self.artifacts is not None and bool(job.result and job.result.outputs)

    async def collect(self, job: Job) -> Job:
        assert job.result is not None
        if self.artifacts is None:
            return job
        collected = []
        for output in job.result.outputs:
            data = None
            if self.client.fetch is not None and (output.ref or output.url):
                data = await self.call(self.client.fetch, job, output, lane="collect")
            write = Method(self.artifacts.write)
            collected += await self.call(write, job, output, data, lane="collect")
        return job.evolve(result=attrs.evolve(job.result, artifacts=tuple(collected)))

    def pause_batch(self, reason: str) -> None:
        log.warning("the batch is paused: %s", reason)
        self.dispatcher.pause(reason)

    def cool_down(self, seconds: float) -> None:
        self.dispatcher.pacer.cool_down(self.clock.monotonic() + seconds)

    # -- small things ------------------------------------------------------------------------

    def _at(self, point: str) -> None:
        if self.hook is not None:
            self.hook(point)

    def report(self, job_id: int, fraction: float) -> None:
        """Takes progress from local work, on whichever thread that runs."""
        if job_id in self.dispatcher.cancels or self._must_leave():
            raise WorkCanceledError
        task = self.scheduler.tasks.get(job_id)
        if task is not None:
            self.watch(task.job.evolve(progress=fraction))

    def _must_leave(self) -> bool:
        return self.client.free and self.dispatcher.control is Control.ABORTING


@attrs.frozen(eq=False)
class _Sink:
    """Progress of one job's local work, on its way to the engine."""

    engine: Engine
    job_id: int

    def __call__(self, fraction: float) -> None:
        self.engine.report(self.job_id, fraction)


class _Uncancellable:
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
        if self._scheduler.current is not None:
            self._scheduler.current.critical -= 1


def _facts(cls: type[Event], job: Job) -> dict[str, Any] | None:
    """What the journal keeps beside the event's name."""
    if cls is JobSubmitted and job.handle is not None:
        return {"handle": plain_handle(job.handle)}
    if job.error is not None and cls is not JobSubmitted:
        return {"error": plain_error(job.error)}
    return None


def _earliest(*times: float | None) -> float | None:
    known = [time for time in times if time is not None]
    return min(known) if known else None
