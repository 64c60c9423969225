"""Gladia: uploads, jobs that carry metadata, and a list that is asked for it. See
:mod:`batchkit.clients.gladia` for the facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from batchkit.clients.gladia import TAG
from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import (
    Uploads,
    created_at,
    item_of_file,
    read_form,
    seconds_of,
    spoken_text,
    spoken_words,
)

_WORDS = {"running": "processing", "succeeded": "done", "failed": "error", "canceled": "error"}
_JOBS = "/v2/pre-recorded"
_PAGE = 20


class GladiaDialect(Dialect):
    """``/v2/upload`` and ``/v2/pre-recorded``."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._uploads = Uploads()
        self._asked: dict[str, Mapping[str, Any]] = {}

    def authorized(self, request: Request) -> bool:
        """Gladia has a header of its own."""
        return request.headers.get("x-gladia-key") == self.model.api_key

    def error(self, status: int, code: str, message: str) -> Any:
        """``statusCode`` and ``message``, with what is wrong with the request."""
        told = {"statusCode": status, "message": message, "request_id": f"G-{status}"}
        return told | ({"validation_errors": [message]} if status in (400, 422) else {})

    def route(self, request: Request) -> Route | Reply:
        """Uploads, jobs and their list."""
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v2", "upload"]:
                return self._upload(request)
            case "POST", ["v2", "pre-recorded"]:
                return self._submission(request)
            case "GET", ["v2", "pre-recorded"]:
                return Route("find", "", lambda _: self._list(request))
            case "GET", ["v2", "pre-recorded", job_id]:
                return self.poll(job_id, self._told)
            case "DELETE", ["v2", "pre-recorded", job_id]:
                return self.about("cancel", job_id, self._delete)
        return no_such_page()

    def _upload(self, request: Request) -> Route | Reply:
        content = read_form(request).files.get("audio")
        if content is None:
            return refusal(400, "audio should not be empty")
        item = item_of_file(content)

        def told() -> Reply:
            url = self._uploads.keep(address(request, "/file"), item)
            metadata = {
                "id": url.rsplit("/", 1)[-1],
                "filename": item,
                "extension": "wav",
                "size": len(content),
                "audio_duration": 1.0,
                "number_of_channels": 1,
            }
            return Reply(data={"audio_url": url, "audio_metadata": metadata})

        return self.upload(item, told)

    def _submission(self, request: Request) -> Route | Reply:
        asked = request.data
        if not isinstance(asked, Mapping) or not isinstance(asked.get("audio_url"), str):
            return refusal(422, "audio_url should not be empty")
        key = str((asked.get("custom_metadata") or {}).get(TAG, ""))

        def told(job: RemoteJob) -> Reply:
            self._asked[job.id] = asked
            url = address(request, f"{_JOBS}/{job.id}")
            return Reply(status=201, data={"id": job.id, "result_url": url})

        return self.submission(self._uploads.item(asked["audio_url"]), told, key=key)

    def _list(self, request: Request) -> Reply:
        found = [job for job in reversed(self.model.jobs.values()) if self._fits(job, request)]
        first, most = int(request.query.get("offset", 0)), int(request.query.get("limit", _PAGE))
        page = found[first : first + most]
        data = {
            "first": _page_url(request, 0),
            "current": _page_url(request, first),
            "next": _page_url(request, first + most) if first + most < len(found) else None,
            "items": [self._described(job, self.model.tell(job)) for job in page],
        }
        return Reply(data=data)

    def _fits(self, job: RemoteJob, request: Request) -> bool:
        given = self._metadata(job)
        return all(str(given.get(name)) == value for name, value in _wanted(request))

    def _metadata(self, job: RemoteJob) -> Mapping[str, Any]:
        return self._asked[job.id].get("custom_metadata") or {}

    def _told(self, told: Mapping[str, Any]) -> Reply:
        return Reply(data=self._described(self.model.jobs[told["id"]], told))

    def _described(self, job: RemoteJob, told: Mapping[str, Any]) -> dict[str, Any]:
        word = _WORDS.get(told["state"], told["state"])
        data = {
            "id": job.id,
            "request_id": f"G-{job.id}",
            "version": 2,
            "kind": "pre-recorded",
            "status": word,
            "created_at": created_at(job),
            "custom_metadata": self._metadata(job) or None,
            "request_params": {"audio_url": self._asked[job.id]["audio_url"]},
        }
        if word == "error":
            data["error_code"] = 500 if (told.get("error") or {}).get("retryable") else 400
        return data | ({"result": _result(job)} if word == "done" else {})

    def _delete(self, job: RemoteJob) -> Reply:
        if not self.model.is_over(job):
            return refusal(403, "the transcription job is not in a deletable state")
        del self.model.jobs[job.id]
        return Reply(status=202)


def _wanted(request: Request) -> Iterator[tuple[str, str]]:
    """The metadata that a list is asked for."""
    for name, value in request.query.items():
        if name.startswith("custom_metadata["):
            yield name.removeprefix("custom_metadata[").removesuffix("]"), value


def _page_url(request: Request, offset: int) -> str:
    return address(request, f"{_JOBS}?{urlencode({**request.query, 'offset': offset})}")


def _result(job: RemoteJob) -> dict[str, Any]:
    words = [{**word, "word": f" {word['word']}", "confidence": 0.98} for word in spoken_words(job)]
    seconds = seconds_of(job)
    spoken = {
        "full_transcript": spoken_text(job),
        "languages": ["en"],
        "utterances": [_utterance(job, words)] if words else [],
    }
    metadata = {
        "audio_duration": seconds,
        "number_of_distinct_channels": 1,
        "billing_time": seconds,
        "transcription_time": 0.1,
    }
    return {"metadata": metadata, "transcription": spoken}


def _utterance(job: RemoteJob, words: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "confidence": 0.98,
        "channel": 0,
        "language": "en",
        "text": f" {spoken_text(job)}",
        "words": words,
    }
