"""Everything that batchkit raises.

BatchkitError
├── UsageError                  bad input; the message names the remedy
│   ├── TemplateError           an output template that cannot work
│   ├── MissingExtraError       an optional dependency is not installed
│   └── ClientMismatchError     the batch belongs to another client, account or model
├── StorageError                the database cannot be read or written
│   ├── StorageLockedError      another process holds it
│   ├── StorageCorruptError     it is damaged, or not a batchkit database
│   ├── StorageVersionError     it was written by a newer batchkit
│   ├── StorageKeyError         it is encrypted with another key, or there is none
│   ├── StorageFullError        no space, or no permission to write
│   ├── StorageUnavailableError its server cannot be reached, or lets nobody in
│   └── BatchBusyError          another runner works on the same batch
├── JobNotFoundError            no such job in this batch
├── InvalidTransitionError      a status change that the table forbids
├── FlowError                   a pipeline step awaited something foreign
└── ClientError                 raised *by clients*, to say what they know
    ├── NotAcceptedError        proved: this submission was not accepted, try again
    │   └── RateLimitedError    the same, and everybody should slow down
    ├── RejectedError           the provider refuses this request; repeating is useless
    │   └── ModerationError     because of what it shows or says
    ├── AuthenticationError     the key is wrong; pauses the batch
    │   └── QuotaError          the account has no credit or quota left; pauses it too
    ├── NotFoundError           the provider does not know this handle
    ├── ResultExpiredError      the job finished, its result is gone
    ├── OutcomeUnknownError     nobody can tell whether the submission was accepted
    └── WebhookError            a webhook is not from the provider, or says nothing of use

A client that raises anything else from ``submit`` leaves the outcome unknown, unless it is a
plain function (see :mod:`batchkit.clients`).
"""

from __future__ import annotations

from typing import Self


class BatchkitError(Exception):
    """Base of every exception that batchkit raises."""


class UsageError(BatchkitError, ValueError):
    """The call cannot work as written; the message says what to change."""


class TemplateError(UsageError):
    """An output template has an unknown field, or maps two jobs to one file."""


class MissingExtraError(UsageError, ImportError):
    """A feature needs an optional dependency.

    Args:
        feature: what was asked for, as the user would call it.
        extra: the name of the extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f'{feature} needs the extra "{extra}": pip install "batchkit-video[{extra}]"'
        )
        self.feature, self.extra = feature, extra

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class ClientMismatchError(UsageError):
    """The stored batch was started with another client, and has work in flight there."""


class StorageError(BatchkitError):
    """The storage cannot be opened, read or written."""


class StorageLockedError(StorageError):
    """Another process holds the database for longer than the time-out."""


class StorageCorruptError(StorageError):
    """The file is damaged, or is not a batchkit database."""


class StorageVersionError(StorageError):
    """The database was written by a newer version of batchkit."""


class StorageKeyError(StorageError):
    """The storage is encrypted and this is not its key, or it is not encrypted and there is one."""


class StorageFullError(StorageError):
    """There is no space left, or the place cannot be written to."""


class StorageUnavailableError(StorageError):
    """The server of the storage cannot be reached, or refuses the login."""


class BatchBusyError(StorageError):
    """Another runner, in this or another process, works on the same batch."""


class JobNotFoundError(BatchkitError, LookupError):
    """The batch has no such job."""


class InvalidTransitionError(BatchkitError):
    """A job cannot go from one status to the other; see ``batchkit.TRANSITIONS``.

    Args:
        job_id: the job.
        old: its status.
        new: the status that was asked for.
    """

    def __init__(self, job_id: int, old: str, new: str) -> None:
        super().__init__(f"job {job_id} cannot go from {old} to {new}")
        self.job_id, self.old, self.new = job_id, old, new

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str]]:
        return type(self), (self.job_id, self.old, self.new)


class FlowError(BatchkitError):
    """A pipeline step awaited something that is not ``io``; a bug in batchkit or an extension."""


class ClientError(BatchkitError):
    """Raised by a client to tell the pipeline what it knows about a failed call.

    Args:
        message: for people; it must hold no secret.
        code: the provider's own word for the fault.
        retryable: whether a new attempt may succeed.
        retry_after: seconds that the provider asks to wait.
    """

    #: Whether a new attempt makes sense when the raiser does not say.
    default_retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message or (self.__doc__ or "").split("\n", 1)[0])
        self.code = code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after


class NotAcceptedError(ClientError):
    """The submission was proved not accepted: nothing was started, nothing will be billed."""

    default_retryable = True


class RateLimitedError(NotAcceptedError):
    """The provider asks everybody who shares the key to slow down."""


class RejectedError(ClientError):
    """The provider refuses this request (invalid input, moderation); nothing was started."""


class ModerationError(RejectedError):
    """The provider refuses this request because of what it shows or says; nothing was started."""


class AuthenticationError(ClientError):
    """The key is missing or wrong; nothing was started."""


class QuotaError(AuthenticationError):
    """The account has no credit or quota left; nothing was started."""


class NotFoundError(ClientError):
    """The provider says that it does not know this job."""


class ResultExpiredError(ClientError):
    """The job finished, but the provider has deleted its result."""


class OutcomeUnknownError(ClientError):
    """Nobody can tell whether the submission was accepted."""


class WebhookError(ClientError):
    """A webhook is refused; ``code`` says why, and polling goes on as before."""
