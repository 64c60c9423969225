"""Videos by gateways that speak the dialect of OpenAI's ``/v1/videos``.

OpenAI itself has shut this API down (announced for 24 September 2026 in openai 3.54.0). LiteLLM,
vLLM-Omni and other gateways go on with it, so the address is always yours.

Facts (openai 3.54.0):

* ``POST /videos`` is ``multipart/form-data`` always, even without a file: ``prompt``, ``model``,
  ``seconds`` (text), ``size``, ``input_reference``. The answer has ``id`` and ``status``.
* ``GET /videos/{id}``: ``queued``, ``in_progress``, ``completed``, ``failed``; ``progress`` from 0
  to 100; ``error`` with ``code`` and ``message``; ``expires_at``.
* ``GET /videos/{id}/content`` gives the bytes, and wants the key.
* ``openai-poll-after-ms`` asks for a pause. No cancel of what runs; the list has no tags.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batchkit._errors import UsageError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import GenerateVideo, Request
from batchkit._results import Download, Output
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import generation, number, timestamp
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import (
    Exchange,
    Fault,
    FilePart,
    HttpClient,
    HttpRequest,
    HttpResponse,
)

_STATES = {
    "queued": RemoteState.QUEUED,
    "in_progress": RemoteState.RUNNING,
    "completed": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
}
_GONE = "api.openai.com"
_MODERATION = ("moderation_blocked", "content_policy_violation", "moderation")


class OpenAIVideosClient(HttpClient):
    """Generates videos through a gateway that speaks OpenAI's ``/v1/videos``.

    ``base_url`` is the gateway's, up to and with ``/v1``. A request's ``image`` is a file, or an
    address. Everything else goes through ``params``, verbatim.

    Raises:
        UsageError: ``base_url`` is missing, or is OpenAI's own, which has shut this API down.
    """

    name = "openai-videos"
    # Not OPENAI_API_KEY: a key of OpenAI is no business of a gateway.
    key_env = ("OPENAI_VIDEOS_KEY",)
    key_optional = True
    capabilities = Capabilities(min_poll_seconds=1.0, auth_on_download=True)

    def __init__(self, key: str | None = None, *, base_url: str, **options: Any) -> None:
        super().__init__(key, base_url=base_url, **options)
        if _GONE in self.base_url:
            raise UsageError(
                "OpenAI has shut down its video API: give base_url= of a gateway that still speaks"
                " it (LiteLLM, vLLM-Omni), or use another client"
            )

    def headers(self) -> dict[str, str]:
        """The key, as a bearer token; none where the gateway wants none."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def check(self, request: Request) -> None:
        """Refuses an image that is not there."""
        image = getattr(request, "image", None)
        if image and "://" not in image and not Path(image).is_file():
            raise UsageError(f"there is no image {image}: check the path")

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the generation."""
        model = getattr(job.request, "model", None) or self.model
        answer = yield build_submit(model, job.request)
        return Accepted(handle=answer.text("id"), poll_after=poll_after(answer))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state."""
        answer = yield HttpRequest("GET", f"/videos/{handle.id}")
        return parse_poll(answer, handle)

    def fetch(self, job: Job, output: Output) -> Download:
        """Where the bytes are; the gateway wants to see the key."""
        url = f"{self.base_url}/videos/{output.ref}/content"
        return Download(url=url, headers=self.headers())

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``error.code`` and ``error.message``."""
        return parse_fault(response)


def build_submit(model: str | None, request: Request) -> HttpRequest:
    """The one request that costs money."""
    body = generation(request, {"duration": "seconds", "aspect_ratio": "size"})
    image = body.pop("image", None)
    form = {
        name: value if isinstance(value, str) else _plain(value) for name, value in body.items()
    }
    files: list[FilePart] = []
    if model:
        form["model"] = model
    if image and "://" in image:
        form["input_reference[image_url]"] = image
    elif image and isinstance(request, GenerateVideo):
        name, kind = Path(image).name, media_type_of(image)
        files = [FilePart(field="input_reference", filename=name, path=image, media_type=kind)]
    return HttpRequest("POST", "/videos", form=form, files=files)


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else str(value)


def poll_after(answer: HttpResponse) -> float | None:
    """Seconds that the server asks to wait before the next query."""
    milliseconds = number(answer.headers.get("openai-poll-after-ms"))
    return None if milliseconds is None else milliseconds / 1000


def parse_poll(answer: HttpResponse, handle: Handle) -> RemoteStatus:
    """The state, and the output once there is one."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    wait, progress = poll_after(answer), number(answer.get("progress"))
    if state is RemoteState.SUCCEEDED:
        expires = timestamp(answer.get("expires_at"))
        output = Output(ref=handle.id, media_type="video/mp4", expires=expires)
        return RemoteStatus(state=state, finished=Finished(outputs=(output,)), raw_state=word)
    if state is RemoteState.FAILED:
        code = answer.get("error", "code")
        message = answer.get("error", "message", default="the generation failed")
        kind = ErrorKind.MODERATION if code in _MODERATION else ErrorKind.PROVIDER
        error = JobError(kind=kind, message=str(message), code=code and str(code))
        return RemoteStatus(state=state, error=error, raw_state=word)
    part = None if progress is None else progress / 100
    return RemoteStatus(state=state, progress=part, poll_after=wait, raw_state=word)


def parse_fault(response: HttpResponse) -> Fault:
    """What an answer of OpenAI's dialect says of a failure; never raises."""
    found = response.fields().get("error")
    if not isinstance(found, dict):
        return Fault(message=found if isinstance(found, str) else "")
    code = found.get("code") or found.get("type")
    kind = "quota" if code == "insufficient_quota" else "moderation" if code in _MODERATION else ""
    message = found.get("message")
    return Fault(
        message=message if isinstance(message, str) else "", code=code and str(code), kind=kind
    )
