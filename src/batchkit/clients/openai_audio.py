"""Transcription by OpenAI, Groq, and servers of your own that speak the same dialect.

Facts (openai 3.54.0, groq 1.7.0, their API references, and faster-whisper-server 0.0.3):

* ``POST /audio/transcriptions`` is ``multipart/form-data`` and does the work itself: its answer is
  the transcript. There is no id, no list, no idempotency key and no cancel, so a submission that
  is answered by nothing stays uncertain. Both SDKs send it again by themselves; this client never
  does.
* ``file`` needs a name with an extension. OpenAI takes 25 MiB (413 above). Groq takes 25 MB on its
  free tier and 100 MB on the paid one, and ``url`` instead of ``file``.
* Arrays are repeated fields called ``name[]``; fields of an object are called ``name[key]``.
* ``verbose_json`` has times: ``segments`` in seconds, and ``words`` where
  ``timestamp_granularities[]`` asks for them. OpenAI's own ``gpt-...`` models answer ``json``, and
  those for speakers ``diarized_json``, for which ``chunking_strategy`` is needed beyond 30 seconds.
* An error is ``{"error": {"message", "type", "code"}}``; servers made with FastAPI put it, or a
  list of ``{loc, msg}``, into ``detail``. 429 with ``insufficient_quota`` is an empty account. 498
  is Groq's own: its flex tier is full and did not process the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import attrs

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
from batchkit.clients.http import (
    Exchange,
    Fault,
    FilePart,
    HttpClient,
    HttpRequest,
    HttpResponse,
)
from batchkit.clients.openai_videos import parse_fault as parse_openai_fault

#: Seconds that a server may be silent while it transcribes; giving up leaves the job uncertain.
TIMEOUT = 3600.0
_MIB = 1024 * 1024
_FORMATS = ("json", "verbose_json", "diarized_json")
_GRANULARITIES = "timestamp_granularities[]"
#: Groq's own status, of a request that it says it does not process.
_FLEX_FULL = 498


class OpenAIAudioClient(HttpClient):
    """Transcribes files with OpenAI, or with a server that speaks its ``/audio/transcriptions``.

    The model is needed; ``params`` go out verbatim, as form fields. ``language="auto"`` leaves the
    language to the model. There is no job to look up afterwards: a submission whose answer is lost
    is UNCERTAIN, and you decide about it. Speakers, where a model tells them, are in the job's
    value.

    Args:
        key: of the account; needed at OpenAI only. The key of the environment goes to OpenAI
            alone: for another server, pass its key.
        base_url: of another server, up to and with ``/v1``.
        max_bytes: of a file; by default 25 MiB at OpenAI, and no limit elsewhere.
        free: repeating costs nothing, as with a server of your own; a submission whose answer is
            lost is then sent again.
        timeout: seconds that the server may be silent, an hour by default: it does the whole work
            before it answers.
        options: as of any :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "openai-audio"
    key_env = ("OPENAI_API_KEY",)
    default_url = "https://api.openai.com/v1"
    capabilities = Capabilities(sync_result=True)

    #: What the vendor is called, in messages.
    vendor: ClassVar[str] = "OpenAI's audio API"
    takes_urls: ClassVar[bool] = False
    #: Bytes of a file that the vendor itself takes.
    most_bytes: ClassVar[int] = 25 * _MIB

    def __init__(
        self,
        key: str | None = None,
        *,
        base_url: str | None = None,
        max_bytes: int | None = None,
        free: bool = False,
        timeout: float = TIMEOUT,
        **options: Any,
    ) -> None:
        self._elsewhere = base_url is not None and not _at_home(base_url, self.default_url)
        super().__init__(key, base_url=base_url, timeout=timeout, **options)
        self.max_bytes = max_bytes
        if max_bytes is None and not self._elsewhere:
            self.max_bytes = self.most_bytes
        if free:
            self.capabilities = attrs.evolve(self.capabilities, repeat="free")

    def _key_from_environment(self) -> str:
        # A key of the vendor is no business of whoever runs another server.
        return "" if self._elsewhere else super()._key_from_environment()

    def headers(self) -> dict[str, str]:
        """The key, as a bearer token; none where there is none."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def check(self, request: Request) -> None:
        """Refuses what the server could not take, before it is sent."""
        check_recording(request, self.vendor, urls=self.takes_urls, max_bytes=self.max_bytes)
        self.model_of(request)
        chosen = request.params.get("response_format")
        if chosen is not None and chosen not in _FORMATS:
            raise UsageError(
                f"response_format={chosen!r} cannot be read back: leave it out; txt, srt, vtt and"
                " json are written from the transcript"
            )
        if request.params.get("stream"):
            raise UsageError("stream= cannot be read back: leave it out")

    def http_submit(self, job: Job) -> Exchange[Finished]:
        """Sends the recording and waits for its transcript."""
        asked = recording(job.request, self.vendor)
        answer = yield build_submit(asked, self.model_of(asked))
        return parse_transcription(answer)

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``error``, or the ``detail`` of servers made with FastAPI."""
        return parse_fault(response)


class GroqClient(OpenAIAudioClient):
    """Transcribes files and addresses with Groq.

    As :class:`OpenAIAudioClient`, with ``model="whisper-large-v3"`` or ``-turbo``. The limit of a
    file is 100 MiB, that of the paid tier; the free one refuses more than 25.
    """

    name = "groq"
    key_env = ("GROQ_API_KEY",)
    default_url = "https://api.groq.com/openai/v1"
    vendor = "Groq"
    takes_urls = True
    most_bytes = 100 * _MIB


def _at_home(base_url: str, default_url: str) -> bool:
    """Whether an address is the vendor's own, or of one of its regions."""
    host, own = urlsplit(base_url).hostname or "", urlsplit(default_url).hostname or ""
    return host == own or host.endswith(f".{own}")


def build_submit(request: TranscribeVideo, model: str) -> HttpRequest:
    """The one request that costs money."""
    fields = form_fields(request.params)
    answers = fields.get("response_format") or response_format(model)
    form: dict[str, str | Sequence[str]] = {"model": model, "response_format": answers}
    if answers == "verbose_json":
        form[_GRANULARITIES] = ["segment", "word"]
    if answers == "diarized_json":
        form["chunking_strategy"] = "auto"
    if request.language != "auto":
        form["language"] = request.language.partition("-")[0].lower()
    form.update(fields)
    source = request.source
    if is_address(source):
        return HttpRequest("POST", "/audio/transcriptions", form={**form, "url": source})
    # The extension is all that the server needs of a name; the rest may be personal.
    name, kind = f"audio{Path(source).suffix.lower()}", media_type_of(source)
    file = FilePart(field="file", filename=name, path=source, media_type=kind)
    return HttpRequest("POST", "/audio/transcriptions", form=form, files=(file,))


def response_format(model: str) -> str:
    """The format with the most times that a model answers, by its name."""
    name = model.rsplit("/", 1)[-1]
    if "diarize" in name:
        return "diarized_json"
    return "json" if name.startswith("gpt-") else "verbose_json"


def form_fields(params: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """Parameters as the fields of a form, as OpenAI's own SDK writes them."""
    fields: dict[str, str | Sequence[str]] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            fields.update(form_fields({f"{name}[{key}]": each for key, each in value.items()}))
        elif isinstance(value, (list, tuple)):
            fields[name if name.endswith("[]") else f"{name}[]"] = [_text(each) for each in value]
        elif value is not None:
            fields[name] = _text(value)
    return fields


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def parse_transcription(answer: HttpResponse) -> Finished:
    """The transcript, whichever of the JSON formats it comes in.

    Raises:
        ClientError: there is no text in it. The work may be paid for, so its outcome is unknown.
    """
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        problem = f"the provider answers {answer.status} without 'text'"
        raise ClientError(problem, code="garbled", retryable=True)
    parts = spans(body.get("segments") or [])
    found = Transcript(
        text=body["text"].strip(),
        language=body.get("language"),
        duration=number(body.get("duration")),
        segments=_segments(parts, _words(body.get("words"))),
    )
    return Finished(
        transcript=found,
        outputs=(Output(transcript=found),),
        value=speakers(parts),
        raw={name: body[name] for name in ("usage", "x_groq") if body.get(name)},
    )


def _segments(parts: Sequence[Mapping[str, Any]], words: list[Word]) -> tuple[Segment, ...]:
    if not parts:
        return sentences(tuple(words))
    segments = []
    for place, part in enumerate(parts, 1):
        end = float(part["end"])
        own = _words(part.get("words"))
        # Only some servers put the words into their segments; elsewhere the middle decides.
        while words and ((words[0].start + words[0].end) / 2 <= end or place == len(parts)):
            own.append(words.pop(0))
        text = str(part.get("text") or "").strip()
        segments.append(
            Segment(start=float(part["start"]), end=end, text=text, words=tuple(own)),
        )
    return tuple(segments)


def _words(entries: object) -> list[Word]:
    return [
        Word(
            start=float(entry["start"]),
            end=float(entry["end"]),
            text=str(entry.get("word") or entry.get("text") or "").strip(),
            probability=number(entry.get("probability")),
        )
        for entry in spans(entries or [])
    ]


def parse_fault(response: HttpResponse) -> Fault:
    """What an answer says of a failure; never raises."""
    found = parse_openai_fault(response)
    if not found.message and not found.code:
        found = _detail(response)
    if response.status == _FLEX_FULL:
        return attrs.evolve(found, kind="rate_limit")
    return found


def _detail(response: HttpResponse) -> Fault:
    detail: Any = response.fields().get("detail")
    if isinstance(detail, dict):
        body = detail if "error" in detail else {"error": detail}
        return parse_openai_fault(attrs.evolve(response, content=json.dumps(body).encode()))
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        where = ".".join(map(str, detail[0].get("loc") or ()))
        return Fault(message=f"{where}: {detail[0].get('msg')}", code=detail[0].get("type"))
    return Fault(message=detail if isinstance(detail, str) else "")
