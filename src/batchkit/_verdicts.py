"""What a failed submission proves: the one table on which *never pay twice* rests.

======================================================  ============================================
the call raised                                         it proves
======================================================  ============================================
``NotAcceptedError``, ``RateLimitedError``              not accepted: the provider said so
``RejectedError``, ``AuthenticationError``              rejected: the provider said so
``ConnectionRefusedError``, ``socket.gaierror``         not sent: no connection was made
httpx: ``ConnectError``, ``ConnectTimeout``,            not sent: the request had not left
``PoolTimeout``, ``ProxyError``,
``UnsupportedProtocol``, ``InvalidURL``
an HTTP answer of 429                                   not accepted, and everybody slows down
an HTTP answer of 401, 402, 403                         rejected: as ``AuthenticationError``
an HTTP answer of 400, 404, 405, 406, 410, 411, 413,    rejected: the request itself is refused
414, 415, 422
an HTTP answer that ``Capabilities.not_accepted``       not accepted: the provider documents it
names, as 503
any other HTTP answer: 408, 409, 425, 5xx, redirects    nothing: the outcome is UNCERTAIN
anything else, time-outs included                       nothing: the outcome is UNCERTAIN
======================================================  ============================================

"An HTTP answer" is the ``response.status_code`` of the ``HTTPStatusError`` of httpx, or of the
``HTTPError`` of requests, that a client lets through. The meaning of the codes is that of RFC 9110;
409 and 425 prove nothing, because they may speak of an earlier request with the same key.

What a plain function raises is a failure, not UNCERTAIN, unless it raises ``OutcomeUnknownError``,
or has not ended when its time is over. It is not repeated by itself unless it raises
``NotAcceptedError``: a function may send several requests, and a connection that was refused may
have been its second. Work that is free to repeat needs no proof. Foreign classes are told by name,
so that nothing here imports them and the successors of httpx are understood too.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

import attrs

from batchkit import _errors as errors
from batchkit._io import CallTimeoutError
from batchkit._jobs import ErrorKind, JobError
from batchkit._retry import parse_retry_after

_NOT_SENT_BY_NAME = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "InvalidURL",
    }
)
_NETWORK_BY_NAME = frozenset({"TransportError", "TimeoutException", "ClientConnectionError"})
_HTTP_PACKAGES = ("httpx", "httpcore", "aiohttp")
_STATUS_BY_NAME = frozenset({"HTTPStatusError", "HTTPError"})
_STATUS_PACKAGES = ("httpx", "requests")

_REFUSED = frozenset({400, 404, 405, 406, 410, 411, 413, 414, 415, 422})
_FORBIDDEN = frozenset({401, 402, 403})
_TOO_MANY = 429

_KINDS: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (errors.RateLimitedError, ErrorKind.RATE_LIMIT),
    (errors.NotAcceptedError, ErrorKind.NETWORK),
    (errors.QuotaError, ErrorKind.QUOTA),
    (errors.AuthenticationError, ErrorKind.AUTHENTICATION),
    (errors.ModerationError, ErrorKind.MODERATION),
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

    NOT_SENT = enum.auto()
    NOT_ACCEPTED = enum.auto()
    REJECTED = enum.auto()
    NOTHING = enum.auto()


@attrs.frozen
class Verdict:
    """What a failed submission proves, why it failed, and how long the provider asks to wait."""

    proof: Proof
    error: JobError
    retry_after: float | None = None


def judge(
    exc: Exception, *, is_function: bool = False, not_accepted: Collection[int] = (), now: float = 0
) -> Verdict:
    """Reads a failed submission by the table above.

    Args:
        exc: what the call raised.
        is_function: the client is a plain function that may cost money.
        not_accepted: HTTP status codes that prove it at this provider.
        now: UTC seconds, to turn a date in ``Retry-After`` into a wait.
    """
    ended = not isinstance(exc, (CallTimeoutError, errors.OutcomeUnknownError))
    if is_function and ended and not _is_proof(exc):
        # It raised, so it has failed; but what it may have paid for is not paid for again.
        error = describe(exc)
        final = attrs.evolve(error, retryable=False, remedy=error.remedy and _PERHAPS_BILLED)
        return Verdict(Proof.REJECTED, final)
    exc = _submission(exc, not_accepted, now)
    retry_after = exc.retry_after if isinstance(exc, errors.ClientError) else None
    return Verdict(_proof(exc), describe(exc), retry_after)


def _is_proof(exc: Exception) -> bool:
    return isinstance(exc, errors.ClientError) and _proof(exc) is not Proof.NOTHING


def judge_free(exc: Exception, now: float) -> Verdict:
    """Reads a failure of what costs nothing to repeat: nothing has to be proved.

    Args:
        exc: what the call raised.
        now: UTC seconds.
    """
    exc = understood(exc, now)
    error = describe(exc)
    if error.kind is ErrorKind.UNCERTAIN:
        error = attrs.evolve(error, kind=ErrorKind.PROVIDER, retryable=True, remedy=None)
    retry_after = exc.retry_after if isinstance(exc, errors.ClientError) else None
    return Verdict(Proof.NOT_SENT if _never_sent(exc) else Proof.NOT_ACCEPTED, error, retry_after)


def understood(exc: Exception, now: float) -> Exception:
    """What a free call raised, with the HTTP answer in it as the error of ours that it means."""
    answer = _answer(exc, now)
    return exc if answer is None else free_error(answer[0], **answer[1])


def free_error(status: int, message: str, **given: Any) -> errors.ClientError:
    """What an HTTP status means as the answer to a call that costs nothing."""
    if status in (404, 410):
        return errors.NotFoundError(message, **given)
    if status == _TOO_MANY:
        return errors.RateLimitedError(message, **given)
    if status in _FORBIDDEN:
        return errors.AuthenticationError(message, **given)
    if status in _REFUSED:
        return errors.RejectedError(message, **given)
    return errors.ClientError(message, **given, retryable=True)


def submission_error(
    status: int, not_accepted: Collection[int], message: str, **given: Any
) -> errors.ClientError:
    """What an HTTP status proves as the answer to a submission; see the table of this module."""
    if status in not_accepted and status != _TOO_MANY:
        return errors.NotAcceptedError(message, **given)
    if status in _REFUSED:
        return errors.RejectedError(message, **given)
    if status == _TOO_MANY or status in _FORBIDDEN:
        return free_error(status, message, **given)
    return errors.OutcomeUnknownError(message, **given)


def _submission(exc: Exception, not_accepted: Collection[int], now: float) -> Exception:
    """What a submission raised, with the HTTP answer in it as the error that it proves."""
    answer = _answer(exc, now)
    return exc if answer is None else submission_error(answer[0], not_accepted, **answer[1])


def _answer(exc: Exception, now: float) -> tuple[int, dict[str, Any]] | None:
    """The status of the HTTP answer in a foreign exception, and what our error is made of."""
    for cls in type(exc).__mro__:
        if cls.__name__ in _STATUS_BY_NAME and cls.__module__.startswith(_STATUS_PACKAGES):
            break
    else:
        return None
    response: Any = getattr(exc, "response", None)
    if response is None:
        return None
    status: int = response.status_code
    # Not the text of the exception: it holds the whole address.
    message, after = f"the provider answers {status}", parse_retry_after(response.headers, now)
    return status, {"message": message, "code": str(status), "retry_after": after}


def _proof(exc: Exception) -> Proof:
    if isinstance(exc, errors.NotAcceptedError):
        return Proof.NOT_ACCEPTED
    if isinstance(exc, (errors.RejectedError, errors.AuthenticationError)):
        return Proof.REJECTED
    return Proof.NOT_SENT if _never_sent(exc) else Proof.NOTHING


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
    ErrorKind.QUOTA: "add credit or wait for the quota, then resume the batch",
    ErrorKind.MODERATION: "change the prompt: the provider refuses it, and will again",
    ErrorKind.INVALID_INPUT: "correct the item and add it again: the same would be refused again",
    ErrorKind.TIMEOUT: "raise request_timeout if the provider is slow",
    ErrorKind.UNCERTAIN: "look the job up at the provider before repeating it",
    ErrorKind.NOT_FOUND: "check that the key belongs to the account that started the job",
    ErrorKind.EXPIRED: "collect results sooner, or raise the provider's retention",
    ErrorKind.DEADLINE: "raise job_timeout, then retry the job: it is polled again, not submitted",
}


def with_remedy(error: JobError) -> JobError:
    """An error that a client made, with what a person can do about it."""
    return attrs.evolve(error, remedy=error.remedy or _REMEDY.get(error.kind))


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
