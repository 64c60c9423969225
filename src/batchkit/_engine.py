"""Runs flows against a storage: the :class:`~batchkit._io.IO` they see, and one turn of the wheel.

A turn takes up wakes and outcomes, starts what may start, steps every flow that can go on, and
commits what they saved in one transaction; the flows of a group go on once it is safe. Then it says
until when there is nothing to do, and the executor waits in its own way. All of it happens on one
thread: only calls of the client run elsewhere.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Final

import attrs

from batchkit import _flow
from batchkit._calls import Call
from batchkit._codec import plain_handle
from batchkit._config import Control
from batchkit._context import WorkCanceledError, progress_sink
from batchkit._dispatch import AT_FIRST_ERROR, CONTROL_INTERVAL
from batchkit._doubles import Doubles
from batchkit._engine_io import FlowIO, Uncancellable
from batchkit._errors import StorageError
from batchkit._events import JobSubmitted
from batchkit._io import CrashError, FencedError
from batchkit._jobs import IN_FLIGHT, Job, JobStatus
from batchkit._redaction import ours
from batchkit._scheduler import Scheduler, Task, earliest
from batchkit.clients.base import Accepted, Finished, Method
from batchkit.storage._journal import make_event
from batchkit.storage.base import Change, Entry

log = logging.getLogger("batchkit.engine")

#: What :meth:`Engine.turn` answers when the run is over.
DONE: Final = -1.0
#: A turn goes back to its executor after this many seconds, so that an event loop can breathe.
TURN_SECONDS = 0.01
#: No job has this id: posting it wakes the executor and no flow.
_NOBODY: Final = 0
#: Seconds that a client may take to close.
_CLOSE_SECONDS: Final = 10.0


@attrs.define(eq=False, kw_only=True)
class Engine(FlowIO):
    """One run of one batch: :class:`~batchkit._engine_io.FlowIO`, and the wheel that turns it.

    Attributes:
        ended_jobs: jobs that ended in this run.
    """

    ended_jobs: int = 0
    _failure: BaseException | None = None
    _attached: bool = False
    _closed: bool = False
    _gave_up: bool = False

    def __attrs_post_init__(self) -> None:
        self.scheduler = Scheduler(self._flow_ended)
        self.guard = Uncancellable(self.scheduler)
        self.begun = self.clock.time()
        self.doubles = Doubles(self.storage, self.dispatcher.batch.id, self.config.max_double_cost)

    # -- the wheel ---------------------------------------------------------------------------

    def turn(self) -> float | None:
        """Does everything that can be done now.

        Returns:
            Monotonic seconds until which there is nothing to do, ``None`` for until somebody
            wakes it, or :data:`DONE`.

        Raises:
            BatchkitError: whatever ended the run, once the submissions in flight are recorded.
        """
        if self._gave_up:
            raise KeyboardInterrupt
        start = self.clock.monotonic()
        scheduler, dispatcher, ready = self.scheduler, self.dispatcher, self.scheduler.ready
        while True:
            scheduler.drain()
            self.hints.take(scheduler.hasten)
            scheduler.release_due(self.clock.monotonic())
            self._take_up()
            if not ready:
                break
            while ready:
                scheduler.step(ready.popleft())
            if self.group:
                self._commit()
            if dispatcher.control is Control.ABORTING:
                scheduler.drop_uncritical()
            if self.clock.monotonic() - start > TURN_SECONDS:
                return start
        if dispatcher.control is Control.ABORTING:
            scheduler.drop_uncritical()
        if not dispatcher.finished:
            # What is left to be read is read at once; but others get their turn.
            due = earliest(scheduler.next_due(), dispatcher.next_look())
            return start if dispatcher.behind else due
        if self.overdue and self.clock.monotonic() < self.overdue_until:
            return self.overdue_until
        if not self.settled(self.nudge):
            # A callback may add the next job of a chain.
            return None
        if not dispatcher.finished:
            return start
        if self._closing():
            return start if ready else scheduler.next_due()
        dispatcher.over = True
        if self._failure is not None:
            raise self._failure
        return DONE

    def _take_up(self) -> None:
        """Looks at what is new in the storage, and starts what may start."""
        try:
            self._take_late()
            if self._failure is None:
                if self.dispatcher.refresh():
                    self._obey()
                for job in self.dispatcher.claim():
                    self._start(job)
        except StorageError as exc:
            # Submissions on their way are waited for, and rescued.
            self._fail(exc)

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

    def _start(self, job: Job, finished: Finished | None = None) -> None:
        if job.deadline is None and job.status in IN_FLIGHT:
            # A person has taken it up again.
            job = job.evolve(deadline=self.clock.time() + self.config.job_timeout)
        if job.id in self.scheduler.tasks:
            # A person held it and let it go, or decided it, while its flow was getting ready.
            self.scheduler.drop(self.scheduler.tasks[job.id])
        flow = _flow.run_job(self, job) if finished is None else _flow.take(self, job, finished)
        task = self.scheduler.start(flow, job.id, job)
        self.hints.follow(job)
        self.dispatcher.active += 1
        task.context.run(progress_sink.set, _Sink(self, job.id))
        task.context.run(ours.set, True)

    def _flow_ended(self, task: Task, error: BaseException | None) -> None:
        if task.key < 0:
            return
        self.dispatcher.active -= 1
        self.live.pop(task.key, None)
        self.hints.forget(task.key)
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
        for job_id in self.dispatcher.new_cancels:
            self.scheduler.post(job_id)
        if self.dispatcher.control is not Control.ABORTING and not self.dispatcher.reason:
            self._attach()
        for job_id in self.dispatcher.new_hints:
            self.hints.put(job_id)
        self.hints.take(self.scheduler.hasten)

    def _attach(self) -> None:
        """Takes up every job in flight, and at the start the uncertain ones too."""
        first, self._attached = not self._attached, True
        counts = self.storage.counts(self.dispatcher.batch.id)
        tasks = self.scheduler.tasks.values()
        here = sum(1 for task in tasks if task.key > 0 and task.job.status in IN_FLIGHT)
        # Reading them all costs; most changes that lead here put none in flight.
        if not first and sum(counts.get(status, 0) for status in IN_FLIGHT) <= here:
            return
        found = self.storage.in_flight(self.dispatcher.batch.id, self.dispatcher.epoch)
        for job in sorted(found, key=_expiry):
            task = self.scheduler.tasks.get(job.id)
            moved = task is not None and task.job.status is not job.status and not task.critical
            if moved or (task is None and (first or job.status in IN_FLIGHT)):
                self._start(job)

    def stop(self, control: Control, cause: str) -> None:
        """Ends the run: ``DRAINING`` lets jobs in flight end, ``ABORTING`` only submissions.

        Callable from any thread and from a signal handler.
        """
        self.dispatcher.stop(control, cause)
        self.nudge()

    def give_up(self) -> None:
        """Ends the run with ``KeyboardInterrupt``, whatever is on its way.

        Raises:
            KeyboardInterrupt: at once, where the call that is on its way runs in this thread;
                elsewhere the next turn raises it: inside an event loop's own wait it would tear up
                the loop.
        """
        self._gave_up = True
        if self.calls is not None and self.calls.in_place:
            raise KeyboardInterrupt
        self.scheduler.post(_NOBODY)

    def nudge(self) -> None:
        """Turns the wheel now: something changed. From any thread."""
        self.dispatcher.touch()
        self.scheduler.post(_NOBODY)

    def hint(self, job_id: int | None, handle_id: str | None) -> bool:
        """Polls a job as soon as that is allowed; whether it is polled here. From any thread."""
        known = self.hints.put(job_id, handle_id)
        if self.hints.news:
            self.scheduler.post(_NOBODY)
        return known

    def abandon(self, cause: BaseException) -> None:
        """Gives up at once: what is in flight is left to the next run.

        Handles that came in this very turn are rescued, unless the cause is the death of the
        process itself.
        """
        if self.group and not isinstance(cause, CrashError):
            self._rescue(self.group)
        for task in list(self.scheduler.tasks.values()):
            self.scheduler.drop(task)

    def _take_late(self) -> None:
        """A submission answered after its time-out: that is evidence, and the job goes on."""
        strays = self.scheduler.strays
        while strays:
            call = strays.popleft()
            if not isinstance(call, Call) or call not in self.overdue:
                continue
            self.overdue.discard(call)
            job, answer = call.args[0], call.value
            if isinstance(answer, Accepted):
                data = {"handle": plain_handle(answer.handle)}
                entry = Entry(JobSubmitted.kind, self.clock.time(), job.id, job.attempt, data)
                told = job.evolve(handle=answer.handle)
                try:
                    self.storage.append(job.batch_id, [entry])
                except StorageError:
                    self._rescue([Change(told, job, (entry,), told=(JobSubmitted,))])
                    raise
            now = self.storage.get(job.id)
            waits = now is not None and now.status is JobStatus.UNCERTAIN
            free = self._failure is None and job.id not in self.scheduler.tasks
            if now is not None and waits and free:
                self._start(now, answer if isinstance(answer, Finished) else None)

    # -- saving ------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Makes a turn's saves safe in one transaction; their flows go on with the next step."""
        group, waiting = self.group, self.waiting
        self.at("save:before")
        try:
            saved = self.storage.save(group)
        except StorageError as exc:
            log.error("saving failed; nothing more is submitted: %s", exc)
            self._rescue(group)
            self._fail(exc)
        else:
            for position in saved.fenced:
                waiting[position].fenced = True
            self._told(group, saved.first_seq)
        # Not before: whatever else ends the save, the group is there to be rescued.
        self.group, self.waiting = [], []
        self.at("save:after")
        self.scheduler.ready.extend(waiting)

    def _rescue(self, group: list[Change]) -> None:
        try:
            self.storage.rescue(group)
        except (OSError, StorageError) as exc:
            # The last resort is the log: these handles exist nowhere else.
            handles = {c.job.id: c.job.handle.id for c in group if c.job.handle is not None}
            log.critical("handles could not be written (%s); keep them: %s", exc, handles)

    def _told(self, group: Iterable[Change], seq: int) -> None:
        """After a commit: bookkeeping, then the events that it made true."""
        for change in group:
            job = change.job
            if job.status is JobStatus.PENDING:
                self.dispatcher.returned(job)
            elif job.done:
                self.ended_jobs += 1
                if job.status is JobStatus.FAILED and self.config.stop_on_error:
                    self.dispatcher.stop(Control.DRAINING, AT_FIRST_ERROR)
            else:
                self.hints.follow(job)
            for entry, cls in zip(change.entries, change.told, strict=True):
                if self.listens(cls):
                    self.tell(make_event(cls, entry, job.batch_id, job, seq))
                seq += 1

    def report(self, job_id: int, fraction: float) -> None:
        """Takes progress from local work, on whichever thread that runs."""
        task = self.scheduler.tasks.get(job_id)
        submitting = task is not None and task.job.status is JobStatus.SUBMITTING
        if (submitting and job_id in self.dispatcher.cancels) or self._must_leave():
            raise WorkCanceledError
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


def _expiry(job: Job) -> float:
    """When the result of a job goes, so that the soonest is collected first."""
    expires = job.result.expires if job.result is not None else None
    return math.inf if expires is None else expires
