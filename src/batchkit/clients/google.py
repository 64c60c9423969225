"""Google's Interactions API with an API key: videos from Omni models, transcripts, understanding.

Facts (google-genai 3.4.0, https://ai.google.dev/gemini-api/docs):

* ``POST /v1/interactions`` takes ``model`` and ``input`` (a text, or parts such as ``{"type":
  "video", "uri", "mime_type"}``) and answers ``id`` and ``status``; with ``background`` at once.
  ``GET /v1/interactions/{id}`` tells the rest, for what was stored, as is the default.
* The key goes into ``x-goog-api-key``. A wrong key is a 400 with the reason ``API_KEY_INVALID``.
* ``queued``, ``in_progress``, ``completed``, ``cancelled``; ``failed``, ``incomplete``,
  ``budget_exceeded``, ``requires_action`` and ``requires_continuation`` end without a result. Why
  is in ``errors`` (``code`` is a URI), or in the ``error`` of a ``model_output`` step. They have
  no documented word for moderation, and no cost: usage is told in tokens.
* A query may say ``completed`` before it names the result; then the pipeline asks again.
* The result is the last ``model_output`` step: ``video`` with ``data`` or ``uri``, ``text`` with
  annotations ``word_info``. Above about 4 MB only ``delivery: "uri"`` works. A file of theirs is
  at ``/v1/files/{id}:download?alt=media``, behind the key, for 48 hours.
* A file goes up in two requests (``X-Goog-Upload-Command`` ``start``, then ``upload, finalize``),
  up to 2 GB; it can be used once its ``state`` is ``ACTIVE``.
* ``POST /v1/interactions/{id}/cancel`` ends one that runs in the background.
* There is no list and no idempotency key: a submission without an answer cannot be looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchkit._errors import NotAcceptedError, RejectedError, UsageError
from batchkit._jobs import Handle, Job
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit._results import Download, Output
from batchkit.clients._google_values import (
    FILE,
    is_transcriber,
    media_part,
    parse_fault,
    parse_interaction,
    part_of_uri,
    source_of,
)
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._images import is_uri
from batchkit.clients.base import Accepted, Capabilities, RemoteStatus
from batchkit.clients.http import Exchange, Fault, HttpClient, HttpRequest, HttpResponse

#: Bytes that a file may have, and seconds for which they keep it.
MOST_BYTES, KEPT_SECONDS = 2 * 1024**3, 48 * 3600.0
#: Seconds that an upload may take at each step; files are large.
_UPLOAD_SECONDS = 600.0
#: How often a file that is being processed is asked for at once, and seconds between; after that
#: the job is tried again later.
_LOOKS, LOOK_SECONDS = 5, 3.0
_PROCESSING_SECONDS = 10.0
_UNKNOWN_TYPE = "application/octet-stream"


class GoogleClient(HttpClient):
    """Generates videos and transcribes recordings with Google's models; ``model`` as
    ``"gemini-omni-1.2-flash"`` or ``"gemini-3.5-transcribe"``.

    A request's ``image``, and the source of a transcription, is a path, which is uploaded first,
    an address, or a data URI. ``params`` go out verbatim; ``response_format`` and
    ``generation_config`` are added to, and the ``input`` of a transcription is what is said beside
    the recording, as a question to a model that understands videos.
    """

    name = "google"
    key_env = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    default_url = "https://generativelanguage.googleapis.com"
    # Their own example asks every 10 seconds.
    capabilities = Capabilities(
        cancel="running",
        min_poll_seconds=10.0,
        result_ttl_seconds=KEPT_SECONDS,
        auth_on_download=True,
    )

    def __init__(self, key: str | None = None, **options: Any) -> None:
        super().__init__(key, **options)
        # Files that are not ready yet, so that the next try does not upload them again.
        self._processing: dict[str, Mapping[str, Any]] = {}

    def headers(self) -> dict[str, str]:
        """The key, in Google's own header."""
        return {"x-goog-api-key": self.key}

    def check(self, request: Request) -> None:
        """Refuses what could not be sent, or not be read back."""
        model = self.model_of(request)
        if not isinstance(request, (GenerateVideo, TranscribeVideo)):
            raise UsageError("Google's client generates and transcribes: add such requests")
        if request.params.get("stream") or request.params.get("store") is False:
            raise UsageError("stream= and store=False cannot be read back: leave them out")
        if isinstance(request, TranscribeVideo):
            _check_language(request, model)
        source = source_of(request)
        if source is not None and not is_uri(source):
            _check_file(Path(source))

    def http_prepare(self, job: Job) -> Exchange[Mapping[str, Any]]:
        """Uploads a file; an address is passed through.

        Raises:
            NotAcceptedError: they still process the file. It is not uploaded again.
            RejectedError: they cannot use it.
        """
        source = source_of(job.request)
        if source is None or is_uri(source):
            return {}
        file = self._processing.pop(source, None)
        if file is None:
            file = yield from _uploaded(source)
        for _ in range(_LOOKS):
            if file.get("state") == "PROCESSING":
                self._processing[source] = file
                look = HttpRequest("GET", f"/v1/{file['name']}", delay=LOOK_SECONDS)
                file = (yield look).json()
        if file.get("state") == "PROCESSING":
            problem = "Google still processes the file: it is asked for again"
            raise NotAcceptedError(problem, retry_after=_PROCESSING_SECONDS)
        self._processing.pop(source, None)
        if file.get("state") == "FAILED":
            raise RejectedError(f"Google cannot use the file {source}", code="file_failed")
        return {"media": media_part(str(file["uri"]), media_type_of(source))}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the interaction."""
        answer = yield build_submit(job, self.model_of(job.request))
        transcribes = isinstance(job.request, TranscribeVideo)
        return Accepted(handle=Handle(id=answer.text("id"), data={"transcribes": transcribes}))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for the result."""
        answer = yield HttpRequest("GET", f"/v1/interactions/{handle.id}")
        return parse_interaction(answer, transcribes=bool(handle.data.get("transcribes")))

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        """Asks for the end; only the word ``cancelled`` confirms it."""
        sent = HttpRequest(
            "POST", f"/v1/interactions/{handle.id}/cancel", json={}, expect=frozenset({400, 409})
        )
        answer = yield sent
        return answer.status < 300 and answer.get("status") == "cancelled"

    def fetch(self, job: Job, output: Output) -> Download:
        """The key for a file of theirs; other addresses are downloaded as they are."""
        url = output.url or ""
        found = FILE.search(urlsplit(url).path)
        if found is None or urlsplit(url).netloc != urlsplit(self.base_url).netloc:
            return Download(url=url)
        download = f"{self.base_url}/v1/files/{found[1]}:download?alt=media"
        return Download(url=download, headers=self.headers())

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``error``, and the reasons in its ``details``."""
        return parse_fault(response)


def _uploaded(path: str) -> Exchange[Mapping[str, Any]]:
    size, kind = Path(path).stat().st_size, media_type_of(path)
    started = yield HttpRequest(
        "POST",
        "/upload/v1/files",
        json={"file": {}},
        headers={
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": kind,
        },
    )
    url = started.headers.get("x-goog-upload-url")
    if not url:
        raise NotAcceptedError("Google names no address for the upload", code="garbled")
    sent = yield HttpRequest(
        "POST",
        url,
        path=path,
        headers={"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"},
        timeout=_UPLOAD_SECONDS,
    )
    return {name: sent.text("file", name) for name in ("name", "uri")} | {
        "state": sent.get("file", "state")
    }


def build_submit(job: Job, model: str) -> HttpRequest:
    """The one request that costs money."""
    request, media = job.request, (job.prepared or {}).get("media")
    source = source_of(request)
    if media is None and source is not None:
        media = part_of_uri(source)
    body = (
        _transcription(request, model, media)
        if isinstance(request, TranscribeVideo)
        else _generation(request, media)
    )
    params = dict(request.params)
    for name in ("response_format", "generation_config"):
        ours, theirs = body.get(name, {}), params.get(name, {})
        if isinstance(theirs, Mapping) and (ours or theirs):
            params[name] = {**ours, **theirs}
    if isinstance(request, TranscribeVideo):
        params.pop("input", None)
    return HttpRequest("POST", "/v1/interactions", json={"model": model, **body, **params})


def _generation(request: Request, media: Mapping[str, Any] | None) -> dict[str, Any]:
    assert isinstance(request, GenerateVideo)
    text = {"type": "text", "text": request.prompt}
    # Asked for as an address, because only a short video fits into an answer.
    wanted: dict[str, Any] = {"type": "video", "delivery": "uri"}
    if request.aspect_ratio is not None:
        wanted["aspect_ratio"] = request.aspect_ratio
    if request.duration is not None:
        wanted["duration"] = f"{request.duration:g}s"
    body: dict[str, Any] = {
        "input": request.prompt if media is None else [text, media],
        "background": True,
        "response_format": wanted,
    }
    if request.seed is not None:
        body["generation_config"] = {"seed": request.seed}
    return body


def _transcription(request: TranscribeVideo, model: str, media: Any) -> dict[str, Any]:
    said = request.params.get("input", [])
    beside = [{"type": "text", "text": said}] if isinstance(said, str) else list(said)
    body: dict[str, Any] = {"input": [media, *beside], "background": True}
    if is_transcriber(model):
        config: dict[str, Any] = {
            "mode": {"type": "verbatim", "timestamp_granularities": ["word"]},
        }
        if request.language != "auto":
            config["language_codes"] = [request.language]
        body["generation_config"] = {"transcription_config": config}
    return body


def _check_language(request: TranscribeVideo, model: str) -> None:
    if request.language != "auto" and not is_transcriber(model):
        raise UsageError(f"{model} is told no language: name it in params input=, or use auto")
    if not is_transcriber(model) and not request.params.get("input"):
        raise UsageError(f"{model} has to be told what to do: put a text into params input=")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"there is no file {path}: check the path")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UsageError(
            f"{path} has {size:,} bytes, and Google takes {MOST_BYTES:,}: make it smaller"
        )
    if media_type_of(str(path)) == _UNKNOWN_TYPE:
        raise UsageError(f"{path} has no extension that tells what it is: rename it, as to .mp4")
