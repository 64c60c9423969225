"""What Google's Interactions API writes and says, as values; see :mod:`batchkit.clients.google`."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from batchkit._jobs import ErrorKind, JobError
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit._results import Output, Transcript, Word
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import sentences, speakers
from batchkit.clients.base import Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Fault, HttpResponse

log = logging.getLogger("batchkit.clients")

#: The path of one of their files.
FILE = re.compile(r"/files/([a-z0-9-]+)(?::download)?$")
_STATES = {
    "queued": RemoteState.QUEUED,
    "in_progress": RemoteState.RUNNING,
    "completed": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
    "incomplete": RemoteState.FAILED,
    "budget_exceeded": RemoteState.FAILED,
    "requires_action": RemoteState.FAILED,
    "requires_continuation": RemoteState.FAILED,
    "cancelled": RemoteState.CANCELED,
}
_WRONG_KEY = "API_KEY_INVALID"


def source_of(request: Request) -> str | None:
    """The path or address of what a request shows to the model."""
    if isinstance(request, TranscribeVideo):
        return request.source
    return request.image if isinstance(request, GenerateVideo) else None


def is_transcriber(model: str) -> bool:
    """Whether a model takes a ``transcription_config``, by its name."""
    return "transcribe" in model


def media_part(uri: str, media_type: str) -> dict[str, str]:
    """A file as a part of the input; what has no known type is taken for sound."""
    kind, _, _ = media_type.partition("/")
    if kind not in ("image", "video", "audio"):
        return {"type": "audio", "uri": uri}
    return {"type": kind, "uri": uri, "mime_type": media_type}


def part_of_uri(uri: str) -> dict[str, str]:
    """An address, or a data URI (RFC 2397) in base64, as a part of the input."""
    if not uri.startswith("data:"):
        return media_part(uri, media_type_of(urlsplit(uri).path))
    head, _, data = uri.removeprefix("data:").partition(",")
    part = media_part("", head.partition(";")[0])
    del part["uri"]
    return {**part, "data": data}


def parse_interaction(answer: HttpResponse, *, transcribes: bool) -> RemoteStatus:
    """The state, the result, or why there is none.

    Without any output, the pipeline asks again before it gives the job up.
    """
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    step = _last_output(answer)
    if state is RemoteState.SUCCEEDED:
        done = _finished(step, answer, transcribes=transcribes)
        failed = _error(answer, step, "") if done is None else None
        if failed is None:
            return RemoteStatus(state=state, finished=done or Finished(), raw_state=word)
        return RemoteStatus(state=RemoteState.FAILED, error=failed, raw_state=word)
    if state is RemoteState.FAILED:
        error = _error(answer, step, f"the interaction ended as {word}")
        return RemoteStatus(state=state, error=error, raw_state=word)
    return RemoteStatus(state=state, raw_state=word)


def _last_output(answer: HttpResponse) -> Mapping[str, Any]:
    steps = answer.get("steps", default=[])
    found = [
        step
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, Mapping) and step.get("type") == "model_output"
    ]
    return found[-1] if found else {}


def _finished(
    step: Mapping[str, Any], answer: HttpResponse, *, transcribes: bool
) -> Finished | None:
    """What the last step made; ``None`` where that is nothing."""
    parts = [part for part in step.get("content") or () if isinstance(part, Mapping)]
    raw = {"usage": usage} if (usage := answer.get("usage")) else {}
    texts = [part for part in parts if part.get("type") == "text"]
    text = "".join(str(part.get("text") or "") for part in texts)
    if transcribes and texts:
        return _spoken(text, texts, raw)
    outputs = [_output(part, place) for place, part in enumerate(_media(parts))]
    if not outputs and not text:
        return None
    return Finished(outputs=tuple(outputs), text=text or None, raw=raw)


def _media(parts: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kinds = ("video", "audio", "image")
    return [
        part
        for part in parts
        if part.get("type") in kinds and (part.get("uri") or part.get("data"))
    ]


def _output(part: Mapping[str, Any], place: int) -> Output:
    told: dict[str, Any] = {
        "media_type": part.get("mime_type"),
        "role": str(place + 1) if place else "",
    }
    if part.get("uri"):
        return Output(url=str(part["uri"]), **told)
    try:
        return Output(data=base64.b64decode(str(part["data"]), validate=True), **told)
    except binascii.Error:
        # The answer was damaged on its way; the next query brings it again.
        raise ConnectionError("the result in the answer is damaged") from None


def _spoken(text: str, texts: list[Mapping[str, Any]], raw: Mapping[str, Any]) -> Finished:
    entries = [
        entry
        for part in texts
        for entry in part.get("annotations") or ()
        if isinstance(entry, Mapping) and entry.get("type") == "word_info"
    ]
    timed = [entry for entry in map(_timed, entries) if entry is not None]
    if len(timed) < len(entries):
        log.warning("a provider's transcript has words without times, which are left out")
    words = tuple(Word(start=each["start"], end=each["end"], text=each["text"]) for each in timed)
    found = Transcript(text=text.strip(), segments=sentences(words))
    return Finished(
        transcript=found, outputs=(Output(transcript=found),), value=speakers(timed), raw=raw
    )


def _timed(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    start, end = _seconds(entry.get("start_offset")), _seconds(entry.get("end_offset"))
    if start is None or end is None:
        return None
    text = str(entry.get("text") or "").strip()
    return {"start": start, "end": end, "text": text, "speaker": entry.get("speaker")}


def _seconds(offset: object) -> float | None:
    """A time as they write it: ``"1.500s"``."""
    return number(offset.removesuffix("s")) if isinstance(offset, str) else None


def _error(answer: HttpResponse, step: Mapping[str, Any], otherwise: str) -> JobError | None:
    """Why there is no result; ``None`` where nothing says so."""
    errors = answer.get("errors", default=[])
    told = [*(errors if isinstance(errors, list) else []), step.get("error")]
    for one in told:
        if isinstance(one, Mapping) and (one.get("message") or one.get("code")):
            code = str(one["code"]) if one.get("code") else None
            message = str(one.get("message") or otherwise or "the interaction failed")
            return JobError(kind=ErrorKind.PROVIDER, message=message, code=code)
    return JobError(kind=ErrorKind.PROVIDER, message=otherwise) if otherwise else None


def parse_fault(answer: HttpResponse) -> Fault:
    """What Google says of a failure; never raises."""
    said = answer.fields().get("error")
    if not isinstance(said, Mapping):
        return Fault(message=said if isinstance(said, str) else "")
    message = said.get("message")
    code = said.get("status") or said.get("code")
    details = said.get("details")
    reasons = [
        each.get("reason")
        for each in (details if isinstance(details, list) else [])
        if isinstance(each, Mapping)
    ]
    wrong_key = _WRONG_KEY in reasons
    return Fault(
        message=message if isinstance(message, str) else "",
        code=_WRONG_KEY if wrong_key else str(code) if code else None,
        kind="authentication" if wrong_key else "",
    )
