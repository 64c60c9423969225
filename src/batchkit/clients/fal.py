"""fal: the queue of https://queue.fal.run, for any of its video models.

Facts (fal-client 1.0.3 and https://docs.fal.ai/model-apis/model-endpoints/queue):

* ``POST /{owner}/{alias}/...`` takes the model's own arguments and answers with ``request_id`` and
  three URLs. These leave out the sub-path of the model, so they are kept in the handle.
* The status is ``IN_QUEUE`` (with ``queue_position``), ``IN_PROGRESS`` or ``COMPLETED``. A job that
  failed is ``COMPLETED`` too: with ``error`` in the status, or with an error as its result.
* The result of a failed job has ``detail``: a text, or a list of ``{loc, msg, type}``;
  ``content_policy_violation`` is moderation. ``X-Fal-Error-Type`` and ``X-Fal-Retryable`` say more.
* Cancelling is a request only: the answer ``CANCELLATION_REQUESTED`` confirms nothing.
* Where a model wants the address of a file, a data URI will do.
* There is no list and no idempotency key: a submission without an answer cannot be looked up.
* The query parameter ``fal_webhook`` of a submission names who is told of its end.
"""

from __future__ import annotations

from typing import Any

from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request
from batchkit._results import Output
from batchkit.clients._http_values import files_in, generation, whole
from batchkit.clients._images import MOST_EMBEDDED, check_image
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, Fault, HttpClient, HttpRequest, HttpResponse

_STATES = {
    "IN_QUEUE": RemoteState.QUEUED,
    "IN_PROGRESS": RemoteState.RUNNING,
    "COMPLETED": RemoteState.SUCCEEDED,
}
_MODERATION = "content_policy_violation"
_CANCELED = ("client_cancelled", "client_disconnected")
#: Faults of fal's own machines; the same request may succeed on another.
_RETRYABLE = (
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_disconnected",
    "runner_connection_refused",
    "runner_connection_error",
    "runner_incomplete_response",
    "internal_error",
)
#: How the result of a job that failed may answer; everything else is a fault of the query.
_FAILED = frozenset({400, 422, 499, 500, 502, 503, 504})
_ERROR_TYPE = "x-fal-error-type"


class FalClient(HttpClient):
    """Generates videos with any model of fal's queue.

    ``model`` is the whole endpoint, as ``"fal-ai/veo3.1/fast"``; a request's ``image``, an address
    or a file of at most 10 MB, goes out as ``image_url``. Everything else goes through ``params``,
    verbatim.

    Args:
        key: of the account; by default ``FAL_KEY``.
        webhook_url: told of the end of each job; see :mod:`batchkit.clients.webhooks`.
        options: as for :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "fal"
    key_env = ("FAL_KEY",)
    default_url = "https://queue.fal.run"
    capabilities = Capabilities(cancel="running", min_poll_seconds=1.0)

    def __init__(self, key: str | None = None, *, webhook_url: str = "", **options: Any) -> None:
        super().__init__(key, **options)
        self.webhook_url = webhook_url

    def headers(self) -> dict[str, str]:
        """The key, in fal's own scheme."""
        return {"Authorization": f"Key {self.key}"}

    def check(self, request: Request) -> None:
        """Refuses a request without a model, and an image that cannot be sent."""
        self.model_of(request)
        check_image(request, "fal", MOST_EMBEDDED)

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Puts the job into the queue."""
        answer = yield build_submit(self.model_of(job.request), job.request, self.webhook_url)
        return parse_submit(answer)

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state, and for the result once it is there."""
        answer = yield HttpRequest("GET", str(handle.data["status_url"]), params={"logs": "0"})
        status = parse_status(answer)
        if status.state is not RemoteState.SUCCEEDED:
            return status
        result = yield HttpRequest("GET", str(handle.data["response_url"]), expect=_FAILED)
        return parse_result(result)

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        """Asks for the end; the next status query tells whether it came."""
        yield HttpRequest("PUT", str(handle.data["cancel_url"]), expect=frozenset({400, 404}))
        return False

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``detail`` and ``X-Fal-Error-Type``."""
        return parse_fault(response)


def build_submit(model: str, request: Request, webhook_url: str = "") -> HttpRequest:
    """The one request that costs money."""
    params = {"fal_webhook": webhook_url} if webhook_url else {}
    body = generation(request, {"image": "image_url"}, embed=True)
    return HttpRequest("POST", f"/{model.strip('/')}", params=params, json=body)


def parse_submit(answer: HttpResponse) -> Accepted:
    """The handle, with the three URLs that no later step could make up."""
    urls = {name: answer.text(name) for name in ("status_url", "response_url", "cancel_url")}
    return Accepted(handle=Handle(id=answer.text("request_id"), data=urls))


def parse_status(answer: HttpResponse) -> RemoteStatus:
    """The state; a job that failed is COMPLETED with an error."""
    word = answer.text("status")
    code, message = answer.get("error_type"), answer.get("error")
    if word == "COMPLETED" and (code or message):
        return _failed(_text(message), str(code) if code else None)
    return RemoteStatus(state=_STATES.get(word, word), raw_state=word)


def parse_result(answer: HttpResponse) -> RemoteStatus:
    """The outputs, or why there are none."""
    if answer.status < 300:
        found = [
            Output(
                url=file["url"],
                media_type=file.get("content_type"),
                size=whole(file.get("file_size")),
                role=name if number else "",
            )
            for number, (name, file) in enumerate(files_in(answer.json()))
        ]
        done = Finished(outputs=tuple(found), value=None if found else answer.json())
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done, raw_state="COMPLETED")
    fault = parse_fault(answer)
    if answer.status >= 500 and fault.code is None:
        # The way to fal is broken, not the job: asked again at the next poll.
        raise ConnectionError(f"the result is not to be had: {answer.status}")
    retryable = answer.headers.get("x-fal-retryable", "").lower() == "true"
    return _failed(fault.message, fault.code, retryable=retryable)


def parse_fault(answer: HttpResponse) -> Fault:
    """What fal says of a failure; never raises."""
    detail: Any = answer.fields().get("detail")
    code = answer.headers.get(_ERROR_TYPE)
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        code = str(detail[0].get("type") or code or "") or None
        detail = detail[0].get("msg")
    kind = "moderation" if code == _MODERATION else ""
    return Fault(message=_text(detail), code=code, kind=kind)


def _failed(message: str, code: str | None, *, retryable: bool = False) -> RemoteStatus:
    if code in _CANCELED:
        return RemoteStatus(state=RemoteState.CANCELED, raw_state=str(code))
    kind = ErrorKind.MODERATION if code == _MODERATION else ErrorKind.PROVIDER
    error = JobError(
        kind=kind,
        message=message or "the model failed",
        code=code,
        retryable=retryable or code in _RETRYABLE,
    )
    return RemoteStatus(state=RemoteState.FAILED, error=error, raw_state="COMPLETED")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
