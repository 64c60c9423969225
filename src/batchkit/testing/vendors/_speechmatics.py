"""Speechmatics: jobs with a reference of their own, and a list that tells it. See
:mod:`batchkit.clients.speechmatics` for the facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchkit.testing._dialect import Dialect, Route, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import (
    created_at,
    item_of_file,
    item_of_url,
    read_form,
    seconds_of,
    spoken_text,
    spoken_words,
)

_WORDS = {
    "queued": "created",
    "succeeded": "done",
    "failed": "rejected",
    "canceled": "deleted",
}
_ERRORS = {
    400: "Bad Request",
    401: "Permission Denied",
    403: "Forbidden",
    404: "Not Found",
    410: "Job Expired",
    423: "Resource Locked",
}
_PAGE = 100


class SpeechmaticsDialect(Dialect):
    """``/jobs``, with or without ``/v2`` before it."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._configs: dict[str, Mapping[str, Any]] = {}
        self._deleted: set[str] = set()

    def error(self, status: int, code: str, message: str) -> Any:
        """``code``, ``error`` and ``detail``."""
        word = _ERRORS.get(status, "Internal Server Error" if status >= 500 else "Bad Request")
        return {"code": status, "error": word, "detail": message}

    def route(self, request: Request) -> Route | Reply:
        """Jobs, their transcripts and their list."""
        match request.method, request.path.removeprefix("/v2").strip("/").split("/"):
            case "POST", ["jobs"]:
                return self._submission(request)
            case "GET", ["jobs"]:
                return Route("list", "", lambda _: self._list(request.query))
            case "GET", ["jobs", job_id]:
                return self.poll(job_id, self._told)
            case "GET", ["jobs", job_id, "transcript"]:
                return self.about("poll", job_id, lambda job: self._transcript(request, job))
            case "DELETE", ["jobs", job_id]:
                force = request.query.get("force") == "true"
                return self.about("cancel", job_id, lambda job: self._delete(job, force=force))
        return no_such_page()

    def _submission(self, request: Request) -> Route | Reply:
        form = read_form(request)
        config = _config(form.first("config"))
        if config is None or "transcription_config" not in config:
            return refusal(400, "config is not a valid JobConfig")
        content, address = form.files.get("data_file"), (config.get("fetch_data") or {}).get("url")
        if (content is None) == (address is None):
            return refusal(400, "send either data_file or fetch_data")
        item = item_of_url(str(address)) if content is None else item_of_file(content)
        key = str((config.get("tracking") or {}).get("reference", ""))

        def told(job: RemoteJob) -> Reply:
            self._configs[job.id] = config
            return Reply(status=201, data={"id": job.id})

        return self.submission(item, told, key=key)

    def _list(self, query: Mapping[str, str]) -> Reply:
        hidden = set() if query.get("include_deleted") == "true" else self._deleted
        before = query.get("created_before", "9999")
        found = [
            job
            for job in reversed(self.model.jobs.values())
            if job.id not in hidden and created_at(job) < before
        ]
        page = found[: int(query.get("limit", _PAGE))]
        return Reply(data={"jobs": [self._details(job, self.model.tell(job)) for job in page]})

    def _told(self, told: Mapping[str, Any]) -> Reply:
        return Reply(data={"job": self._details(self.model.jobs[told["id"]], told)})

    def _details(self, job: RemoteJob, told: Mapping[str, Any]) -> dict[str, Any]:
        word = "deleted" if job.id in self._deleted else told["state"]
        data = {
            "id": job.id,
            "status": _WORDS.get(word, word),
            "created_at": created_at(job),
            "data_name": job.item,
            "duration": seconds_of(job),
            "config": self._configs[job.id],
        }
        if word == "failed":
            message = told["error"]["message"]
            data["errors"] = [{"timestamp": created_at(job), "message": message}]
        return data

    def _transcript(self, request: Request, job: RemoteJob) -> Reply:
        if self.model.tell(job)["state"] != "succeeded" or job.id in self._deleted:
            return refusal(404, "the transcript is not available")
        if request.query.get("format", "json-v2") == "txt":
            return Reply(body=spoken_text(job).encode())
        about = {"id": job.id, "created_at": created_at(job), "data_name": job.item}
        metadata = {
            "created_at": created_at(job),
            "type": "transcription",
            "transcription_config": self._configs[job.id]["transcription_config"],
            "language_pack_info": {"word_delimiter": " "},
        }
        data = {
            "format": "2.9",
            "job": about | {"duration": seconds_of(job)},
            "metadata": metadata,
            "results": _results(job),
        }
        return Reply(data=data)

    def _delete(self, job: RemoteJob, *, force: bool) -> Reply:
        if not force and not self.model.is_over(job):
            return refusal(423, "the job is still running")
        self.model.halt(job)
        self._deleted.add(job.id)
        return Reply(data={"job": self._details(job, self.model.tell(job))})


def _config(written: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(written)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _results(job: RemoteJob) -> list[dict[str, Any]]:
    """Words, and the mark after the last one."""
    results: list[dict[str, Any]] = []
    for word in spoken_words(job):
        said, start, end = word["word"], word["start"], word["end"]
        results.append(_result("word", said.removesuffix("."), start, end))
        if said.endswith("."):
            more = {"attaches_to": "previous", "is_eos": True}
            results.append(_result("punctuation", ".", end, end) | more)
    return results


def _result(kind: str, content: str, start: float, end: float) -> dict[str, Any]:
    best = {"content": content, "confidence": 0.98, "language": "en", "speaker": "UU"}
    return {"type": kind, "start_time": start, "end_time": end, "alternatives": [best]}
