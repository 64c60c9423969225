"""Gladia: uploads, states, transcripts and the look-up by our tag, as literal answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from http_kit import answer, play, run_one

from batchkit import (
    ClientError,
    ErrorKind,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import gladia
from batchkit.clients.gladia import GladiaClient
from batchkit.clients.http import HttpResponse

URL = "https://h/talk.mp4"
UPLOADED = "https://api.gladia.io/file/f1"
DONE = {
    "id": "j1",
    "status": "done",
    "result": {
        "metadata": {"audio_duration": 3.5, "number_of_distinct_channels": 2, "billing_time": 7.0},
        "transcription": {
            "full_transcript": "Hello there. Bye",
            "languages": ["en", "pt"],
            "utterances": [
                {
                    "start": 0.12,
                    "end": 0.9,
                    "text": " Hello there.",
                    "words": [
                        {"word": " Hello", "start": 0.12, "end": 0.5, "confidence": 0.98},
                        {"word": " there.", "start": 0.52, "end": 0.9, "confidence": 0.97},
                    ],
                },
                {"start": 2, "end": 2.4, "text": "Bye", "words": []},
            ],
        },
    },
}


def job_of(source: str = URL, **fields: Any) -> Job:
    prepared = fields.pop("prepared", None)
    request = TranscribeVideo(source=source, **fields)
    job = Job(id=1, batch_id=1, index=0, identity="i", request=request, prepared=prepared)
    return job.evolve(submit_key="b-0-1")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {"audio_url": URL}),
        ({"language": "pt-BR"}, {"audio_url": URL, "language_config": {"languages": ["pt"]}}),
        ({"model": "solaria-3"}, {"audio_url": URL, "model": "solaria-3"}),
        ({"params": {"diarization": True}}, {"audio_url": URL, "diarization": True}),
        ({"prepared": {"audio_url": UPLOADED}}, {"audio_url": UPLOADED}),
    ],
)
def test_what_is_submitted(fields: dict[str, Any], body: dict[str, Any]) -> None:
    request = gladia.build_submit(job_of(**fields), None)
    assert request.json == {**body, "custom_metadata": {"batchkit": "b-0-1"}}


def test_the_tag_stands_beside_metadata_of_the_user() -> None:
    job = job_of(params={"custom_metadata": {"show": 7}})
    body = gladia.build_submit(job, "solaria-1").json
    assert body["custom_metadata"] == {"show": 7, "batchkit": "b-0-1"}
    assert job.request.params == {"custom_metadata": {"show": 7}}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"status": "queued"}, RemoteState.QUEUED),
        ({"status": "processing"}, RemoteState.RUNNING),
        ({"status": "pondering"}, RemoteState.RUNNING),
        ({"status": "error", "error_code": 400}, RemoteState.FAILED),
        (DONE, RemoteState.SUCCEEDED),
    ],
)
def test_states(body: dict[str, Any], state: RemoteState) -> None:
    found = gladia.parse_job(answer(body))
    assert (found.state, found.raw_state) == (state, body["status"])


def test_a_transcript() -> None:
    finished = gladia.parse_job(answer(DONE)).finished
    assert finished is not None
    assert finished.raw == {"billing_time": 7.0}
    found = finished.transcript
    assert found is not None
    assert (found.text, found.language, found.duration) == ("Hello there. Bye", "en", 3.5)
    assert [segment.text for segment in found.segments] == ["Hello there.", "Bye"]
    first = found.segments[0].words[0]
    assert (first.text, first.start, first.end, first.probability) == ("Hello", 0.12, 0.5, 0.98)


def test_who_speaks_when() -> None:
    spoken = [{"start": 0, "end": 1.5, "text": "Hi", "speaker": 0}, {"start": None, "text": "?"}]
    body = {"status": "done", "result": {"transcription": {"utterances": spoken}}}
    finished = gladia.parse_job(answer(body)).finished
    assert finished is not None
    assert finished.value == {"speakers": [{"start": 0, "end": 1.5, "speaker": 0}]}


def test_silence_is_a_transcript_and_no_result_is_none() -> None:
    silent = gladia.parse_job(answer({"status": "done", "result": {"transcription": None}}))
    assert silent.finished is not None
    assert silent.finished.transcript is not None
    assert silent.finished.transcript.text == ""
    empty = gladia.parse_job(answer({"status": "done", "result": None}))
    assert empty.finished is not None
    assert (empty.finished.transcript, empty.finished.outputs) == (None, ())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, ErrorKind.INVALID_INPUT),
        (422, ErrorKind.INVALID_INPUT),
        (500, ErrorKind.PROVIDER),
        (503, ErrorKind.PROVIDER),
        (None, ErrorKind.PROVIDER),
    ],
)
def test_a_failed_transcription(code: int | None, kind: ErrorKind) -> None:
    error = gladia.parse_job(answer({"status": "error", "error_code": code})).error
    assert error is not None
    assert (error.kind, error.code) == (kind, str(code) if code else None)
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (422, {"message": "Bad", "validation_errors": ["audio_url: Invalid"]}, "Bad; audio_url"),
        (401, {"message": "gladia key not found", "statusCode": 401}, "gladia key not found"),
        (429, {"message": "too many"}, "too many"),
        (500, {"message": None, "validation_errors": {"a": 1}}, ""),
        (500, ["no object"], ""),
    ],
)
def test_what_it_says_of_a_refusal(status: int, body: Any, told: str) -> None:
    assert told in gladia.parse_fault(answer(body, status)).message


def test_a_page_is_no_message() -> None:
    assert gladia.parse_fault(HttpResponse(status=502, content=b"<html>")).message == ""


class Gladia:
    """The least of the service: what it accepted, by tag."""

    def __init__(self, *, drop: bool = False, accepts: bool = True, filters: bool = True) -> None:
        self.drop, self.accepts, self.filters = drop, accepts, filters
        self.jobs: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["x-gladia-key"] == "canary-key"
        if request.url.path == "/v2/upload":
            return httpx.Response(200, json={"audio_url": UPLOADED})
        if request.method == "POST":
            return self.submit(request)
        if request.url.path != "/v2/pre-recorded":
            return httpx.Response(200, json=DONE)
        wanted = request.url.params.get("custom_metadata[batchkit]")
        listed = [one for one in self.jobs if wanted in (None, one["custom_metadata"]["batchkit"])]
        return httpx.Response(200, json={"items": listed if self.filters else self.jobs})

    def submit(self, request: httpx.Request) -> httpx.Response:
        accepts, self.accepts = self.accepts, True
        if accepts:
            metadata = json.loads(request.content)["custom_metadata"]
            self.jobs.append({"id": f"j{len(self.jobs)}", "custom_metadata": metadata})
        drop, self.drop = self.drop, False
        if drop:
            raise httpx.ReadError("broke", request=request)
        return httpx.Response(201, json={"id": "j1", "result_url": "https://h/j1"})


def impatient(*args: Any, **options: Any) -> GladiaClient:
    """Absence is proof at once, so that no test waits."""
    client = GladiaClient(*args, **options)
    client.capabilities = attrs.evolve(client.capabilities, find_after_seconds=0.0)
    return client


def posts(sent: list[httpx.Request]) -> list[str]:
    return [asked.url.path for asked in sent if asked.method == "POST"]


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_file_is_uploaded_before_it_is_paid_for(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(b"RIFF" * 1000)
    service = Gladia()
    request = TranscribeVideo(source=str(file))
    job, sent = run_one(GladiaClient, service, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Hello there. Bye"
    assert posts(sent) == ["/v2/upload", "/v2/pre-recorded"]
    assert b'name="audio"; filename="talk.wav"' in sent[0].content
    assert json.loads(sent[1].content)["audio_url"] == UPLOADED


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_lost_answer_is_one_submission_that_is_found(executor: str) -> None:
    service = Gladia(drop=True)
    job, sent = run_one(GladiaClient, service, TranscribeVideo(source=URL), executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert (len(posts(sent)), len(service.jobs), job.handle) == (1, 1, Handle(id="j0"))


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_what_never_arrived_is_sent_again(executor: str) -> None:
    service = Gladia(drop=True, accepts=False)
    job, sent = run_one(impatient, service, TranscribeVideo(source=URL), executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert (len(posts(sent)), len(service.jobs)) == (2, 1)


def test_without_retention_absence_proves_nothing() -> None:
    service = Gladia(drop=True, accepts=False)
    request = TranscribeVideo(source=URL)
    job, sent = run_one(impatient, service, request, retention_days=0)
    assert (job.status, len(posts(sent))) == (JobStatus.UNCERTAIN, 1)


def listed(*tags: str | None, more: str | None = None) -> HttpResponse:
    items = [
        {"id": f"j{n}", "custom_metadata": None if tag is None else {"batchkit": tag}}
        for n, tag in enumerate(tags)
    ]
    return answer({"items": items, "next": more})


def test_the_list_is_asked_for_the_tag() -> None:
    client = GladiaClient("k")
    found, asked = play(client.http_find(job_of(), "b-0-1"), listed("b-0-1"))
    assert found == Handle(id="j0")
    assert asked[0].params == {"custom_metadata[batchkit]": "b-0-1", "limit": 100}


def test_absence_is_believed_of_a_list_that_finds_what_is_there() -> None:
    client = GladiaClient("k")
    look = client.http_find(job_of(), "b-0-1")
    found, asked = play(look, listed(), listed(None, "b-9-1"), listed("b-9-1"))
    assert found is None
    assert asked[2].params["custom_metadata[batchkit]"] == "b-9-1"
    assert play(client.http_find(job_of(), "b-0-1"), listed(), listed(None))[0] is None
    assert play(client.http_find(job_of(), "b-0-1"), listed(), listed())[0] is None


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([listed("b-9-1")], "not filtered"),
        ([listed(), listed("b-9-1"), listed()], "does not find"),
        ([listed(), listed(*[None] * 100)], "no job"),
        ([listed(), listed(None, more="https://h/next")], "no job"),
        ([answer({"message": "?"})], "without a list"),
        ([listed(), answer({"items": None})], "without a list"),
    ],
)
def test_a_list_that_proves_nothing(answers: list[HttpResponse], why: str) -> None:
    with pytest.raises(ClientError, match=why):
        play(GladiaClient("k").http_find(job_of(), "b-0-1"), *answers)


def test_a_list_without_a_filter_leaves_it_uncertain() -> None:
    service = Gladia(drop=True, accepts=False, filters=False)
    service.jobs.append({"id": "other", "custom_metadata": {"batchkit": "another-0-1"}})
    job, sent = run_one(impatient, service, TranscribeVideo(source=URL))
    assert (job.status, len(posts(sent))) == (JobStatus.UNCERTAIN, 1)


def test_there_is_no_cancel() -> None:
    client = GladiaClient("k")
    assert client.capabilities.cancel == "none"
    assert not hasattr(client, "http_cancel")


def test_bad_use(tmp_path: Path) -> None:
    client = GladiaClient("k")
    with pytest.raises(UsageError, match="transcribes"):
        client.check(GenerateVideo(prompt="a cat"))
    with pytest.raises(UsageError, match="no file"):
        client.check(TranscribeVideo(source="/nowhere/at-all.wav"))
    for metadata in ({"batchkit": "mine"}, "text", {"a": "b" * 2000}):
        with pytest.raises(UsageError, match="custom_metadata"):
            client.check(TranscribeVideo(source=URL, params={"custom_metadata": metadata}))
    (tmp_path / "talk.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="takes 3"):
        GladiaClient("k", max_bytes=3).check(TranscribeVideo(source=str(tmp_path / "talk.wav")))
