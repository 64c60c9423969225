"""The contract of a storage backend.

A storage is synchronous, safe to call from any thread, and small.
``batchkit.testing.check_storage`` tests an implementation against everything said here;
:class:`~batchkit.storage.MemoryStorage` is the reference.

Two writers touch a job. Its *runner* owns it through an **epoch**: :meth:`Storage.claim` stamps the
runner's epoch on the row, and every later :meth:`Storage.save` names it. A *person*, in any
process, changes a job that nobody is submitting with :meth:`Storage.steer`, which sets the epoch to
0, so that a runner that had just claimed it finds itself fenced. State is fenced; the journal is
not: what a provider answered is appended whatever the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import attrs

from batchkit._config import Batch, Control
from batchkit._events import Event
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._requests import Request
from batchkit._results import EMPTY, JobResult


@attrs.frozen(kw_only=True)
class NewJob:
    """A job to be added.

    Attributes:
        identity: key or hash that makes it unique in its batch.
        request: what is asked.
        stored: the request as :func:`~batchkit._requests.dump_request` wrote it.
        priority: higher goes first.
        metadata: the host's own facts.
    """

    identity: str
    request: Request
    stored: str
    priority: int = 0
    metadata: Mapping[str, Any] = EMPTY


class Entry(NamedTuple):
    """One line of the journal. A tuple, because every transition makes one.

    Attributes:
        kind: of the event; see :data:`batchkit.EVENT_KINDS`.
        at: UTC seconds.
        job_id: 0 for an event of the batch.
        attempt: the submission that it belongs to.
        data: JSON values.
        seq: given by the storage, in commit order.
    """

    kind: str
    at: float
    job_id: int = 0
    attempt: int = 0
    data: Mapping[str, Any] | None = None
    seq: int = 0


@attrs.define(eq=False)
class Change:
    """One save of one job.

    Attributes:
        job: the record as it shall be.
        before: the record as the storage has it.
        entries: journal lines that become true with it.
        power_safe: must survive the loss of power.
        result: ``job.result`` is new and has to be written.
        told: the event classes of *entries*; for whoever made the change, not for the storage.
    """

    job: Job
    before: Job
    entries: Sequence[Entry] = ()
    power_safe: bool = False
    result: bool = False
    told: Sequence[type[Event]] = ()


@attrs.frozen
class Saved:
    """What :meth:`Storage.save` did.

    Attributes:
        fenced: positions of changes whose job belongs to another epoch; their state was not
            written, their journal lines were.
        first_seq: number of the first journal line of this save.
    """

    fenced: frozenset[int]
    first_seq: int


@attrs.frozen
class Failures:
    """Failed jobs of one cause.

    Attributes:
        kind: the class of fault.
        message: for people.
        remedy: what a person can do.
        count: how many jobs.
        example: the first of them.
    """

    kind: str
    message: str
    remedy: str | None
    count: int
    example: int


class Storage(Protocol):
    """Where batches live. All times are UTC seconds."""

    @property
    def shared(self) -> bool:
        """Whether somebody else than its runner may change it."""
        ...

    @property
    def location(self) -> str:
        """Where it is, for messages and for the command that resumes."""
        ...

    # -- batches ---------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        """The batch of that name; made when there is none."""
        ...

    def find_batch(self, name: str) -> Batch | None:
        """The batch of that name, or ``None``."""
        ...

    def batches(self) -> Sequence[Batch]:
        """All of them, oldest first."""
        ...

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        """Writes ``client_ref``, ``config``, ``max_concurrent`` or ``started`` of a batch."""
        ...

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        """Writes what people want of the batch, and tells it; whether it was written.

        With *only_from*, only if the control still is that one.
        """
        ...

    def acquire(self, batch_id: int) -> int:
        """Makes the caller the batch's only runner; returns its epoch, higher than any before.

        Raises:
            BatchBusyError: another runner, in whichever process, has it. A dead one has not.
        """
        ...

    def release(self, batch_id: int) -> None:
        """Gives up what :meth:`acquire` took; harmless when it took nothing."""
        ...

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        """Adds what is new; for each item the job's id and whether it was new, in order."""
        ...

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        """Up to *limit* PENDING jobs that may go now, by priority and index, stamped with *epoch*.

        A job stamped with this epoch already is not handed out again.
        """
        ...

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        """Every SUBMITTING, UNCERTAIN, PROCESSING and COLLECTING job, stamped with *epoch*."""
        ...

    def next_due(self, batch_id: int, now: float) -> float | None:
        """When the next PENDING job that must still wait may go, also if the clock was set back."""
        ...

    def save(self, changes: Sequence[Change]) -> Saved:
        """Writes all of it in one transaction; one fenced change does not undo its neighbours.

        ``priority``, ``metadata``, ``request`` and ``cancel_requested_at`` are not written: they
        belong to persons.
        """
        ...

    def rescue(self, changes: Sequence[Change]) -> None:
        """Called when :meth:`save` failed: keeps the handles in *changes* somewhere else.

        These are the journal lines of *changes* that hold a handle. After the next
        :meth:`acquire` they stand in the journal, with the time at which the provider gave them.
        """
        ...

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        """Writes a person's change if the job still is *was*, in the same attempt.

        A change of status fences the runner. It writes ``priority`` and ``metadata`` too.
        """
        ...

    def remove(self, job_id: int) -> bool:
        """Deletes a PENDING or PAUSED job that was never submitted; whether it was there."""
        ...

    def request_cancel(self, job_id: int, now: float) -> None:
        """Notes that a person wants this job ended."""
        ...

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        """Jobs in flight that a person wants ended."""
        ...

    def get(self, job_id: int) -> Job | None:
        """One job with its result."""
        ...

    def find(self, batch_id: int, identity: str) -> Job | None:
        """One job by its identity, with its result."""
        ...

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        """Jobs in order of index, read in pages; without their results unless asked."""
        ...

    def result(self, job_id: int) -> JobResult | None:
        """The result of one job."""
        ...

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        """Jobs by status, without a scan."""
        ...

    def cost(self, batch_id: int) -> float | None:
        """Settled cost of all jobs; ``None`` when none told its cost."""
        ...

    def failures(self, batch_id: int) -> Sequence[Failures]:
        """Failed and expired jobs by kind and code (or message), the most frequent first."""
        ...

    # -- journal ---------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        """Adds lines that belong to no save; returns the number of the first."""
        ...

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Lines with a higher number than *since*, in order."""
        ...

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        """All submissions of a job."""
        ...

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        """The handle that the journal holds for one attempt."""
        ...

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self) -> object:
        """A token that differs once a person, or another process, has written.

        What persons do raises it: changes of a batch or its control, additions, removals, steering,
        wishes to cancel, a prune that deleted something; and so does every :meth:`append`. A
        runner's saves do not.
        """
        ...

    def prune(self, before: float) -> int:
        """Deletes batches whose every job ended before that time; returns how many jobs went.

        Empty batches that were made before it go too. A batch that a runner, in whichever process,
        works on is spared. What uses a batch that is gone raises
        :class:`~batchkit.StorageError`. Numbers of batches and jobs are never given twice.
        """
        ...

    def close(self) -> None:
        """Releases everything; may be called twice."""
        ...
