"""Everything that a person can tell a stored batch, from any process, whether or not it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Literal

from batchkit._batch_view import BatchView
from batchkit._calls import Clock
from batchkit._codec import plain_handle
from batchkit._config import Batch, Control, seconds
from batchkit._errors import UsageError
from batchkit._events import (
    BatchPaused,
    BatchResumed,
    BatchStopping,
    Event,
    JobCanceled,
    JobHeld,
    JobReleased,
    JobSubmitted,
)
from batchkit._hint_sender import HintSender
from batchkit._jobs import (
    IN_FLIGHT,
    TERMINAL,
    TRANSITIONS,
    ErrorKind,
    Handle,
    Job,
    JobStatus,
)
from batchkit.storage.base import Entry, Storage

log = logging.getLogger("batchkit.runner")

_S = JobStatus
_CANCELED_AT_ONCE = frozenset({_S.PENDING, _S.PAUSED, _S.UNCERTAIN, _S.FAILED, _S.EXPIRED})
#: What a job forgets when a person has it polled again.
_OF_THE_LAST_END = (
    "error",
    "completed",
    "not_before",
    "deadline",
    "cancel_requested_at",
    "poll_errors_since",
)
#: The reason that a stop leaves in the control record of a paused batch.
STOPPED_WHILE_PAUSED = "stopped while paused"


class BatchSteering(BatchView):
    """A batch in a storage, to be read and steered. Works from any process and any thread."""

    def __init__(self, storage: Storage, batch: Batch, clock: Clock) -> None:
        super().__init__(storage, batch, clock)
        self._on_change: Callable[[], None] = _nothing
        self._hint_sender = HintSender(storage, batch.id, clock)

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

        A job that was not sent is CANCELED at once, and so is one that failed or expired: it is
        given up. One in flight is cancelled at the provider by whoever runs the batch, and becomes
        CANCELED when the provider confirms it.

        Returns:
            whether there was anything to cancel.
        """
        if self._steer(job, _CANCELED_AT_ONCE, _S.CANCELED, JobCanceled):
            return True
        found = self.job(job)
        if found.status not in IN_FLIGHT:
            return False
        self.storage.request_cancel(found.id, self.clock.time())
        self._on_change()
        return True

    def wake(self, job: Job | int | None = None, *, handle_id: str | None = None) -> bool:
        """Polls a job now, as far as its provider allows: what a webhook means. From any thread.

        From any process, too, that opens the batch: where its run is not of this runner, the
        storage passes the hint on (see :class:`JobHinted`), which takes a moment.

        Args:
            job: the job, or its id.
            handle_id: or its id at the provider, as a webhook names it.

        Returns:
            whether such a job of this batch is in flight; if not, nothing happens.

        Raises:
            UsageError: neither was named, or both.
            StorageError: the storage that passes it on cannot be used.
        """
        if (job is None) is (handle_id is None):
            raise UsageError("name the job to wake, or handle_id=, its id at the provider")
        known = self._pass_on(job.id if isinstance(job, Job) else job, handle_id)
        if not known:
            log.debug("nobody to wake: no job in flight is %s", repr(handle_id or job)[:80])
        return known

    def _pass_on(self, job_id: int | None, handle_id: str | None) -> bool:
        """Tells whoever runs the batch; whether there is such a job."""
        return self._hint_sender.send(job_id, handle_id)

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

    def resolve(
        self,
        job: Job | int,
        outcome: Handle | Literal["not accepted"] | None = None,
        *,
        handle: Handle | str | None = None,
    ) -> bool:
        """Says what became of an uncertain submission; whether the job was uncertain.

        Args:
            job: the job, or its id.
            outcome: ``"not accepted"``: the provider has no such job, so it is submitted again.
            handle: what was found at the provider, or its id there: the job is polled on.

        Raises:
            UsageError: neither was said, or both.
        """
        found = handle if handle is not None else outcome
        if found is None or (handle is not None and outcome is not None):
            raise UsageError('say handle="the id at the provider", or "not accepted"')
        if handle is None and isinstance(found, str) and found != "not accepted":
            raise UsageError(f"{found!r} is not understood: say 'not accepted', or handle=...")
        known = self.job(job)
        if known.status is not _S.UNCERTAIN:
            return False
        if found == "not accepted":
            return self._put(known.to(_S.PENDING, error=None), known.status, JobReleased)
        return self.reattach(known, found)

    def reattach(self, job: Job | int, handle: Handle | str | None = None) -> bool:
        """Polls a job again that ended without its result, or whose submission is uncertain.

        Nothing is submitted: it undoes a deadline that was too short, a provider that had seemed to
        have lost the job, or a result that had seemed gone.

        Args:
            job: the job, or its id.
            handle: what finds it at the provider, or its id there; by default what is stored.

        Returns:
            whether it was such a job.

        Raises:
            UsageError: no handle is given, and none is stored.
        """
        found = self.job(job)
        if _S.PROCESSING not in TRANSITIONS[found.status] or found.status is _S.SUBMITTING:
            return False
        handle = handle or found.handle or self.storage.evidence(found.id, found.attempt)
        if handle is None:
            raise UsageError(f"job {found.id} has no handle: pass handle=, its id at the provider")
        if isinstance(handle, str):
            handle = Handle(id=handle)
        fresh: dict[str, Any] = dict.fromkeys(_OF_THE_LAST_END)
        fresh["poll_errors"] = 0
        again = found.to(_S.PROCESSING, handle=handle, **fresh)
        # What a person found at the provider is evidence, as what the provider answered.
        return self._put(again, found.status, JobSubmitted, {"handle": plain_handle(handle)})

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

    def _put(
        self, job: Job, was: JobStatus, event: type[Event], data: Mapping[str, Any] | None = None
    ) -> bool:
        entry = Entry(event.kind, self.clock.time(), job.id, job.attempt, data)
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
    kind = job.error.kind if job.error is not None else None
    if job.status is _S.EXPIRED:
        return _S.PENDING
    if kind is ErrorKind.UNCERTAIN:
        return _S.UNCERTAIN
    if kind is ErrorKind.COLLECT:
        return _S.COLLECTING
    given_up = kind in (ErrorKind.DEADLINE, ErrorKind.NOT_FOUND)
    return _S.PROCESSING if given_up and job.handle is not None else _S.PENDING


def _nothing() -> None:
    """Nobody here needs to know."""
