"""Events: one vocabulary for the stored journal, for callbacks and for every screen.

An event is told after the save that makes it true. Per job they arrive in order; a crash may
repeat the last one, and none is lost: the journal is written in the same transaction as the state.
:class:`JobProgress` alone is not journalled, and is coalesced when a callback is slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from batchkit._jobs import Job


@attrs.frozen(kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        seq: number in the journal of this storage, in commit order; 0 when it is not journalled.
        at: UTC seconds.
        batch_id: its batch.
        data: the facts that are stored with it; JSON values.
    """

    kind: ClassVar[str] = ""

    seq: int = 0
    at: float
    batch_id: int
    data: Mapping[str, Any] = attrs.field(factory=dict, hash=False, repr=False)


@attrs.frozen(kw_only=True)
class BatchEvent(Event):
    """Something happened to the batch as a whole."""


@attrs.frozen(kw_only=True)
class BatchStarted(BatchEvent):
    """A runner took the batch up."""

    kind: ClassVar[str] = "batch_started"


@attrs.frozen(kw_only=True)
class BatchPaused(BatchEvent):
    """No new submissions; ``data["reason"]`` is there when batchkit paused by itself."""

    kind: ClassVar[str] = "batch_paused"


@attrs.frozen(kw_only=True)
class BatchResumed(BatchEvent):
    """Submissions go on."""

    kind: ClassVar[str] = "batch_resumed"


@attrs.frozen(kw_only=True)
class BatchStopping(BatchEvent):
    """No new submissions; the run ends when what is in flight has ended."""

    kind: ClassVar[str] = "batch_stopping"


@attrs.frozen(kw_only=True)
class BatchFinished(BatchEvent):
    """A runner left the batch; ``data`` holds the counts by status."""

    kind: ClassVar[str] = "batch_finished"


@attrs.frozen(kw_only=True)
class JobEvent(Event):
    """Something happened to one job.

    Attributes:
        job: its record right after; for events read from a journal, its record now.
        attempt: the submission that it belongs to; 0 before the first.
    """

    job: Job
    attempt: int = 0


@attrs.frozen(kw_only=True)
class JobSubmitting(JobEvent):
    """The intent is stored; the request leaves next."""

    kind: ClassVar[str] = "submitting"


@attrs.frozen(kw_only=True)
class JobSubmitted(JobEvent):
    """The provider accepted it; ``data["handle"]`` is the evidence."""

    kind: ClassVar[str] = "submitted"


@attrs.frozen(kw_only=True)
class JobProgress(JobEvent):
    """The provider, or local work, reports ``job.progress``, 0 to 1; or status queries fail."""

    kind: ClassVar[str] = "progress"


@attrs.frozen(kw_only=True)
class JobUncertain(JobEvent):
    """Nobody can tell whether the submission was accepted; it is not repeated by itself."""

    kind: ClassVar[str] = "uncertain"


@attrs.frozen(kw_only=True)
class JobRetrying(JobEvent):
    """Back to pending; it is submitted again at ``job.not_before``."""

    kind: ClassVar[str] = "retrying"


@attrs.frozen(kw_only=True)
class JobResubmitted(JobEvent):
    """An uncertain submission will be repeated, as ``on_uncertain="resubmit"`` allows.

    It may be billed twice; ``data["risk"]`` is what that costs at most, ``None`` when the client
    cannot tell.
    """

    kind: ClassVar[str] = "resubmitted"


@attrs.frozen(kw_only=True)
class JobCollecting(JobEvent):
    """Finished and paid; the result is being fetched."""

    kind: ClassVar[str] = "collecting"


@attrs.frozen(kw_only=True)
class JobCompleted(JobEvent):
    """The result is here."""

    kind: ClassVar[str] = "completed"


@attrs.frozen(kw_only=True)
class JobFailed(JobEvent):
    """It ended without a result; ``job.error`` says why."""

    kind: ClassVar[str] = "failed"


@attrs.frozen(kw_only=True)
class JobExpired(JobEvent):
    """Its result was gone before it could be collected."""

    kind: ClassVar[str] = "expired"


@attrs.frozen(kw_only=True)
class JobCanceled(JobEvent):
    """Confirmed by the provider, or never sent."""

    kind: ClassVar[str] = "canceled"


@attrs.frozen(kw_only=True)
class JobHeld(JobEvent):
    """A person holds it back."""

    kind: ClassVar[str] = "held"


@attrs.frozen(kw_only=True)
class JobReleased(JobEvent):
    """A person let it go, or asked for another try."""

    kind: ClassVar[str] = "released"


@attrs.frozen(kw_only=True)
class JobHinted(JobEvent):
    """A webhook reached a process that does not run the batch: whoever does is to poll the job."""

    kind: ClassVar[str] = "hinted"


def _concrete(cls: type[Event]) -> dict[str, type[Event]]:
    found = {cls.kind: cls} if cls.kind else {}
    for sub in cls.__subclasses__():
        found.update(_concrete(sub))
    return found


#: Every event class by the kind under which the journal stores it.
EVENT_KINDS: Mapping[str, type[Event]] = _concrete(Event)

#: Kinds after which a job has ended.
TERMINAL_EVENTS = (JobCompleted, JobFailed, JobExpired, JobCanceled)
