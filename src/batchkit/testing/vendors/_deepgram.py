"""Deepgram: one request, whose answer is the transcript. See :mod:`batchkit.clients.deepgram` for
the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit.testing._dialect import Dialect, Route, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import RemoteJob
from batchkit.testing.vendors._recordings import (
    item_of_file,
    item_of_url,
    seconds_of,
    spoken_text,
    spoken_words,
)

_CODES = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    402: "ASR_PAYMENT_REQUIRED",
    403: "INSUFFICIENT_PERMISSIONS",
    429: "TOO_MANY_REQUESTS",
}


class DeepgramDialect(Dialect):
    """``POST /v1/listen``."""

    def authorized(self, request: Request) -> bool:
        """Deepgram has a scheme of its own for keys."""
        return request.headers.get("authorization") == f"Token {self.model.api_key}"

    def error(self, status: int, code: str, message: str) -> Any:
        """``err_code`` and ``err_msg``."""
        word = _CODES.get(status, "Unprocessable Entity" if status == 422 else str(status))
        return {"err_code": word, "err_msg": message, "request_id": "refused"}

    def route(self, request: Request) -> Route | Reply:
        """Recordings, and nothing else."""
        if (request.method, request.path) != ("POST", "/v1/listen"):
            return no_such_page()
        if not request.headers.get("content-type", "").startswith("application/json"):
            if not request.body:
                return refusal(400, "Bad Request: failed to process audio: corrupt data")
            item = item_of_file(request.body)
        elif isinstance(request.data, Mapping) and isinstance(request.data.get("url"), str):
            item = item_of_url(request.data["url"])
        else:
            return refusal(400, "we could not process the JSON payload")
        return self.submission(item, lambda job: self._answer(request.query, job))

    def _answer(self, query: Mapping[str, str], job: RemoteJob) -> Reply:
        if self.model.finish(job)["state"] != "succeeded":
            return refusal(500, "the transcription failed")
        if "callback" in query:
            return Reply(data={"request_id": job.id})
        results: dict[str, Any] = {"channels": [_channel(query, job)]}
        if query.get("utterances") == "true" and spoken_words(job):
            results["utterances"] = [_utterance(query, job)]
        metadata = {
            "transaction_key": "deprecated",
            "request_id": job.id,
            "sha256": "0" * 64,
            "created": "2026-11-22T00:00:00.000Z",
            "duration": seconds_of(job),
            "channels": 1,
            "models": ["fake"],
            "model_info": {"fake": {"name": query.get("model", "base"), "version": "1"}},
        }
        headers = {"dg-request-id": job.id}
        return Reply(data={"metadata": metadata, "results": results}, headers=headers)


def _channel(query: Mapping[str, str], job: RemoteJob) -> dict[str, Any]:
    said = {"transcript": spoken_text(job), "confidence": 0.99, "words": _words(query, job)}
    found = {"detected_language": "en", "language_confidence": 0.98}
    asked = query.get("detect_language") == "true"
    return {"alternatives": [said], **(found if asked else {})}


def _words(query: Mapping[str, str], job: RemoteJob) -> list[dict[str, Any]]:
    written = "true" in (query.get("punctuate"), query.get("smart_format"))
    return [
        {**word, "word": word["word"].lower().rstrip("."), "confidence": 0.98}
        | ({"punctuated_word": word["word"]} if written else {})
        for word in spoken_words(job)
    ]


def _utterance(query: Mapping[str, str], job: RemoteJob) -> dict[str, Any]:
    words = _words(query, job)
    return {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "confidence": 0.98,
        "channel": 0,
        "transcript": spoken_text(job),
        "words": words,
        "speaker": 0,
        "id": job.id,
    }
