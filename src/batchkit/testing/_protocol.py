"""The client's half of the fake provider's protocol: pure requests and what replies prove.

One POST for one submission, and a claim of *not accepted* only where the provider documents it:
429, and 503 that says ``accepted: false``. Everything else that goes wrong leaves it unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit._errors import (
    AuthenticationError,
    ClientError,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    ResultExpiredError,
)
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._results import Output
from batchkit._retry import parse_retry_after
from batchkit.clients.base import Accepted, Finished, RemoteState, RemoteStatus
from batchkit.testing._messages import Reply, Request

_KEY_REFUSED = (401, 402, 403)
_PASSING = (408, 409, 425)
_STATES = frozenset(str(state) for state in RemoteState)
#: What a succeeded job without an output is told as: it was billed, and repeating costs again.
_EMPTY = JobError(kind=ErrorKind.PROVIDER, message="it succeeded, but there is no output")


def prompt_of(job: Job) -> str:
    """What the fake provider is asked for; its ledger knows items by it."""
    return str(getattr(job.request, "prompt", job.title))


# -- requests ------------------------------------------------------------------------------------


def submit_request(prompt: str, key: str, *, upload: str = "", webhook_url: str = "") -> Request:
    """The one request that costs money."""
    data = {"prompt": prompt, "tag": key}
    data |= {"input": upload} if upload else {}
    data |= {"webhook_url": webhook_url} if webhook_url else {}
    return Request(method="POST", path="/jobs", headers={"idempotency-key": key}, data=data)


def poll_request(job_id: str) -> Request:
    """One status query."""
    return Request(method="GET", path=f"/jobs/{job_id}")


def cancel_request(job_id: str) -> Request:
    """Asks for the end of a job."""
    return Request(method="POST", path=f"/jobs/{job_id}/cancel")


def find_request(key: str) -> Request:
    """Looks a submission up by its tag."""
    return Request(method="GET", path="/jobs", query={"tag": key})


def upload_request(prompt: str, body: bytes) -> Request:
    """Sends a file before the submission."""
    return Request(method="POST", path="/uploads", query={"prompt": prompt}, body=body)


# -- replies -------------------------------------------------------------------------------------


def accepted(reply: Reply, now: float) -> Accepted:
    """Reads the answer to a submission.

    Raises:
        ClientError: the class says what is proved.
    """
    if not 200 <= reply.status < 300:
        raise _refused_submission(reply, now)
    job_id = reply.data.get("id") if isinstance(reply.data, Mapping) else None
    if not isinstance(job_id, str) or not job_id:
        raise OutcomeUnknownError("the answer to the submission has no id")
    data = {"item": reply.data["item"]} if "item" in reply.data else {}
    return Accepted(handle=Handle(id=job_id, data=data))


def _refused_submission(reply: Reply, now: float) -> ClientError:
    error = refused(reply, now)
    if reply.status == 503 and _error(reply).get("accepted") is False:
        return NotAcceptedError(str(error), code="503", retry_after=error.retry_after)
    if type(error) is ClientError:
        return OutcomeUnknownError(str(error), code=error.code)
    return error


def refused(reply: Reply, now: float) -> ClientError:
    """What an error status says, whichever operation it answers."""
    status, error = reply.status, _error(reply)
    message = str(error.get("message") or f"the server answers {status}")
    wait = parse_retry_after(reply.headers, now)
    if status == 429:
        return RateLimitedError(message, code="429", retry_after=wait)
    if status in (400, 422):
        return RejectedError(message, code=str(error.get("code") or status))
    if status in _KEY_REFUSED:
        return AuthenticationError(message, code=str(status))
    if status == 404:
        return NotFoundError(message, code="404")
    if status == 410:
        return ResultExpiredError(message, code="410")
    passing = status >= 500 or status in _PASSING
    return ClientError(message, code=str(status), retryable=passing, retry_after=wait)


def _error(reply: Reply) -> Mapping[str, Any]:
    error = reply.data.get("error") if isinstance(reply.data, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _told(reply: Reply, now: float) -> Mapping[str, Any]:
    """The JSON object of a good answer."""
    if not 200 <= reply.status < 300:
        raise refused(reply, now)
    if not isinstance(reply.data, Mapping):
        raise ClientError("the answer is not the JSON that was expected", retryable=True)
    return reply.data


def status_of(reply: Reply, now: float, base_url: str | None = None) -> RemoteStatus:
    """Reads the answer to a status query.

    Args:
        reply: the answer.
        now: UTC seconds.
        base_url: of the provider, for the URL of the result; ``None`` refers to it by its id.
    """
    told = _told(reply, now)
    word = told.get("state")
    if not isinstance(word, str):
        raise ClientError("the answer has no state", retryable=True)
    if word not in _STATES:
        return RemoteStatus(state="running", progress=told.get("progress"), raw_state=word)
    state, cents = RemoteState(word), told.get("cost_cents")
    cost = None if cents is None else cents / 100
    if state is RemoteState.SUCCEEDED:
        return _succeeded(told, cost, base_url)
    if state is RemoteState.FAILED:
        return RemoteStatus(state=state, error=_failure(told), cost=cost, raw_state=word)
    progress = None if cents is not None else told.get("progress")
    return RemoteStatus(state=state, progress=progress, cost=cost, raw_state=word)


def _succeeded(told: Mapping[str, Any], cost: float | None, base_url: str | None) -> RemoteStatus:
    made = told.get("output")
    if not isinstance(made, Mapping):
        return RemoteStatus(state=RemoteState.FAILED, error=_EMPTY, cost=cost)
    where = {"ref": made["file"]} if base_url is None else {"url": base_url + made["url"]}
    output = Output(
        media_type=made["media_type"],
        size=made["size"],
        sha256=made["sha256"],
        expires=made["expires_at"],
        **where,
    )
    done = Finished(outputs=(output,), value={"remote": told["id"]})
    return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done, cost=cost)


def _failure(told: Mapping[str, Any]) -> JobError:
    error = told.get("error") or {}
    return JobError(
        kind=ErrorKind.PROVIDER,
        message=str(error.get("message", "the provider gave no reason")),
        retryable=error.get("retryable") is True,
    )


def found(reply: Reply, now: float) -> Handle | None:
    """Reads the answer to a look-up; ``None`` only when the provider really says so."""
    jobs = _told(reply, now).get("jobs")
    if not isinstance(jobs, list):
        raise ClientError("the answer lists no jobs", retryable=True)
    return Handle(id=jobs[0]["id"]) if jobs else None


def canceled(reply: Reply, now: float) -> bool:
    """Reads the answer to a cancel; whether the provider confirms the end."""
    return _told(reply, now).get("state") == "canceled"


def uploaded(reply: Reply, now: float) -> dict[str, Any]:
    """Reads the answer to an upload: what the submission refers to."""
    upload = _told(reply, now).get("id")
    if not isinstance(upload, str):
        raise ClientError("the answer to the upload has no id", retryable=True)
    return {"upload": upload}
