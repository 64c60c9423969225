"""Gladia: transcription as jobs that are found again by our own tag.

Facts (gladiaio-sdk 2.2.0 and https://docs.gladia.io, pages "Custom metadata", "Data retention",
"Supported formats", "Transcription process" and "Delete transcription"):

* The key goes into ``x-gladia-key``.
* ``POST /v2/upload`` takes the field ``audio`` of a form and answers ``audio_url``; it is free. A
  file has at most 1000 MB.
* ``POST /v2/pre-recorded`` with ``audio_url`` answers ``id``. ``custom_metadata`` (at most 2000
  characters as JSON) comes back with the job, and the list can be asked for it: the submit key
  goes there.
* ``GET /v2/pre-recorded/{id}``: ``queued``, ``processing``, ``done`` with ``result``, ``error``
  with ``error_code``, an HTTP status. Times are in seconds. ``result.metadata.billing_time`` is the
  billed duration in seconds; no answer names a price.
* ``GET /v2/pre-recorded?custom_metadata[name]=value`` lists what carries it.
* There is no cancel and no idempotency key. ``DELETE`` is refused (403) before a job has ended, and
  afterwards deletes what was paid for: so it is not used.
* Jobs are kept for 12 months by default; an account may have less, or none at all ("zero data
  retention"). Then absence from the list proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from batchkit._errors import ClientError, UsageError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request
from batchkit._results import Output, Segment, Transcript, Word
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import (
    check_recording,
    is_address,
    recording,
    spans,
    speakers,
)
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, Fault, FilePart, HttpClient, HttpRequest, HttpResponse

_STATES = {
    "queued": RemoteState.QUEUED,
    "processing": RemoteState.RUNNING,
    "done": RemoteState.SUCCEEDED,
    "error": RemoteState.FAILED,
}
#: Under this name the submit key stands in ``custom_metadata``.
TAG = "batchkit"
MAX_BYTES = 1_000_000_000
_VENDOR = "Gladia"
_MOST_METADATA = 2000
#: Left for the tag in ``custom_metadata``.
_TAG_CHARACTERS = 100
_UPLOAD_SECONDS = 600.0
_LISTED = 100
_DAY = 86400.0


class GladiaClient(HttpClient):
    """Transcribes files and addresses with Gladia.

    A file is uploaded first, which is free. ``model`` is as ``"solaria-1"``; everything else goes
    through ``params``, verbatim, as ``{"diarization": True}``. Each submission carries its submit
    key in ``custom_metadata``, beside yours, so that one whose answer was lost is found again. Who
    speaks when, if ``diarization`` was asked for, is in the result's value under ``"speakers"``.

    Args:
        key: of the account; by default from ``GLADIA_API_KEY``.
        max_bytes: of a file; ``None`` is no limit.
        retention_days: how long the account keeps jobs; 0 for zero data retention, where a
            submission that is not listed stays uncertain.
        options: of :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "gladia"
    key_env = ("GLADIA_API_KEY",)
    default_url = "https://api.gladia.io"
    capabilities = Capabilities(min_poll_seconds=3.0, find_after_seconds=300.0)

    def __init__(
        self,
        key: str | None = None,
        *,
        max_bytes: int | None = MAX_BYTES,
        retention_days: float = 365,
        **options: Any,
    ) -> None:
        super().__init__(key, **options)
        self.max_bytes = max_bytes
        kept = retention_days * _DAY
        self.capabilities = attrs.evolve(
            self.capabilities,
            result_ttl_seconds=kept or None,
            find_until_seconds=max(0.0, kept - _DAY),
        )

    def headers(self) -> dict[str, str]:
        """The key, in Gladia's own header."""
        return {"x-gladia-key": self.key}

    def check(self, request: Request) -> None:
        """Refuses what is no transcription, a missing or too large file, too much metadata."""
        check_recording(request, _VENDOR, urls=True, max_bytes=self.max_bytes)
        _check_metadata(request.params.get("custom_metadata") or {})

    def http_prepare(self, job: Job) -> Exchange[Mapping[str, Any]]:
        """Uploads a file; an address is passed through."""
        source = recording(job.request, _VENDOR).source
        if is_address(source):
            return {"audio_url": source}
        audio = FilePart(field="audio", filename=Path(source).name, path=source)
        answer = yield HttpRequest("POST", "/v2/upload", files=[audio], timeout=_UPLOAD_SECONDS)
        return {"audio_url": answer.text("audio_url")}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the transcription."""
        answer = yield build_submit(job, self.model)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for the transcript."""
        answer = yield HttpRequest("GET", f"/v2/pre-recorded/{handle.id}")
        return parse_job(answer)

    def http_find(self, job: Job, submit_key: str) -> Exchange[Handle | None]:
        """Looks for the job that carries the submit key.

        Absence is believed only of a list that was just seen to find another job by its tag, or
        that holds all jobs.

        Raises:
            ClientError: the list does not decide it; the submission stays uncertain.
        """
        found = yield from _tagged(submit_key)
        if found is not None:
            return Handle(id=found)
        answer = yield HttpRequest("GET", "/v2/pre-recorded", params={"limit": _LISTED})
        items = answer.get("items")
        if not isinstance(items, list):
            raise ClientError("the provider answers without a list", code="garbled", retryable=True)
        known = next(filter(None, map(_tag, items)), None)
        if known is not None and (yield from _tagged(known)) is None:
            raise ClientError("the list does not find what is in it: its silence proves nothing")
        if known is None and (len(items) >= _LISTED or answer.get("next")):
            raise ClientError("no job in the list carries a tag: its silence proves nothing")
        return None

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``message`` and ``validation_errors``."""
        return parse_fault(response)


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, Mapping) or TAG in metadata:
        raise UsageError(f"custom_metadata has to be a mapping without {TAG!r}: rename that key")
    if len(json.dumps(dict(metadata))) > _MOST_METADATA - _TAG_CHARACTERS:
        raise UsageError(
            f"custom_metadata has more than {_MOST_METADATA - _TAG_CHARACTERS} characters as JSON: "
            "shorten it"
        )


def build_submit(job: Job, model: str | None) -> HttpRequest:
    """The one request that costs money; it carries the submit key."""
    request = recording(job.request, _VENDOR)
    body: dict[str, Any] = {"audio_url": (job.prepared or {}).get("audio_url", request.source)}
    if request.language != "auto":
        body["language_config"] = {"languages": [request.language.partition("-")[0].lower()]}
    if chosen := request.model or model:
        body["model"] = chosen
    given = request.params.get("custom_metadata") or {}
    metadata = {**given, TAG: job.submit_key}
    body = {**body, **request.params, "custom_metadata": metadata}
    return HttpRequest("POST", "/v2/pre-recorded", json=body)


def _tag(item: Mapping[str, Any]) -> str | None:
    found = (item.get("custom_metadata") or {}).get(TAG)
    return found if isinstance(found, str) else None


def _tagged(tag: str) -> Exchange[str | None]:
    """The id of the job that carries a tag; whatever else is listed shows that nobody filtered."""
    params = {f"custom_metadata[{TAG}]": tag, "limit": _LISTED}
    answer = yield HttpRequest("GET", "/v2/pre-recorded", params=params)
    items = answer.get("items")
    if not isinstance(items, list):
        raise ClientError("the provider answers without a list", code="garbled", retryable=True)
    found = next((str(item["id"]) for item in items if _tag(item) == tag), None)
    if items and found is None:
        raise ClientError("the list is not filtered by our tag: its silence proves nothing")
    return found


def parse_job(answer: HttpResponse) -> RemoteStatus:
    """The state, the transcript, or why there is none."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    if state is RemoteState.SUCCEEDED:
        return RemoteStatus(state=state, finished=_finished(answer), raw_state=word)
    if state is RemoteState.FAILED:
        error = _failure(answer.get("error_code"))
        return RemoteStatus(state=state, error=error, raw_state=word)
    return RemoteStatus(state=state, raw_state=word)


def _finished(answer: HttpResponse) -> Finished:
    result = answer.get("result")
    if result is None:
        return Finished()
    found = transcript(result)
    billed = number(answer.get("result", "metadata", "billing_time"))
    raw = {} if billed is None else {"billing_time": billed}
    said = speakers(_utterances(result))
    return Finished(transcript=found, outputs=(Output(transcript=found),), value=said, raw=raw)


def _failure(code: object) -> JobError:
    # The status of their own inner request; who is to blame is all that it tells.
    ours = isinstance(code, int) and 400 <= code < 500
    return JobError(
        kind=ErrorKind.INVALID_INPUT if ours else ErrorKind.PROVIDER,
        message="the transcription failed" + (f" with {code}" if code else ""),
        code=str(code) if code else None,
    )


def transcript(result: Mapping[str, Any]) -> Transcript:
    """Their result as a transcript; utterances are the segments."""
    spoken = result.get("transcription") or {}
    languages = spoken.get("languages") or [None]
    return Transcript(
        text=str(spoken.get("full_transcript") or ""),
        language=languages[0],
        duration=number((result.get("metadata") or {}).get("audio_duration")),
        segments=tuple(map(_segment, _utterances(result))),
    )


def _utterances(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return spans((result.get("transcription") or {}).get("utterances"))


def _segment(utterance: Mapping[str, Any]) -> Segment:
    return Segment(
        start=float(utterance["start"]),
        end=float(utterance["end"]),
        text=str(utterance.get("text", "")).strip(),
        words=tuple(map(_word, spans(utterance.get("words")))),
    )


def _word(word: Mapping[str, Any]) -> Word:
    return Word(
        start=float(word["start"]),
        end=float(word["end"]),
        text=str(word.get("word", "")).strip(),
        probability=number(word.get("confidence")),
    )


def parse_fault(answer: HttpResponse) -> Fault:
    """What Gladia says of a failure; never raises."""
    body = answer.fields()
    details = body.get("validation_errors")
    told = [body.get("message"), *(details if isinstance(details, list) else ())]
    return Fault(message="; ".join(one for one in told if isinstance(one, str)))
