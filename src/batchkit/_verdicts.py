"""What a failed submission proves: the one table on which *never pay twice* rests.

======================================================  ============================================
the call raised                                         it proves
======================================================  ============================================
``NotAcceptedError``, ``RateLimitedError``              not accepted: the provider said so
``RejectedError``, ``AuthenticationError``              rejected: the provider said so
``ConnectionRefusedError``, ``socket.gaierror``         not sent: no connection was made
httpx: ``ConnectError``, ``ConnectTimeout``,            not sent: the request had not left
``PoolTimeout``, ``UnsupportedProtocol``, ``InvalidURL``
anything else, time-outs included                       nothing: the outcome is UNCERTAIN
======================================================  ============================================

A plain function is trusted to mean what it raises: its exceptions are failures, not UNCERTAIN,
unless it raises ``OutcomeUnknownError``, or has not ended when its time is over. Work that is free
to repeat needs no proof. httpx classes are told by name, so that nothing here imports it and its
successors are understood too.
"""

from __future__ import annotations

import enum

import attrs

from batchkit import _errors as errors
from batchkit._io import CallTimeoutError
from batchkit._jobs import ErrorKind, JobError

_NOT_SENT_BY_NAME = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
)
_NETWORK_BY_NAME = frozenset({"TransportError", "TimeoutException", "ClientConnectionError"})
_HTTP_PACKAGES = ("httpx", "httpcore", "aiohttp")

_KINDS: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (errors.RateLimitedError, ErrorKind.RATE_LIMIT),
    (errors.NotAcceptedError, ErrorKind.NETWORK),
    (errors.AuthenticationError, ErrorKind.AUTHENTICATION),
    (errors.RejectedError, ErrorKind.INVALID_INPUT),
    (errors.NotFoundError, ErrorKind.NOT_FOUND),
    (errors.ResultExpiredError, ErrorKind.EXPIRED),
    (errors.OutcomeUnknownError, ErrorKind.UNCERTAIN),
    (errors.ClientError, ErrorKind.PROVIDER),
    (CallTimeoutError, ErrorKind.TIMEOUT),
    (TimeoutError, ErrorKind.TIMEOUT),
    (ConnectionError, ErrorKind.NETWORK),
)


class Proof(enum.Enum):
    """What is known about a submission that did not return normally."""

    NOT_ACCEPTED = enum.auto()
    REJECTED = enum.auto()
    NOTHING = enum.auto()


@attrs.frozen
class Verdict:
    """What a failed submission proves, why it failed, and how long the provider asks to wait."""

    proof: Proof
    error: JobError
    retry_after: float | None = None


def judge(exc: Exception, *, is_function: bool = False) -> Verdict:
    """Reads a failed submission by the table above.

    Args:
        exc: what the call raised.
        is_function: the client is a plain function that may cost money.
    """
    retry_after = exc.retry_after if isinstance(exc, errors.ClientError) else None
    proof, error = _proof(exc), describe(exc)
    ended = not isinstance(exc, (CallTimeoutError, errors.OutcomeUnknownError))
    if is_function and proof is Proof.NOTHING and ended:
        # It raised, so it has failed; but what it may have paid for is not paid for again.
        final = attrs.evolve(error, retryable=False, remedy=error.remedy and _PERHAPS_BILLED)
        return Verdict(Proof.REJECTED, final, retry_after)
    return Verdict(proof, error, retry_after)


def _proof(exc: Exception) -> Proof:
    if isinstance(exc, errors.NotAcceptedError):
        return Proof.NOT_ACCEPTED
    if isinstance(exc, (errors.RejectedError, errors.AuthenticationError)):
        return Proof.REJECTED
    return Proof.NOT_ACCEPTED if _never_sent(exc) else Proof.NOTHING


def _never_sent(exc: Exception) -> bool:
    if isinstance(exc, ConnectionRefusedError) or type(exc).__name__ == "gaierror":
        return True
    return bool(_http_names(exc) & _NOT_SENT_BY_NAME)


def _http_names(exc: Exception) -> set[str]:
    classes = type(exc).__mro__
    return {cls.__name__ for cls in classes if cls.__module__.startswith(_HTTP_PACKAGES)}


def describe(exc: Exception) -> JobError:
    """An exception as a record: the class of fault, a message, and whether repeating may help."""
    kind = _kind(exc)
    if isinstance(exc, errors.ClientError):
        return JobError(
            kind=kind,
            message=str(exc),
            code=exc.code,
            retryable=exc.retryable,
            remedy=_REMEDY.get(kind),
        )
    message = str(exc) or type(exc).__name__
    if kind is ErrorKind.CLIENT:
        message = f"{type(exc).__name__}: {message}"
    retryable = kind in (ErrorKind.NETWORK, ErrorKind.TIMEOUT)
    return JobError(kind=kind, message=message, retryable=retryable, remedy=_REMEDY.get(kind))


def _kind(exc: Exception) -> ErrorKind:
    for cls, kind in _KINDS:
        if isinstance(exc, cls):
            return kind
    if _never_sent(exc) or _http_names(exc) & _NETWORK_BY_NAME:
        return ErrorKind.NETWORK
    return ErrorKind.CLIENT


_REMEDY = {
    ErrorKind.NETWORK: "check the connection, then retry the failed jobs",
    ErrorKind.RATE_LIMIT: "lower max_concurrent or set rate_limit, then retry the failed jobs",
    ErrorKind.AUTHENTICATION: "check the key and the account's credit, then resume the batch",
    ErrorKind.TIMEOUT: "raise request_timeout if the provider is slow",
    ErrorKind.UNCERTAIN: "look the job up at the provider before repeating it",
    ErrorKind.NOT_FOUND: "check that the key belongs to the account that started the job",
    ErrorKind.EXPIRED: "collect results sooner, or raise the provider's retention",
    ErrorKind.DEADLINE: "raise job_timeout, then retry the job: it is polled again, not submitted",
}


_PERHAPS_BILLED = "it may have been billed: look at the provider before you retry it"


def deadline_error(seconds: float) -> JobError:
    """The error of a job that did not end in time."""
    return JobError(
        kind=ErrorKind.DEADLINE,
        message=f"did not end within {seconds:g} s",
        remedy=_REMEDY[ErrorKind.DEADLINE],
    )


def uncertain_error(cause: JobError | None) -> JobError:
    """The error of a submission that nobody can vouch for."""
    because = f" ({cause.message})" if cause is not None else ": the run died while it was sent"
    return JobError(
        kind=ErrorKind.UNCERTAIN,
        message=f"the submission may have been accepted{because}",
        code=cause.code if cause is not None else None,
        remedy=_REMEDY[ErrorKind.UNCERTAIN],
    )
