"""Replicate: predictions, their list, and files. See :mod:`batchkit.clients.replicate` for the
facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any

from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import (
    Uploads,
    created_at,
    item_of_file,
    read_form,
    spoken_text,
    spoken_words,
)

_WORDS = {"queued": "starting", "running": "processing"}
_PAGE = 100


class ReplicateDialect(Dialect):
    """``/v1/predictions``, those of models and deployments, and ``/v1/files``."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._uploads = Uploads()
        self._asked: dict[str, Mapping[str, Any]] = {}

    def error(self, status: int, code: str, message: str) -> Any:
        """``title``, ``detail`` and ``status``."""
        return {"title": code or "An error", "detail": message, "status": status}

    def route(self, request: Request) -> Route | Reply:
        """Predictions, one or all, and files that go up."""
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", "predictions"]:
                return self._submission(request, "")
            case "POST", ["v1", "models" | "deployments" as kind, owner, name, "predictions"]:
                return self._submission(request, f"{owner}/{name}", kind)
            case "GET", ["v1", "predictions"]:
                return Route("list", "", lambda _: self._list(request))
            case "GET", ["v1", "predictions", job_id]:
                return self.poll(job_id, partial(self._told, request))
            case "POST", ["v1", "predictions", job_id, "cancel"]:
                return self.about("cancel", job_id, lambda job: self._cancel(request, job))
            case "POST", ["v1", "files"]:
                return self._upload(request)
        return no_such_page()

    def _upload(self, request: Request) -> Route | Reply:
        content = read_form(request).files.get("content")
        if content is None:
            return refusal(400, "Missing content")
        item = item_of_file(content)

        def told() -> Reply:
            url = self._uploads.keep(address(request, "/v1/files"), item)
            file = {
                "id": url.rsplit("/", 1)[-1],
                "name": "file",
                "content_type": "application/octet-stream",
                "size": len(content),
                "etag": "0",
                "checksums": {},
                "metadata": {},
                "created_at": "2026-11-22T00:00:00.000Z",
                "urls": {"get": url},
            }
            return Reply(status=201, data=file)

        return self.upload(item, told)

    def _submission(self, request: Request, model: str, kind: str = "") -> Route | Reply:
        asked = request.data if isinstance(request.data, Mapping) else {}
        given = asked.get("input")
        if not isinstance(given, Mapping):
            return refusal(422, "- (root): input is required")
        if not model and not asked.get("version"):
            return refusal(422, "- (root): version is required")

        def told(job: RemoteJob) -> Reply:
            self._asked[job.id] = {
                "model": model if kind == "models" else "owner/model",
                "version": asked.get("version", "hidden"),
                "deployment": model if kind == "deployments" else None,
                "input": given,
            }
            data = self._described(request, self.model.tell(job))
            return Reply(status=201, data=data)

        return self.submission(self._item(given), told)

    def _item(self, given: Mapping[str, Any]) -> str:
        if "prompt" in given:
            return str(given["prompt"])
        texts = [value for value in given.values() if isinstance(value, str)]
        return self._uploads.item(texts[0]) if texts else ""

    def _list(self, request: Request) -> Reply:
        known = [job for job in self.model.jobs.values() if job.script != "lost"]
        found = known[::-1]
        first = int(request.query.get("cursor", "0"))
        older = f"/v1/predictions?cursor={first + _PAGE}"
        data = {
            "previous": None,
            "next": address(request, older) if first + _PAGE < len(found) else None,
            "results": [
                self._described(request, self.model.tell(job))
                for job in found[first : first + _PAGE]
            ],
        }
        return Reply(data=data)

    def _told(self, request: Request, told: Mapping[str, Any]) -> Reply:
        return Reply(data=self._described(request, told))

    def _cancel(self, request: Request, job: RemoteJob) -> Reply:
        self.model.halt(job)
        return self._told(request, self.model.tell(job))

    def _described(self, request: Request, told: Mapping[str, Any]) -> dict[str, Any]:
        job = self.model.jobs[told["id"]]
        word = _WORDS.get(told["state"], told["state"])
        over = word in ("succeeded", "failed", "canceled")
        here = address(request, f"/v1/predictions/{job.id}")
        return {
            "id": job.id,
            **self._asked[job.id],
            "status": word,
            "output": self._output(request, told) if word == "succeeded" else None,
            "error": told["error"]["message"] if word == "failed" else None,
            "logs": "",
            "metrics": {"predict_time": 1.5} if over else {},
            "data_removed": False,
            "source": "api",
            "created_at": created_at(job),
            "started_at": None if word == "starting" else created_at(job),
            "completed_at": _now(self.model) if over else None,
            "urls": {"get": here, "cancel": f"{here}/cancel", "web": here},
        }

    def _output(self, request: Request, told: Mapping[str, Any]) -> Any:
        job = self.model.jobs[told["id"]]
        if "prompt" not in self._asked[job.id]["input"]:
            return _spoken(job)
        return address(request, told["output"]["url"]) if "output" in told else None


def _now(model: Model) -> str:
    return dt.datetime.fromtimestamp(model.clock.time(), dt.UTC).isoformat()


def _spoken(job: RemoteJob) -> dict[str, Any]:
    words = spoken_words(job)
    text = spoken_text(job)
    times = {"start": words[0]["start"], "end": words[-1]["end"]} if words else {}
    return {
        "detected_language": "english",
        "transcription": text,
        "segments": [{**times, "text": text}] if words else [],
    }
