"""Run batches of video jobs against any API: never pay twice, never lose a job that was paid for.

The names below are the library. Backends live in ``batchkit.clients``, ``batchkit.storage``,
``batchkit.executors``, ``batchkit.artifacts`` and ``batchkit.sources``; test tools in
``batchkit.testing``.
"""

import logging as _logging

from batchkit._adding import Added
from batchkit._config import Batch, BatchConfig, Control
from batchkit._context import WorkCanceledError, report_progress
from batchkit._doubt import Doubt
from batchkit._errors import (
    AuthenticationError,
    BatchBusyError,
    BatchkitError,
    ClientError,
    ClientMismatchError,
    FlowError,
    InvalidTransitionError,
    JobNotFoundError,
    MissingExtraError,
    ModerationError,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    QuotaError,
    RateLimitedError,
    RejectedError,
    ResultExpiredError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageKeyError,
    StorageLockedError,
    StorageUnavailableError,
    StorageVersionError,
    TemplateError,
    UsageError,
    WebhookError,
)
from batchkit._events import (
    EVENT_KINDS,
    BatchEvent,
    BatchFinished,
    BatchPaused,
    BatchResumed,
    BatchStarted,
    BatchStopping,
    Event,
    JobCanceled,
    JobCollecting,
    JobCompleted,
    JobEvent,
    JobExpired,
    JobFailed,
    JobHeld,
    JobHinted,
    JobProgress,
    JobReleased,
    JobResubmitted,
    JobRetrying,
    JobSubmitted,
    JobSubmitting,
    JobUncertain,
)
from batchkit._handle import BatchHandle
from batchkit._jobs import (
    TRANSITIONS,
    Attempt,
    ErrorKind,
    Handle,
    Job,
    JobError,
    JobStatus,
)
from batchkit._limits import RateLimit
from batchkit._polling import PollPolicy
from batchkit._progress import Progress
from batchkit._requests import (
    GenerateVideo,
    OpaqueRequest,
    Request,
    TranscribeVideo,
    register_request,
)
from batchkit._results import Artifact, Download, JobResult, Output, Segment, Transcript, Word
from batchkit._retry import Exponential, RetryPolicy, parse_retry_after
from batchkit._runner import BatchRunner, run
from batchkit._summary import ExitCode, Summary
from batchkit.clients.base import (
    Accepted,
    Capabilities,
    Finished,
    RemoteState,
    RemoteStatus,
    VideoClient,
)

__all__ = [
    "__version__",
    "Accepted",
    "Added",
    "Artifact",
    "Attempt",
    "AuthenticationError",
    "Batch",
    "BatchBusyError",
    "BatchConfig",
    "BatchEvent",
    "BatchFinished",
    "BatchHandle",
    "BatchkitError",
    "BatchPaused",
    "BatchResumed",
    "BatchRunner",
    "BatchStarted",
    "BatchStopping",
    "Capabilities",
    "ClientError",
    "ClientMismatchError",
    "Control",
    "Doubt",
    "Download",
    "ErrorKind",
    "Event",
    "EVENT_KINDS",
    "ExitCode",
    "Exponential",
    "Finished",
    "FlowError",
    "GenerateVideo",
    "Handle",
    "InvalidTransitionError",
    "Job",
    "JobCanceled",
    "JobCollecting",
    "JobCompleted",
    "JobError",
    "JobEvent",
    "JobExpired",
    "JobFailed",
    "JobHeld",
    "JobHinted",
    "JobNotFoundError",
    "JobProgress",
    "JobReleased",
    "JobResubmitted",
    "JobResult",
    "JobRetrying",
    "JobStatus",
    "JobSubmitted",
    "JobSubmitting",
    "JobUncertain",
    "MissingExtraError",
    "ModerationError",
    "NotAcceptedError",
    "NotFoundError",
    "OpaqueRequest",
    "OutcomeUnknownError",
    "Output",
    "parse_retry_after",
    "PollPolicy",
    "Progress",
    "QuotaError",
    "RateLimit",
    "RateLimitedError",
    "register_request",
    "RejectedError",
    "RemoteState",
    "RemoteStatus",
    "report_progress",
    "Request",
    "ResultExpiredError",
    "RetryPolicy",
    "run",
    "Segment",
    "StorageCorruptError",
    "StorageError",
    "StorageFullError",
    "StorageKeyError",
    "StorageLockedError",
    "StorageUnavailableError",
    "StorageVersionError",
    "Summary",
    "TemplateError",
    "TranscribeVideo",
    "Transcript",
    "TRANSITIONS",
    "UsageError",
    "VideoClient",
    "WebhookError",
    "Word",
    "WorkCanceledError",
]

__version__ = "0.1.0"

# A library says nothing unless its host program listens.
_logging.getLogger("batchkit").addHandler(_logging.NullHandler())


def _show_public_names() -> None:
    """Makes tracebacks show the name that users import.

    Only of exceptions: the annotations of other classes are resolved in the module they name.
    """
    for name in __all__:
        value = globals()[name]
        if isinstance(value, type) and issubclass(value, BaseException):
            value.__module__ = __name__


_show_public_names()
