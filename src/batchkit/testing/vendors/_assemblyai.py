"""AssemblyAI: uploads, transcripts, and a list that echoes their addresses. See
:mod:`batchkit.clients.assemblyai` for the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import (
    Uploads,
    created_at,
    item_of_file,
    seconds_of,
    spoken_text,
    spoken_words,
)

_WORDS = {
    "running": "processing",
    "succeeded": "completed",
    "failed": "error",
    "canceled": "error",
}
_PAGE = 10


class AssemblyAIDialect(Dialect):
    """``/v2/upload`` and ``/v2/transcript``."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._uploads = Uploads()
        self._asked: dict[str, Mapping[str, Any]] = {}

    def authorized(self, request: Request) -> bool:
        """The key as it is."""
        return request.headers.get("authorization") == self.model.api_key

    def error(self, status: int, code: str, message: str) -> Any:
        """``error``, a text."""
        return {"error": message}

    def route(self, request: Request) -> Route | Reply:
        """Uploads, transcripts and their list."""
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v2", "upload"]:
                return self._upload(request)
            case "POST", ["v2", "transcript"]:
                return self._submission(request)
            case "GET", ["v2", "transcript"]:
                return Route("list", "", lambda _: self._list(request))
            case "GET", ["v2", "transcript", job_id]:
                return self.poll(job_id, self._told)
            case "GET", ["v2", "transcript", job_id, "srt" | "vtt"]:
                return self.about("poll", job_id, self._subtitles)
        return no_such_page()

    def _upload(self, request: Request) -> Route | Reply:
        if not request.body:
            return refusal(422, "Upload failed, please send a file")
        item = item_of_file(request.body)

        def told() -> Reply:
            return Reply(data={"upload_url": self._uploads.keep(address(request, "/upload"), item)})

        return self.upload(item, told)

    def _submission(self, request: Request) -> Route | Reply:
        asked = request.data
        if not isinstance(asked, Mapping) or not isinstance(asked.get("audio_url"), str):
            return refusal(400, "audio_url should be a valid URL")

        def told(job: RemoteJob) -> Reply:
            self._asked[job.id] = asked
            return Reply(data=self._described(job, {"state": "queued"}))

        return self.submission(self._uploads.item(asked["audio_url"]), told)

    def _list(self, request: Request) -> Reply:
        found = list(reversed(self.model.jobs.values()))
        ids = [job.id for job in found]
        before, most = request.query.get("before_id", ""), int(request.query.get("limit", _PAGE))
        first = ids.index(before) + 1 if before in ids else 0
        page = found[first : first + most]
        older = f"{request.path}?limit={most}&before_id={page[-1].id}" if page else ""
        details = {
            "limit": most,
            "result_count": len(page),
            "current_url": address(request, request.path),
            # What is older, although it is called the previous page.
            "prev_url": address(request, older) if first + most < len(found) else None,
            "next_url": None,
        }
        listed = [self._listed(request, job) for job in page]
        return Reply(data={"page_details": details, "transcripts": listed})

    def _listed(self, request: Request, job: RemoteJob) -> dict[str, Any]:
        told = self.model.tell(job)
        return {
            "id": job.id,
            "resource_url": address(request, f"/v2/transcript/{job.id}"),
            "status": _WORDS.get(told["state"], told["state"]),
            "created": created_at(job)[:-1],
            "completed": None,
            "audio_url": self._asked[job.id]["audio_url"],
            "error": None,
        }

    def _told(self, told: Mapping[str, Any]) -> Reply:
        return Reply(data=self._described(self.model.jobs[told["id"]], told))

    def _described(self, job: RemoteJob, told: Mapping[str, Any]) -> dict[str, Any]:
        word = _WORDS.get(told["state"], told["state"])
        asked = self._asked[job.id]
        data = {
            "id": job.id,
            "status": word,
            "audio_url": asked["audio_url"],
            "language_code": asked.get("language_code", "en"),
            "speech_models": asked.get("speech_models"),
            "text": None,
            "words": None,
            "utterances": None,
            "audio_duration": None,
        }
        if word == "error":
            data["error"] = (told.get("error") or {}).get("message", "it was cancelled")
        return data | (_spoken(job) if word == "completed" else {})

    def _subtitles(self, job: RemoteJob) -> Reply:
        if self.model.tell(job)["state"] != "succeeded":
            return refusal(400, "the transcript is not completed")
        return Reply(body=f"1\n00:00:00,000 --> 00:00:09,000\n{spoken_text(job)}\n".encode())


def _spoken(job: RemoteJob) -> dict[str, Any]:
    words = [
        {
            "text": word["word"],
            "start": round(word["start"] * 1000),
            "end": round(word["end"] * 1000),
            "confidence": 0.98,
            "speaker": None,
        }
        for word in spoken_words(job)
    ]
    return {
        "text": spoken_text(job),
        "words": words,
        "confidence": 0.98,
        "audio_duration": round(seconds_of(job)),
    }
