"""Jobs: what they hold, which status may follow which, and the one method that changes it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Self

import attrs

from batchkit._errors import InvalidTransitionError
from batchkit._i18n import text
from batchkit._redaction import scrub
from batchkit._requests import Request
from batchkit._results import EMPTY, JobResult


class JobStatus(enum.StrEnum):
    """Where a job stands. The values are stored; people see :meth:`label`."""

    #: Waits for its turn.
    PENDING = "pending"
    #: Held by a person.
    PAUSED = "paused"
    #: The intent is stored; the paid request may be on its way.
    SUBMITTING = "submitting"
    #: Nobody can tell whether the submission was accepted.
    UNCERTAIN = "uncertain"
    #: The provider works on it, under a handle that is stored.
    PROCESSING = "processing"
    #: Finished and paid; the result is not yet on disk.
    COLLECTING = "collecting"
    #: The result is here, whole and verified.
    COMPLETED = "completed"
    #: It ended without a result; ``job.error`` says why.
    FAILED = "failed"
    #: It finished, but its result was gone before it could be collected.
    EXPIRED = "expired"
    #: Confirmed by the provider, never sent, or given up by a person after it had failed.
    CANCELED = "canceled"

    def label(self, lang: str | None = None, *, local: bool = False) -> str:
        """The status as people read it; a *local* client's live jobs are all in processing."""
        if local and self in (JobStatus.SUBMITTING, JobStatus.COLLECTING):
            return text("processing", lang)
        return text(self.value, lang)


_S = JobStatus

#: Which status may follow which; :meth:`Job.to` enforces it.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    # To COLLECTING without a submission: the verified result is on disk already.
    _S.PENDING: frozenset({_S.PAUSED, _S.SUBMITTING, _S.COLLECTING, _S.FAILED, _S.CANCELED}),
    _S.PAUSED: frozenset({_S.PENDING, _S.CANCELED}),
    _S.SUBMITTING: frozenset(
        {_S.PENDING, _S.PROCESSING, _S.COLLECTING, _S.UNCERTAIN, _S.FAILED, _S.CANCELED}
    ),
    _S.UNCERTAIN: frozenset({_S.PROCESSING, _S.PENDING, _S.COLLECTING, _S.FAILED, _S.CANCELED}),
    _S.PROCESSING: frozenset({_S.COLLECTING, _S.PENDING, _S.FAILED, _S.EXPIRED, _S.CANCELED}),
    _S.COLLECTING: frozenset({_S.COMPLETED, _S.EXPIRED, _S.FAILED}),
    _S.COMPLETED: frozenset(),
    # Only a person takes these up again.
    _S.FAILED: frozenset({_S.PENDING, _S.PROCESSING, _S.COLLECTING, _S.UNCERTAIN, _S.CANCELED}),
    _S.EXPIRED: frozenset({_S.PENDING, _S.PROCESSING, _S.CANCELED}),
    _S.CANCELED: frozenset({_S.PENDING, _S.PROCESSING, _S.COLLECTING, _S.UNCERTAIN}),
}

#: Ended; nothing happens to these by itself.
TERMINAL = frozenset({_S.COMPLETED, _S.FAILED, _S.EXPIRED, _S.CANCELED})
#: Work that a provider may hold: taken up first by every run.
IN_FLIGHT = frozenset({_S.SUBMITTING, _S.PROCESSING, _S.COLLECTING})
#: Waits for a person.
HELD = frozenset({_S.PAUSED, _S.UNCERTAIN})


class ErrorKind(enum.StrEnum):
    """Why a job failed, coarse enough to act on."""

    NETWORK = "network"
    RATE_LIMIT = "rate_limit"
    AUTHENTICATION = "authentication"
    QUOTA = "quota"
    MODERATION = "moderation"
    INVALID_INPUT = "invalid_input"
    PROVIDER = "provider"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    UNCERTAIN = "uncertain"
    COLLECT = "collect"
    CLIENT = "client"


@attrs.frozen(kw_only=True)
class JobError:
    """Why a job failed, or why its last attempt did.

    Attributes:
        kind: the class of fault.
        message: for people; secrets in it are masked.
        code: the provider's own word.
        remedy: what a person can do.
        retryable: whether a new attempt may succeed.
    """

    kind: ErrorKind
    message: str = attrs.field(converter=scrub)
    code: str | None = attrs.field(default=None, converter=attrs.converters.optional(scrub))
    remedy: str | None = None
    retryable: bool = False


@attrs.frozen(kw_only=True)
class Handle:
    """What finds a job again at its provider, also from another process.

    Attributes:
        id: the provider's own id.
        data: JSON values that polling needs besides (URLs, an application name).
    """

    id: str
    data: Mapping[str, Any] = attrs.field(default=EMPTY, repr=False, hash=False)


# Not slotted: evolve() copies the instance dictionary, a sixth of the time of attrs.evolve on
# this many fields, and every transition of every job goes through it.
@attrs.frozen(kw_only=True, slots=False, eq=True)
class Job:
    """One item of a batch. Frozen: each change makes a new one. Times are UTC seconds.

    Attributes:
        id: unique in its storage.
        batch_id: its batch.
        index: position in the batch, from 0.
        identity: key or hash that makes it unique in its batch.
        request: what is asked.
        status: where it stands.
        attempt: how many submissions were started.
        retries: how many of them followed a failure.
        priority: higher goes first.
        handle: what finds it at the provider.
        progress: 0 to 1, or ``None`` when unknown.
        result: what it produced.
        error: why it failed, or why its last attempt did.
        cost: settled so far, in the provider's currency; ``None`` is unknown, not zero.
        created, started, completed: when it was added, first submitted, ended.
        not_before: not to be submitted earlier.
        deadline: when it is given up.
        cancel_requested_at: when a person asked for its end.
        poll_errors: failed status queries in a row.
        poll_errors_since: when the first of them failed.
        submit_key: what this attempt, and no other, carries to the provider; for ``submit``.
        prepared: what the free *prepare* step left for ``submit``.
        metadata: the host's own facts; usable in output templates.
        epoch: the fence; a writer with an older one is ignored.
    """

    id: int
    batch_id: int
    index: int
    identity: str
    request: Request
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    retries: int = 0
    priority: int = 0
    handle: Handle | None = None
    progress: float | None = None
    result: JobResult | None = None
    error: JobError | None = None
    cost: float | None = None
    created: float = 0.0
    started: float | None = None
    completed: float | None = None
    not_before: float | None = None
    deadline: float | None = None
    cancel_requested_at: float | None = None
    poll_errors: int = 0
    poll_errors_since: float | None = None
    submit_key: str = ""
    prepared: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    metadata: Mapping[str, Any] = attrs.field(default=EMPTY, hash=False)
    epoch: int = 0

    def evolve(self, **changes: Any) -> Self:
        """A copy with other values; the status changes only through :meth:`to`."""
        new = object.__new__(type(self))
        object.__setattr__(new, "__dict__", self.__dict__ | changes)
        return new

    def to(self, status: JobStatus, **changes: Any) -> Self:
        """A copy in another status.

        Raises:
            InvalidTransitionError: the table does not allow it.
        """
        if status not in TRANSITIONS[self.status]:
            raise InvalidTransitionError(self.id, self.status, status)
        return self.evolve(status=status, **changes)

    @property
    def done(self) -> bool:
        """Whether it ended, well or not."""
        return self.status in TERMINAL

    @property
    def title(self) -> str:
        """A short text that tells people which item this is."""
        return self.request.title

    @property
    def seconds(self) -> float | None:
        """Seconds from its first submission to its end."""
        if self.started is None or self.completed is None:
            return None
        return self.completed - self.started

    def __repr__(self) -> str:
        parts = [f"<Job {self.id} {self.status.upper()} {self.title[:30]!r}"]
        if self.attempt > 1:
            parts.append(f"attempt={self.attempt}")
        if self.error is not None:
            parts.append(f"error={self.error.kind}")
        return " ".join(parts) + ">"


@attrs.frozen(kw_only=True)
class Attempt:
    """One submission of a job, put together from the append-only journal.

    Attributes:
        number: from 1.
        submit_key: the key that this submission alone carried.
        started: when the intent was stored, UTC seconds.
        handle: what the provider answered, if it did.
        outcome: the journal's last word on it, as ``"completed"`` or ``"uncertain"``.
        ended: when that word was written.
    """

    number: int
    submit_key: str
    started: float
    handle: Handle | None = None
    outcome: str | None = None
    ended: float | None = None


def submit_key(uid: str, index: int, attempt: int) -> str:
    """The key that one submission alone carries; the same again after a restart.

    Args:
        uid: of the batch.
        index: of the job in it.
        attempt: from 1. A key is never used for two attempts: a provider that replays would
            answer the second with the first one's failure.
    """
    return f"{uid}-{index}-{attempt}"


def count_by_status(jobs: Iterable[Job]) -> dict[JobStatus, int]:
    """How many jobs stand where; statuses without a job are left out."""
    counts: dict[JobStatus, int] = {}
    for job in jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    return counts
