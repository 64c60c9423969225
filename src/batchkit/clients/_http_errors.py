"""What an HTTP answer of a provider means, as the error that the pipeline understands."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from batchkit import _errors as errors
from batchkit._redaction import scrub
from batchkit._retry import parse_retry_after
from batchkit._verdicts import free_error, submission_error
from batchkit.clients.http import Fault, HttpResponse

#: Headers in which providers name a request, for their support.
REQUEST_IDS = ("x-request-id", "x-fal-request-id", "dg-request-id", "request-id", "cf-ray")
#: Of a provider's message; some send a whole page.
_LONGEST = 500

#: What a fault's own word makes of an answer from 400 to 499.
_BY_KIND: dict[str, Callable[..., errors.ClientError]] = {
    "authentication": errors.AuthenticationError,
    "moderation": errors.ModerationError,
    "invalid": errors.RejectedError,
    "quota": errors.QuotaError,
    "rate_limit": errors.RateLimitedError,
}
#: Statuses that prove nothing about a submission, whatever else the answer says.
_PROVES_NOTHING = frozenset({408, 409, 425})


def error_of(
    response: HttpResponse, fault: Fault, *, paying: bool, not_accepted: Collection[int]
) -> errors.ClientError:
    """The error that an answer means.

    Args:
        response: the answer, of a status from 300 on.
        fault: what the client read in it.
        paying: it answers a submission, so it has to prove what it says.
        not_accepted: statuses that the provider documents as proof of "not accepted".
    """
    said = scrub(fault.message.strip())[:_LONGEST]
    message = f"the provider answers {response.status}" + (f": {said}" if said else "")
    if (request := request_id(response)) is not None:
        message += f" (request {request})"
    after = parse_retry_after(response.headers, time.time())
    code = fault.code or str(response.status)
    believed = 400 <= response.status < 500 and not (paying and response.status in _PROVES_NOTHING)
    if believed and fault.kind in _BY_KIND:
        return _BY_KIND[fault.kind](message, code=code, retry_after=after)
    if paying:
        given = {"code": code, "retry_after": after}
        return submission_error(response.status, not_accepted, message, **given)
    return free_error(response.status, message, code=code, retry_after=after)


def name_request(exc: Exception, response: HttpResponse) -> None:
    """Puts the provider's name for a request into the message of what came of it."""
    if (request := request_id(response)) is not None:
        exc.args = (f"{str(exc) or type(exc).__name__} (request {request})", *exc.args[1:])


def request_id(response: HttpResponse) -> str | None:
    """The provider's name for this request."""
    found = (response.headers.get(name) for name in REQUEST_IDS)
    return next((value for value in found if value), None)
