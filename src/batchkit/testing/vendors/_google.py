"""Google's Interactions API and its files. See :mod:`batchkit.clients.google` for the facts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._files import file_reply
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import (
    Uploads,
    created_at,
    item_of_file,
    spoken_text,
    spoken_words,
)

_WORDS = {"running": "in_progress", "succeeded": "completed", "canceled": "cancelled"}
_ERRORS = "https://ai.google.dev/errors"
_UPLOADS = "/v1/files"


class GoogleDialect(Dialect):
    """``/v1/interactions``, ``/v1/files`` and ``/upload/v1/files``."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._uploads = Uploads()
        self._asked: dict[str, Mapping[str, Any]] = {}

    def authorized(self, request: Request) -> bool:
        """Google has a header of its own; the address of an upload is its own licence."""
        if request.path == f"/upload{_UPLOADS}" and "upload_id" in request.query:
            return True
        return request.headers.get("x-goog-api-key") == self.model.api_key

    def error(self, status: int, code: str, message: str) -> Any:
        """``error`` with ``code``, a URI, and ``message``."""
        return {"error": {"code": f"{_ERRORS}/{code or status}", "message": message}}

    def route(self, request: Request) -> Route | Reply:
        """Interactions, and files that go up and down."""
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["upload", "v1", "files"]:
                return self._upload(request)
            case "GET", ["v1", "files", name]:
                return self._file(request, name)
            case "POST", ["v1", "interactions"]:
                return self._submission(request)
            case "GET", ["v1", "interactions", job_id]:
                return self.poll(job_id, partial(self._told, request))
            case "POST", ["v1", "interactions", job_id, "cancel"]:
                return self.about("cancel", job_id, lambda job: self._cancel(request, job))
        return no_such_page()

    # -- files -------------------------------------------------------------------------------

    def _upload(self, request: Request) -> Route | Reply:
        command = request.headers.get("x-goog-upload-command", "")
        if command == "start":
            told = {
                "X-Goog-Upload-URL": address(request, f"/upload{_UPLOADS}?upload_id=1"),
                "X-Goog-Upload-Status": "active",
            }
            return Route("prepare", "", lambda _: Reply(headers=told, data={}))
        if command != "upload, finalize" or request.headers.get("x-goog-upload-offset") != "0":
            return refusal(400, "this server takes a file in one piece")
        item = item_of_file(request.body)

        def kept() -> Reply:
            # As an address of its own, which no job's result has.
            url = self._uploads.keep(address(request, f"{_UPLOADS}/up"), item)
            file = _described(url.replace("/up/", "/up-"))
            done = {"X-Goog-Upload-Status": "final"}
            return Reply(headers=done, data={"file": file | {"state": "ACTIVE"}})

        return self.upload(item, kept)

    def _file(self, request: Request, name: str) -> Route | Reply:
        name, _, action = name.partition(":")
        if action != "download":
            uploaded = _described(address(request, f"{_UPLOADS}/{name}"))
            return Route("prepare", "", lambda _: Reply(data=uploaded | {"state": "ACTIVE"}))
        job = self.model.jobs.get(name)
        if job is None:
            return refusal(404, "no such file")
        # It is behind the key, not behind a signature; the model knows only the latter.
        query = dict(parse_qsl(urlsplit(self.model.sign(job)).query))
        signed = attrs.evolve(request, query=query)
        return Route("fetch", job.item, partial(file_reply, self.model, signed, job))

    # -- interactions ------------------------------------------------------------------------

    def _submission(self, request: Request) -> Route | Reply:
        asked = request.data
        if not isinstance(asked, Mapping) or not asked.get("model") or not asked.get("input"):
            return refusal(400, "model and input are required")

        def told(job: RemoteJob) -> Reply:
            self._asked[job.id] = asked
            here = asked.get("background")
            return self._told(request, self.model.tell(job) if here else self.model.finish(job))

        return self.submission(self._item(asked["input"]), told)

    def _item(self, given: Any) -> str:
        parts = _parts(given)
        texts = [str(part["text"]) for part in parts if part.get("type") == "text"]
        if texts:
            return texts[0]
        uri = str(parts[0].get("uri") or "") if parts else ""
        return self._uploads.item(uri.replace("/up-", "/up/"))

    def _cancel(self, request: Request, job: RemoteJob) -> Reply:
        self.model.halt(job)
        return self._told(request, self.model.tell(job))

    def _told(self, request: Request, told: Mapping[str, Any]) -> Reply:
        job = self.model.jobs[told["id"]]
        asked = self._asked[job.id]
        word = _WORDS.get(told["state"], told["state"])
        steps: list[dict[str, Any]] = [{"type": "user_input", "content": _parts(asked["input"])}]
        data = {
            "id": job.id,
            "object": "interaction",
            "model": asked["model"],
            "status": word,
            "created": created_at(job),
            "updated": created_at(job),
            "steps": steps,
        }
        if word == "failed":
            data["errors"] = [
                {"code": f"{_ERRORS}/generation", "message": told["error"]["message"]}
            ]
        if word == "completed" and (content := self._content(request, told)):
            steps.append({"type": "model_output", "content": [content]})
            data["usage"] = {"total_tokens": 57920}
        return Reply(data=data)

    def _content(self, request: Request, told: Mapping[str, Any]) -> dict[str, Any]:
        job = self.model.jobs[told["id"]]
        asked = self._asked[job.id]
        wanted = asked.get("response_format")
        if not isinstance(wanted, Mapping) or wanted.get("type") != "video":
            return {"type": "text", "text": spoken_text(job), "annotations": _words(asked, job)}
        if "output" not in told:
            return {}
        video = {"type": "video", "mime_type": "video/mp4"}
        if wanted.get("delivery") == "uri":
            return {**video, "uri": address(request, f"{_UPLOADS}/{job.id}")}
        return {**video, "data": base64.b64encode(self.model.content(job)).decode()}


def _parts(given: Any) -> list[dict[str, Any]]:
    """What was shown: a text, parts, or steps that hold parts, as the SDK sends them."""
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    found: list[dict[str, Any]] = []
    for part in given:
        found += _parts(part["content"]) if "content" in part else [part]
    return found


def _described(url: str) -> dict[str, Any]:
    return {"name": f"files/{url.rsplit('/', 1)[-1]}", "uri": url}


def _words(asked: Mapping[str, Any], job: RemoteJob) -> list[dict[str, Any]]:
    config = (asked.get("generation_config") or {}).get("transcription_config") or {}
    mode = config.get("mode")
    asked_for = mode.get("timestamp_granularities") if isinstance(mode, Mapping) else None
    return [
        {
            "type": "word_info",
            "text": word["word"],
            "start_offset": f"{word['start']}s",
            "end_offset": f"{word['end']}s",
        }
        for word in (spoken_words(job) if asked_for == ["word"] else ())
    ]
