"""Everything that can be asked of, or told to, a stored batch, whether or not it runs here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from typing import Literal

from batchkit._calls import Clock
from batchkit._config import Batch, Control, seconds
from batchkit._errors import JobNotFoundError, UsageError
from batchkit._events import (
    BatchPaused,
    BatchResumed,
    BatchStopping,
    Event,
    JobCanceled,
    JobHeld,
    JobReleased,
)
from batchkit._i18n import text
from batchkit._jobs import (
    IN_FLIGHT,
    TERMINAL,
    Attempt,
    ErrorKind,
    Handle,
    Job,
    JobStatus,
)
from batchkit.storage._journal import event_class, make_event
from batchkit.storage.base import Entry, Failures, Storage

_S = JobStatus
_JOURNAL_PAGE = 500
#: The reason that a stop leaves in the control record of a paused batch.
STOPPED_WHILE_PAUSED = "stopped while paused"


class BatchView:
    """A batch in a storage: read it, steer it. Works from any process and any thread."""

    def __init__(self, storage: Storage, batch: Batch, clock: Clock) -> None:
        self.storage = storage
        self._batch, self.clock = batch, clock
        self._on_change: Callable[[], None] = _nothing

    @property
    def batch(self) -> Batch:
        """The record of the batch, as it is now."""
        return self.storage.find_batch(self._batch.name) or self._batch

    @property
    def name(self) -> str:
        """The name of the batch."""
        return self._batch.name

    # -- reading -----------------------------------------------------------------------------

    def job(self, job: Job | int) -> Job:
        """The record of one job, as it is now, with its result.

        Raises:
            JobNotFoundError: the batch has no such job.
        """
        job_id = job if isinstance(job, int) else job.id
        found = self.storage.get(job_id)
        if found is None or found.batch_id != self._batch.id:
            raise JobNotFoundError(f"batch {self.name!r} has no job {job_id}")
        return found

    def jobs(self, status: JobStatus | str | Collection[JobStatus] | None = None) -> Iterator[Job]:
        """Jobs in order of their index, read in pages; without results (see :meth:`job`).

        Args:
            status: only these; a status, its value, or several.
        """
        wanted = {JobStatus(status)} if isinstance(status, str) else status
        return self.storage.jobs(self._batch.id, wanted)

    def pending(self) -> Iterator[Job]:
        """Jobs that wait for their turn."""
        return self.jobs(_S.PENDING)

    def uncertain(self) -> Iterator[Job]:
        """Submissions that nobody can vouch for; they wait for a person."""
        return self.jobs(_S.UNCERTAIN)

    def counts(self) -> Mapping[JobStatus, int]:
        """Jobs by status. While the batch is paused, pending jobs are shown as paused."""
        counts = dict(self.storage.counts(self._batch.id))
        if self.batch.control is Control.PAUSED and counts.get(_S.PENDING):
            counts[_S.PAUSED] = counts.get(_S.PAUSED, 0) + counts.pop(_S.PENDING)
        return counts

    def failures(self) -> list[Failures]:
        """Failed jobs grouped by cause, the most frequent first."""
        return list(self.storage.failures(self._batch.id))

    def attempts(self, job: Job | int) -> list[Attempt]:
        """Every submission of a job, from the journal."""
        return list(self.storage.attempts(self.job(job).id))

    def events(self, since: int = 0) -> Iterator[Event]:
        """What happened, from the stored journal, after event number *since*."""
        while page := self.storage.journal(self._batch.id, since, _JOURNAL_PAGE):
            for entry in page:
                since = entry.seq
                event = self._event(entry)
                if event is not None:
                    yield event

    def _event(self, entry: Entry) -> Event | None:
        cls = event_class(entry)
        job = self.storage.get(entry.job_id) if entry.job_id else None
        if cls is None or (entry.job_id and job is None):
            return None
        return make_event(cls, entry, self._batch.id, job, entry.seq)

    def why(self, job: Job | int) -> str:
        """Why a job stands where it stands, in one line for people."""
        return self._why(self.job(job))

    def _why(self, job: Job) -> str:
        status = job.status
        if status is _S.PENDING:
            paused = self.batch.control is Control.PAUSED
            return f"{status.label()}: {text('why_paused' if paused else 'why_stopped')}"
        if status is _S.PAUSED:
            return f"{status.label()}: {text('why_held')}"
        if status is _S.UNCERTAIN:
            return f"{status.label()}: {text('why_uncertain')}"
        if job.error is not None:
            remedy = f" ({job.error.remedy})" if job.error.remedy else ""
            return f"{status.label()}: {job.error.message}{remedy}"
        return status.label()

    # -- steering ----------------------------------------------------------------------------

    def pause(self) -> None:
        """Stops new submissions; what is in flight is polled and collected. Survives a restart."""
        self._control(Control.PAUSED, BatchPaused)

    def resume(self) -> None:
        """Lets submissions go on."""
        self._control(Control.RUNNING, BatchResumed)

    def stop(self, *, now: bool = False) -> None:
        """Ends the run, wherever it runs.

        Args:
            now: leave as soon as the submissions in flight are recorded; otherwise what is in
                flight is brought to its end first.
        """
        # A stop is of the run, a pause is of the batch: the next run finds it paused again.
        batch = self.batch
        stopped = batch.control_reason == STOPPED_WHILE_PAUSED
        paused = batch.control is Control.PAUSED or stopped
        reason = STOPPED_WHILE_PAUSED if paused else ""
        self._control(Control.ABORTING if now else Control.DRAINING, BatchStopping, reason)

    def _control(self, control: Control, event: type[Event], reason: str = "") -> None:
        entry = Entry(event.kind, self.clock.time())
        self.storage.set_control(self._batch.id, control, reason, entry)
        self._on_change()

    def hold(self, job: Job | int) -> bool:
        """Holds one pending job back; whether it was still pending."""
        return self._steer(job, {_S.PENDING}, _S.PAUSED, JobHeld)

    def release(self, job: Job | int) -> bool:
        """Lets a held job go; whether it was held."""
        return self._steer(job, {_S.PAUSED}, _S.PENDING, JobReleased)

    def cancel(self, job: Job | int) -> bool:
        """Ends one job.

        A job that was not sent is CANCELED at once. One in flight is cancelled at the provider by
        whoever runs the batch, and becomes CANCELED when the provider confirms it.

        Returns:
            whether there was anything to cancel.
        """
        if self._steer(job, {_S.PENDING, _S.PAUSED, _S.UNCERTAIN}, _S.CANCELED, JobCanceled):
            return True
        found = self.job(job)
        if found.status not in IN_FLIGHT:
            return False
        self.storage.request_cancel(found.id, self.clock.time())
        self._on_change()
        return True

    def remove(self, job: Job | int) -> bool:
        """Takes a job that was never submitted off the list; whether it was there.

        Raises:
            JobNotFoundError: it belongs to another batch.
        """
        job_id = job if isinstance(job, int) else job.id
        if self.storage.get(job_id) is None:
            return False
        self.job(job_id)
        gone = self.storage.remove(job_id)
        self._on_change()
        return gone

    def prioritize(self, job: Job | int, priority: int) -> bool:
        """Gives a pending or held job another priority; higher goes first."""
        found = self.job(job)
        if found.status not in (_S.PENDING, _S.PAUSED):
            return False
        done = self.storage.steer(found.evolve(priority=priority), found.status, None)
        self._on_change()
        return done

    def retry(self, job: Job | int, *, resubmit: bool = False) -> bool:
        """Takes one failed, expired or cancelled job up again; whether it was one.

        A job that was paid for is not submitted again where that can be helped: one that could not
        be collected is collected, one that was given up is polled.

        Args:
            job: the job, or its id.
            resubmit: submit it again all the same; it may be billed once more.
        """
        found = self.job(job)
        allowed = TERMINAL - {_S.COMPLETED} | ({_S.UNCERTAIN} if resubmit else set())
        if found.status not in allowed:
            return False
        status = _S.PENDING if resubmit else _taken_up(found)
        error = found.error if status is _S.UNCERTAIN else None
        fresh = {"error": error, "retries": 0, "completed": None, "deadline": None}
        fresh |= {"not_before": None, "cancel_requested_at": None}
        if status is _S.PENDING:
            fresh["handle"] = None
        return self._put(found.to(status, **fresh), found.status, JobReleased)

    def resolve(self, job: Job | int, outcome: Handle | Literal["not accepted"]) -> bool:
        """Says what became of an uncertain submission; whether the job was uncertain.

        Args:
            job: the job, or its id.
            outcome: the handle that was found at the provider, or that there is none.
        """
        found = self.job(job)
        if found.status is not _S.UNCERTAIN:
            return False
        if isinstance(outcome, Handle):
            known = found.to(
                _S.PROCESSING, handle=outcome, error=None, not_before=None, deadline=None
            )
        else:
            known = found.to(_S.PENDING, error=None)
        return self._put(known, found.status, JobReleased)

    def retry_failed(self) -> int:
        """Takes every failed and expired job up again; how many there were."""
        return sum(self.retry(job) for job in list(self.jobs({_S.FAILED, _S.EXPIRED})))

    def _steer(
        self, job: Job | int, allowed: Collection[JobStatus], status: JobStatus, event: type[Event]
    ) -> bool:
        found = self.job(job)
        if found.status not in allowed:
            return False
        completed = self.clock.time() if status in TERMINAL else None
        return self._put(found.to(status, completed=completed), found.status, event)

    def _put(self, job: Job, was: JobStatus, event: type[Event]) -> bool:
        entry = Entry(event.kind, self.clock.time(), job.id, job.attempt)
        done = self.storage.steer(job, was, entry)
        self._on_change()
        return done

    def prune(self, older_than: float | timedelta) -> int:
        """Deletes batches of this storage that ended longer ago than that; how many jobs went.

        Args:
            older_than: seconds, or a time span. Files on disk stay.

        Raises:
            UsageError: a negative time.
        """
        age = seconds(older_than)
        if age < 0:
            raise UsageError("older_than is negative: give an age in seconds")
        return self.storage.prune(self.clock.time() - age)


def _taken_up(job: Job) -> JobStatus:
    """Where a job that ended without its result goes on: as late as what is known allows."""
    kind = job.error.kind if job.status is _S.FAILED and job.error is not None else None
    if job.error is not None and job.error.kind is ErrorKind.UNCERTAIN:
        return _S.UNCERTAIN
    if kind is ErrorKind.COLLECT:
        return _S.COLLECTING
    given_up = kind in (ErrorKind.DEADLINE, ErrorKind.NOT_FOUND)
    return _S.PROCESSING if given_up and job.handle is not None else _S.PENDING


def _nothing() -> None:
    """Nobody here needs to know."""
