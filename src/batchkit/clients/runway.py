"""Runway: text and image to video.

Facts (runwayml 5.24.0 and https://docs.dev.runwayml.com):

* Every request carries ``X-Runway-Version``. ``POST /v1/text_to_video`` or ``/v1/image_to_video``
  answers with ``id``, and a cost in ``estimatedCost.credits``; names are in camel case.
* ``GET /v1/tasks/{id}`` must not be asked more often than every 5 s: ``PENDING``, ``THROTTLED`` (by
  the account's own concurrency), ``RUNNING`` with ``progress`` from 0 to 1, ``SUCCEEDED`` with
  ``output`` (addresses that end within 24 to 48 hours; asking again gives fresh ones), ``FAILED``
  with ``failure`` and ``failureCode``, ``CANCELLED``.
* ``POST /v1/uploads`` answers a presigned form (``uploadUrl`` and ``fields``) and ``runwayUri``,
  which stands for the file for 24 hours. Uploading is free. A data URI has at most 5 MB.
* ``SAFETY.*`` and ``INPUT_PREPROCESSING.SAFETY.TEXT`` are moderation; ``INTERNAL.*`` may pass.
* ``DELETE /v1/tasks/{id}`` asks for the end of a running task, and deletes one that has ended: so
  it is sent only while the task was seen to run. It does not prove that the generation stops.
* There is no list and no idempotency key: a submission without an answer cannot be looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchkit._errors import ClientError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import generation, number, outputs
from batchkit.clients._images import check_image, image_file
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, FilePart, HttpClient, HttpRequest, HttpResponse

VERSION = "2024-11-06"
_STATES = {
    "PENDING": RemoteState.QUEUED,
    "THROTTLED": RemoteState.QUEUED,
    "RUNNING": RemoteState.RUNNING,
    "SUCCEEDED": RemoteState.SUCCEEDED,
    "FAILED": RemoteState.FAILED,
    "CANCELLED": RemoteState.CANCELED,
}
#: Their names for our fields.
_NAMES = {"prompt": "promptText", "aspect_ratio": "ratio", "image": "promptImage"}
MOST_BYTES = 200_000_000
#: Seconds that an upload may take at each step.
_UPLOAD_SECONDS = 600.0
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


class RunwayClient(HttpClient):
    """Generates videos with Runway; ``model`` as ``"gen4.5"``.

    A request with an ``image`` (a file, which is uploaded first, an address, a data URI, or
    ``runway://``) becomes an image-to-video task. Everything else goes through ``params``,
    verbatim.
    """

    name = "runway"
    key_env = ("RUNWAYML_API_SECRET",)
    default_url = "https://api.dev.runwayml.com"
    capabilities = Capabilities(cancel="running", min_poll_seconds=5.0)

    def headers(self) -> dict[str, str]:
        """The key, and the version that every request has to name."""
        return {"Authorization": f"Bearer {self.key}", "X-Runway-Version": VERSION}

    def check(self, request: Request) -> None:
        """Refuses a request without a model, and an image that cannot be sent."""
        self.model_of(request)
        check_image(request, "Runway", MOST_BYTES)

    def http_prepare(self, job: Job) -> Exchange[Mapping[str, Any]]:
        """Uploads an image that is a file; anything else needs nothing."""
        path = image_file(job.request)
        if path is None:
            return {}
        named = {"filename": path.name, "type": "ephemeral"}
        answer = yield HttpRequest("POST", "/v1/uploads", json=named)
        yield build_upload(answer, path)
        return {"promptImage": answer.text("runwayUri")}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the task."""
        answer = yield build_submit(self.model_of(job.request), job.request, job.prepared)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for fresh addresses."""
        answer = yield HttpRequest("GET", f"/v1/tasks/{handle.id}")
        return parse_task(answer)

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        """Asks for the end of a task that runs; a result that is there already is not deleted."""
        task = yield HttpRequest("GET", f"/v1/tasks/{handle.id}")
        if task.get("status") in _ENDED:
            return False
        yield HttpRequest("DELETE", f"/v1/tasks/{handle.id}")
        # The next query tells whether it is CANCELLED: this answer does not prove it.
        return False


def build_upload(answer: HttpResponse, path: Path) -> HttpRequest:
    """The form that the answer asks for, with the file behind its fields."""
    fields = answer.get("fields")
    if not isinstance(fields, Mapping):
        raise ClientError("the provider answers without 'fields'", code="garbled", retryable=True)
    form = {str(name): str(value) for name, value in fields.items()}
    kind = media_type_of(str(path))
    file = FilePart(field="file", filename=path.name, path=str(path), media_type=kind)
    url = answer.text("uploadUrl")
    return HttpRequest("POST", url, form=form, files=(file,), timeout=_UPLOAD_SECONDS)


def build_submit(
    model: str, request: Request, prepared: Mapping[str, Any] | None = None
) -> HttpRequest:
    """The one request that costs money; an uploaded image has another address."""
    body = {**generation(request, _NAMES), **(prepared or {})}
    path = "/v1/image_to_video" if "promptImage" in body else "/v1/text_to_video"
    return HttpRequest("POST", path, json={"model": model, **body})


def parse_task(answer: HttpResponse) -> RemoteStatus:
    """The state, the outputs, or why there are none."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    cost = number(answer.get("cost", "credits"))
    if state is RemoteState.SUCCEEDED:
        urls = [url for url in answer.get("output", default=[]) if isinstance(url, str)]
        done = Finished(outputs=outputs(urls))
        return RemoteStatus(state=state, finished=done, cost=cost, raw_state=word)
    if state is RemoteState.FAILED:
        code = str(answer.get("failureCode", default="")) or None
        error = _failure(str(answer.get("failure", default="the task failed")), code)
        return RemoteStatus(state=state, error=error, cost=cost, raw_state=word)
    progress = number(answer.get("progress"))
    return RemoteStatus(state=state, progress=progress, cost=cost, raw_state=word)


def _failure(message: str, code: str | None) -> JobError:
    moderated = code is not None and "SAFETY" in code.split(".")
    return JobError(
        kind=ErrorKind.MODERATION if moderated else ErrorKind.PROVIDER,
        message=message,
        code=code,
        retryable=code is not None and not moderated and "INTERNAL" in code.split("."),
    )
