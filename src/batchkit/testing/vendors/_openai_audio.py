"""OpenAI's audio dialect: one request, whose answer is the transcript. See
:mod:`batchkit.clients.openai_audio` for the facts."""

from __future__ import annotations

from typing import Any, ClassVar

from batchkit.testing._dialect import Dialect, Route, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import RemoteJob
from batchkit.testing.vendors._recordings import (
    Form,
    item_of_file,
    item_of_url,
    read_form,
    seconds_of,
    spoken_text,
    spoken_words,
)

_PATH = "/audio/transcriptions"
_MIB = 1024 * 1024
_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
_MODERATION = "content_policy_violation"


class OpenAIAudioDialect(Dialect):
    """``POST .../audio/transcriptions``, below any path, as SDKs and gateways have it."""

    takes_urls: ClassVar[bool] = False
    most_bytes: ClassVar[int] = 25 * _MIB

    def error(self, status: int, code: str, message: str) -> Any:
        """``error`` with ``message``, ``type`` and ``code``."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        word = _MODERATION if code == "moderation" else _CODES.get(status)
        return {"error": {"message": message, "type": kind, "param": None, "code": word}}

    def route(self, request: Request) -> Route | Reply:
        """Transcriptions, and nothing else."""
        if request.method != "POST" or not request.path.endswith(_PATH):
            return no_such_page()
        form = read_form(request)
        if not form.first("model"):
            return refusal(400, "you must provide a model parameter")
        if self._cannot(form):
            return refusal(400, "response_format is not compatible with the model")
        return self._submission(form)

    def _cannot(self, form: Form) -> bool:
        plain = form.first("model").startswith("gpt-") and "diarize" not in form.first("model")
        return plain and form.first("response_format") not in ("", "json")

    def _submission(self, form: Form) -> Route | Reply:
        if self.takes_urls and form.first("url"):
            item = item_of_url(form.first("url"))
        elif "file" not in form.files:
            return refusal(400, "file is a required property")
        elif len(form.files["file"]) > self.most_bytes:
            return refusal(413, f"Maximum content size limit ({self.most_bytes}) exceeded")
        else:
            item = item_of_file(form.files["file"])
        return self.submission(item, lambda job: self._answer(form, job))

    def _answer(self, form: Form, job: RemoteJob) -> Reply:
        if self.model.finish(job)["state"] != "succeeded":
            return refusal(500, "the server had an error while processing your request")
        data: dict[str, Any] = {
            "text": spoken_text(job),
            "usage": {"type": "duration", "seconds": 3},
        }
        asked = form.first("response_format")
        if asked in ("verbose_json", "diarized_json"):
            data |= {"task": "transcribe", "duration": seconds_of(job)}
            data["segments"] = _segments(job, speakers=asked == "diarized_json")
        if asked == "verbose_json":
            data["language"] = form.first("language") or "english"
        if "word" in form.fields.get("timestamp_granularities[]", ()):
            data["words"] = spoken_words(job)
        return Reply(data=data)


class GroqDialect(OpenAIAudioDialect):
    """The same, and ``url`` instead of a file."""

    takes_urls = True
    most_bytes = 100 * _MIB


def _segments(job: RemoteJob, *, speakers: bool) -> list[dict[str, Any]]:
    words = spoken_words(job)
    if not words:
        return []
    start, end = words[0]["start"], words[-1]["end"]
    segment = {"id": 0, "start": start, "end": end, "text": f" {spoken_text(job)}"}
    return [segment | ({"id": "seg_0", "speaker": "A"} if speakers else {})]
