"""What a prediction of Replicate says, as values; see :mod:`batchkit.clients.replicate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from batchkit._jobs import ErrorKind, JobError
from batchkit._results import Output, Segment, Transcript
from batchkit.clients._http_values import number, timestamp
from batchkit.clients._transcripts import spans, speakers
from batchkit.clients.base import Finished, RemoteState, RemoteStatus
from batchkit.clients.http import HttpResponse

#: Seconds after the end for which they keep what a prediction made.
KEPT_SECONDS = 3600.0
_STATES = {
    "starting": RemoteState.QUEUED,
    "processing": RemoteState.RUNNING,
    "succeeded": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
    "canceled": RemoteState.CANCELED,
}
_REMOVED = JobError(
    kind=ErrorKind.PROVIDER,
    message="Replicate has deleted the result, one hour after the prediction ended",
    code="data_removed",
)


def parse_prediction(answer: HttpResponse) -> RemoteStatus:
    """The state, the output, or why there is none."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    if state is RemoteState.FAILED:
        message = str(answer.get("error", default="the prediction failed"))
        error = JobError(kind=ErrorKind.PROVIDER, message=message)
        return RemoteStatus(state=state, error=error, raw_state=word)
    if state is not RemoteState.SUCCEEDED:
        return RemoteStatus(state=state, raw_state=word)
    output = answer.get("output")
    if output is None and answer.get("data_removed"):
        return RemoteStatus(state=RemoteState.EXPIRED, error=_REMOVED, raw_state=word)
    ended = timestamp(answer.get("completed_at"))
    done = finished(output, None if ended is None else ended + KEPT_SECONDS)
    metrics = answer.get("metrics")
    raw = {"metrics": metrics} if isinstance(metrics, Mapping) and metrics else {}
    return RemoteStatus(state=state, finished=attrs.evolve(done, raw=raw), raw_state=word)


def finished(output: Any, expires: float | None) -> Finished:
    """What a model made: the addresses in it, a transcript, a text, or else the value itself.

    Without any, the pipeline asks again before it gives the job up.
    """
    files = tuple(
        Output(url=url, role=role if place else "", expires=expires)
        for place, (role, url) in enumerate(_numbered(output))
    )
    if isinstance(output, Mapping) and isinstance(output.get("segments"), list):
        return _spoken(output, files)
    if files:
        plain = isinstance(output, (str, list))
        return Finished(outputs=files, value=None if plain else output)
    return Finished(text=output) if isinstance(output, str) else Finished(value=output)


def _spoken(output: Mapping[str, Any], files: tuple[Output, ...]) -> Finished:
    """The shape that models of the Whisper family answer: segments with times in seconds; some
    name files of subtitles too."""
    parts = spans(output["segments"])
    segments = tuple(
        Segment(
            start=float(part["start"]),
            end=float(part["end"]),
            text=str(part.get("text") or "").strip(),
        )
        for part in parts
    )
    said = output.get("text") or output.get("transcription")
    language = output.get("language") or output.get("detected_language")
    found = Transcript(
        text=str(said or " ".join(segment.text for segment in segments)).strip(),
        language=str(language) if language else None,
        duration=number(output.get("duration")),
        segments=segments,
    )
    named = [attrs.evolve(file, role=file.role or "file") for file in files]
    outputs = (Output(transcript=found), *named)
    return Finished(transcript=found, outputs=outputs, value=speakers(parts))


def _numbered(output: Any) -> Iterator[tuple[str, str]]:
    for place, (name, url) in enumerate(_addresses(output, ""), 1):
        yield name or str(place), url


def _addresses(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value.startswith(("http://", "https://")) and " " not in value:
            yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _addresses(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _addresses(item, name)
