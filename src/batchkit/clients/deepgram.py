"""Deepgram: transcription in one call.

Facts (deepgram-sdk 7.17.0 and https://developers.deepgram.com):

* ``POST /v1/listen`` with the parameters in the query, and the file as the whole body or
  ``{"url": ...}`` as JSON. It does the work itself: its answer is the transcript. A file may have
  2 GB, and the work may take ten minutes, after which it answers 504.
* The key goes into ``Authorization: Token ...``.
* ``results.channels[].alternatives[0]`` has ``transcript`` and ``words`` in seconds, where
  ``punctuated_word`` is there when punctuation was asked for; ``results.utterances`` is there when
  it was asked for. ``metadata`` has ``request_id`` and ``duration``.
* Without ``language`` the model hears English; ``detect_language`` lets it find out.
* Errors are ``{err_code, err_msg, request_id}``, or ``{category, message, details, request_id}``;
  402 (``ASR_PAYMENT_REQUIRED``) is an empty account, 429 counts what runs at the same time.
* Requests are listed for management keys, but without their transcripts: a submission whose answer
  is lost cannot be had again, and stays uncertain. With ``callback`` the answer has no transcript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from batchkit._errors import ClientError, UsageError
from batchkit._jobs import Job
from batchkit._requests import Request, TranscribeVideo
from batchkit._results import Output, Segment, Transcript, Word
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import (
    check_recording,
    is_address,
    recording,
    sentences,
    spans,
    speakers,
)
from batchkit.clients.base import Capabilities, Finished
from batchkit.clients.http import Exchange, Fault, HttpClient, HttpRequest, HttpResponse

#: Seconds that the server may be silent while it transcribes; giving up leaves the job uncertain.
TIMEOUT = 3600.0
MAX_BYTES = 2_000_000_000
_VENDOR = "Deepgram"
_PAYMENT = "ASR_PAYMENT_REQUIRED"


class DeepgramClient(HttpClient):
    """Transcribes files and addresses with Deepgram.

    ``params`` go into the query, verbatim; punctuation is asked for unless they say otherwise, and
    ``language="auto"`` asks for ``detect_language``. There is no job to look up afterwards: a
    submission whose answer is lost is UNCERTAIN, and you decide about it. Speakers, where they were
    asked for, are in the job's value.

    Args:
        key: of the account.
        max_bytes: of a file.
        timeout: seconds that the server may be silent, an hour by default: it does the whole work
            before it answers.
        options: as of any :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "deepgram"
    key_env = ("DEEPGRAM_API_KEY",)
    default_url = "https://api.deepgram.com"
    capabilities = Capabilities(sync_result=True)

    def __init__(
        self,
        key: str | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT,
        **options: Any,
    ) -> None:
        super().__init__(key, timeout=timeout, **options)
        self.max_bytes = max_bytes

    def headers(self) -> dict[str, str]:
        """The key, in Deepgram's own scheme."""
        return {"Authorization": f"Token {self.key}"}

    def check(self, request: Request) -> None:
        """Refuses what Deepgram could not take, and what would lose the answer."""
        check_recording(request, _VENDOR, urls=True, max_bytes=self.max_bytes)
        if request.params.get("callback"):
            raise UsageError("callback= sends the transcript elsewhere: leave it out")

    def http_submit(self, job: Job) -> Exchange[Finished]:
        """Sends the recording and waits for its transcript."""
        answer = yield build_submit(recording(job.request, _VENDOR), self.model)
        return parse_listen(answer)

    def fault(self, response: HttpResponse) -> Fault:
        """Reads both forms of Deepgram's errors."""
        return parse_fault(response)


def build_submit(request: TranscribeVideo, model: str | None) -> HttpRequest:
    """The one request that costs money."""
    query: dict[str, Any] = {"punctuate": True}
    if chosen := request.model or model:
        query["model"] = chosen
    if request.language == "auto":
        query["detect_language"] = True
    else:
        query["language"] = request.language
    if "language" in request.params:
        query.pop("detect_language", None)
    query.update({name: value for name, value in request.params.items() if value is not None})
    params = {name: _written(value) for name, value in query.items()}
    source = request.source
    if is_address(source):
        return HttpRequest("POST", "/v1/listen", params=params, json={"url": source})
    headers = {"Content-Type": media_type_of(source)}
    return HttpRequest("POST", "/v1/listen", params=params, path=source, headers=headers)


def _written(value: Any) -> Any:
    """A value of the query: lists repeat their name; booleans as JSON writes them."""
    if isinstance(value, (list, tuple)):
        return [_written(each) for each in value]
    return value if isinstance(value, str) else json.dumps(value)


def parse_listen(answer: HttpResponse) -> Finished:
    """The transcript; of several channels, one below the other.

    Raises:
        ClientError: there are no channels in it. The work may be paid for, so its outcome is
            unknown.
    """
    channels = answer.get("results", "channels")
    best = [_best(channel) for channel in channels] if isinstance(channels, list) else []
    if not best:
        problem = f"the provider answers {answer.status} without 'results.channels'"
        raise ClientError(problem, code="garbled", retryable=True)
    spoken = spans(answer.get("results", "utterances", default=[]))
    words = [word for found in best for word in spans(found.get("words") or [])]
    words.sort(key=lambda word: float(word["start"]))
    texts = (str(found.get("transcript") or "").strip() for found in best)
    found = Transcript(
        text="\n".join(text for text in texts if text),
        language=answer.get("results", "channels", 0, "detected_language"),
        duration=number(answer.get("metadata", "duration")),
        segments=_segments(spoken, words),
    )
    return Finished(
        transcript=found,
        outputs=(Output(transcript=found),),
        value=speakers(spoken or words),
        raw={"request_id": str(answer.get("metadata", "request_id", default=""))},
    )


def _best(channel: object) -> Mapping[str, Any]:
    """The first alternative is the likeliest."""
    found = channel.get("alternatives") if isinstance(channel, Mapping) else None
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, Mapping) else {}


def _segments(
    spoken: Sequence[Mapping[str, Any]], words: Sequence[Mapping[str, Any]]
) -> tuple[Segment, ...]:
    if not spoken:
        return sentences(tuple(map(_word, words)))
    return tuple(
        Segment(
            start=float(one["start"]),
            end=float(one["end"]),
            text=str(one.get("transcript") or "").strip(),
            words=tuple(map(_word, spans(one.get("words") or []))),
        )
        for one in spoken
    )


def _word(word: Mapping[str, Any]) -> Word:
    return Word(
        start=float(word["start"]),
        end=float(word["end"]),
        text=str(word.get("punctuated_word") or word.get("word") or ""),
        probability=number(word.get("confidence")),
    )


def parse_fault(response: HttpResponse) -> Fault:
    """What Deepgram says of a failure; never raises."""
    body = response.fields()
    code = body.get("err_code") or body.get("category")
    said = [body.get(name) for name in ("err_msg", "message", "details")]
    message = ": ".join(text for text in said if isinstance(text, str) and text)
    kind = "quota" if code == _PAYMENT else ""
    return Fault(message=message, code=code and str(code), kind=kind)
