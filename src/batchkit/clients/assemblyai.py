"""AssemblyAI: transcription as jobs.

Facts (assemblyai 1.8.2 and https://www.assemblyai.com/docs):

* The key goes into ``authorization`` as it is, without "Bearer".
* ``POST /v2/upload`` takes the bytes of a file and answers ``upload_url``; it is free.
* ``POST /v2/transcript`` with ``audio_url`` answers ``id`` and ``status``.
* ``GET /v2/transcript/{id}``: ``queued``, ``processing``, ``completed``, ``error`` (a text without
  a code); words in milliseconds, ``audio_duration`` in seconds.
* ``GET /v2/transcript`` lists the newest first and echoes ``audio_url``: an address that only this
  job used finds its submission again. The address of an upload is one.
* No cancel, no idempotency key. Webhooks are not signed, so they are hints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchkit._errors import ClientError, UsageError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request, TranscribeVideo
from batchkit._results import Output, Segment, Transcript, Word
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import sentences
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, HttpClient, HttpRequest, HttpResponse

_STATES = {
    "queued": RemoteState.QUEUED,
    "processing": RemoteState.RUNNING,
    "completed": RemoteState.SUCCEEDED,
    "error": RemoteState.FAILED,
}
#: Seconds that an upload may take at each step; files are large.
_UPLOAD_SECONDS = 600.0
_LISTED = 100
_PAGES = 20


class AssemblyAIClient(HttpClient):
    """Transcribes files and addresses with AssemblyAI.

    A file is uploaded first, which is free. ``model`` goes out as the only one of
    ``speech_models``; everything else goes through ``params``, verbatim.
    """

    name = "assemblyai"
    key_env = ("ASSEMBLYAI_API_KEY",)
    default_url = "https://api.assemblyai.com"
    capabilities = Capabilities(min_poll_seconds=3.0, find_after_seconds=300.0)

    def headers(self) -> dict[str, str]:
        """The key as it is."""
        return {"authorization": self.key}

    def check(self, request: Request) -> None:
        """Refuses a file that is not there, and what is no transcription."""
        if not isinstance(request, TranscribeVideo):
            raise UsageError("AssemblyAI transcribes: add files or TranscribeVideo requests")
        if "://" not in request.source and not Path(request.source).is_file():
            raise UsageError(f"there is no file {request.source}: check the path")

    def http_prepare(self, job: Job) -> Exchange[Mapping[str, Any]]:
        """Uploads a file; an address is passed through."""
        source = _source(job)
        if "://" in source:
            return {"audio_url": source}
        upload = HttpRequest(
            "POST",
            "/v2/upload",
            path=source,
            headers={"content-type": "application/octet-stream"},
            timeout=_UPLOAD_SECONDS,
        )
        answer = yield upload
        return {"audio_url": answer.text("upload_url"), "uploaded": True}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the transcription."""
        answer = yield build_submit(job, self.model)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for the transcript."""
        answer = yield HttpRequest("GET", f"/v2/transcript/{handle.id}")
        return parse_transcript(answer)

    def http_find(self, job: Job, submit_key: str) -> Exchange[Handle | None]:
        """Looks for the upload's own address among the newest transcripts.

        Raises:
            ClientError: the list does not decide it; the submission stays uncertain.
        """
        wanted = (job.prepared or {}).get("audio_url")
        if not wanted or not (job.prepared or {}).get("uploaded"):
            raise ClientError("an address may belong to several jobs: it proves nothing")
        before = None
        for _ in range(_PAGES):
            params = {"limit": _LISTED, **({"before_id": before} if before else {})}
            answer = yield HttpRequest("GET", "/v2/transcript", params=params)
            listed = answer.get("transcripts", default=[])
            for entry in listed:
                if entry.get("audio_url") == wanted:
                    return Handle(id=str(entry["id"]))
            if len(listed) < _LISTED:
                return None
            before = listed[-1]["id"]
        raise ClientError("the list is too long to prove that the submission is not in it")


def _source(job: Job) -> str:
    assert isinstance(job.request, TranscribeVideo)
    return job.request.source


def build_submit(job: Job, model: str | None) -> HttpRequest:
    """The one request that costs money."""
    request = job.request
    assert isinstance(request, TranscribeVideo)
    body: dict[str, Any] = {"audio_url": (job.prepared or {}).get("audio_url", request.source)}
    if request.language == "auto":
        body["language_detection"] = True
    else:
        body["language_code"] = request.language.replace("-", "_").lower()
    if chosen := request.model or model:
        body["speech_models"] = [chosen]
    return HttpRequest("POST", "/v2/transcript", json={**body, **request.params})


def parse_transcript(answer: HttpResponse) -> RemoteStatus:
    """The state, the transcript, or why there is none."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    if state is RemoteState.SUCCEEDED:
        found = transcript(answer.json())
        done = Finished(transcript=found, outputs=(Output(transcript=found),))
        return RemoteStatus(state=state, finished=done, raw_state=word)
    if state is RemoteState.FAILED:
        message = str(answer.get("error", default="the transcription failed"))
        error = JobError(kind=ErrorKind.PROVIDER, message=message)
        return RemoteStatus(state=state, error=error, raw_state=word)
    return RemoteStatus(state=state, raw_state=word)


def transcript(body: Mapping[str, Any]) -> Transcript:
    """Their answer as a transcript; utterances are the segments, where speakers were asked for."""
    words = tuple(map(_word, body.get("words") or ()))
    spoken = body.get("utterances") or ()
    segments = tuple(
        Segment(
            start=float(one["start"]) / 1000,
            end=float(one["end"]) / 1000,
            text=str(one["text"]),
            words=tuple(map(_word, one.get("words") or ())),
        )
        for one in spoken
    )
    text = str(body.get("text") or "")
    if not segments and words:
        segments = sentences(words)
    return Transcript(
        text=text,
        language=body.get("language_code"),
        duration=number(body.get("audio_duration")),
        segments=segments,
    )


def _word(word: Mapping[str, Any]) -> Word:
    return Word(
        start=float(word["start"]) / 1000,
        end=float(word["end"]) / 1000,
        text=str(word["text"]),
        probability=number(word.get("confidence")),
    )
