"""Google's Interactions API: what is refused, and what is sent under threads and asyncio."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from http_kit import answer, drops, play, run_one

from batchkit import (
    ClientError,
    ErrorKind,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    NotAcceptedError,
    Output,
    RejectedError,
    Request,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import google as module
from batchkit.clients.google import GoogleClient
from batchkit.clients.http import HttpResponse

OMNI, TRANSCRIBE = "gemini-omni-1.2-flash", "gemini-3.5-transcribe"
BASE = "https://generativelanguage.googleapis.com"
FILE = f"{BASE}/v1/files/abc-1"
EXECUTORS = pytest.mark.parametrize("executor", ["threads", "asyncio"])
CAT = GenerateVideo(prompt="a cat", model=OMNI)
SPOKEN = {
    "id": "v1_1",
    "status": "completed",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Olá."}]}],
}


def google(request: httpx.Request) -> httpx.Response:
    assert request.headers["x-goog-api-key"] == "canary-key"
    if request.url.path == "/upload/v1/files":
        assert request.headers["x-goog-upload-command"] == "start"
        return httpx.Response(200, headers={"x-goog-upload-url": f"{BASE}/upload/v1/files?id=1"})
    if request.method == "POST":
        return httpx.Response(200, json={"id": "v1_1", "status": "in_progress"})
    return httpx.Response(200, json=SPOKEN)


def uploads(request: httpx.Request) -> httpx.Response:
    if request.headers.get("x-goog-upload-command") == "upload, finalize":
        file = {"name": "files/abc-1", "uri": FILE, "state": "ACTIVE"}
        return httpx.Response(200, json={"file": file})
    return google(request)


@EXECUTORS
def test_a_file_is_uploaded_before_it_is_paid_for(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.mp3"
    file.write_bytes(b"ID3" * 1000)
    request = TranscribeVideo(source=str(file), model=TRANSCRIBE)
    job, sent = run_one(GoogleClient, uploads, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Olá."
    started, uploaded, submitted = sent[:3]
    assert started.headers["x-goog-upload-header-content-length"] == "3000"
    assert started.headers["x-goog-upload-header-content-type"] == "audio/mpeg"
    assert uploaded.headers["content-length"] == "3000"
    assert uploaded.headers["x-goog-upload-offset"] == "0"
    (part,) = json.loads(submitted.content)["input"]
    assert part == {
        "type": "audio",
        "uri": FILE,
        "mime_type": "audio/mpeg",
    }


@EXECUTORS
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(GoogleClient, drops, CAT, executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


@EXECUTORS
@pytest.mark.parametrize(
    ("status", "end"),
    [
        (400, JobStatus.FAILED),
        (404, JobStatus.FAILED),
        (409, JobStatus.UNCERTAIN),
        (500, JobStatus.UNCERTAIN),
        (503, JobStatus.UNCERTAIN),
        (504, JobStatus.UNCERTAIN),
    ],
)
def test_refusals(executor: str, status: int, end: JobStatus) -> None:
    error = {"error": {"code": status, "message": "no", "status": "WORD"}}
    job, sent = run_one(
        GoogleClient, lambda _: httpx.Response(status, json=error), CAT, executor=executor
    )
    assert (job.status, len(sent)) == (end, 1)


def test_a_wrong_key_fails_no_job() -> None:
    details = [{"reason": "API_KEY_INVALID"}]
    error = {"error": {"code": 400, "message": "API key not valid.", "details": details}}
    job, sent = run_one(GoogleClient, lambda _: httpx.Response(400, json=error), CAT)
    assert (job.status, len(sent)) == (JobStatus.PENDING, 1)
    assert job.error is not None
    assert job.error.kind is ErrorKind.AUTHENTICATION


def prepared_job(path: Path) -> Job:
    path.write_bytes(b"x")
    return job_of(TranscribeVideo(source=str(path), model=TRANSCRIBE))


def job_of(request: Request) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="i", request=request)


def test_a_file_that_is_processed_is_asked_for_and_not_uploaded_again(tmp_path: Path) -> None:
    client, job = GoogleClient("k"), prepared_job(tmp_path / "a.mp4")
    file = {"name": "files/abc-1", "uri": FILE, "state": "PROCESSING"}
    started = answer({}, headers={"x-goog-upload-url": f"{BASE}/up"})
    with pytest.raises(NotAcceptedError) as raised:
        play(client.http_prepare(job), started, answer({"file": file}), *[answer(file)] * 5)
    assert raised.value.retry_after == 10
    with pytest.raises(ClientError, match="no JSON"):
        play(client.http_prepare(job), HttpResponse(status=200, content=b"<html>"))
    ready = answer({**file, "state": "ACTIVE"})
    found, asked = play(client.http_prepare(job), answer(file), ready)
    assert [(request.url, request.delay) for request in asked] == [("/v1/files/abc-1", 3)] * 2
    assert found == {"media": {"type": "video", "uri": FILE, "mime_type": "video/mp4"}}


@EXECUTORS
def test_a_batch_waits_until_a_file_is_ready(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    file = tmp_path / "talk.mp3"
    file.write_bytes(b"ID3")
    states = iter(["PROCESSING", "PROCESSING", "ACTIVE"])

    def handler(request: httpx.Request) -> httpx.Response:
        uploads = request.headers.get("x-goog-upload-command") == "upload, finalize"
        if not uploads and request.url.path != "/v1/files/abc-1":
            return google(request)
        told = {"name": "files/abc-1", "uri": FILE, "state": next(states)}
        return httpx.Response(200, json={"file": told} if uploads else told)

    request = TranscribeVideo(source=str(file), model=TRANSCRIBE)
    job, sent = run_one(GoogleClient, handler, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert [asked.url.path for asked in sent][:5] == [
        "/upload/v1/files",
        "/upload/v1/files",
        "/v1/files/abc-1",
        "/v1/files/abc-1",
        "/v1/interactions",
    ]


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    client, job = GoogleClient("k"), prepared_job(tmp_path / "a.mp4")
    started = answer({}, headers={"x-goog-upload-url": f"{BASE}/up"})
    file = {"name": "files/abc-1", "uri": FILE, "state": "FAILED"}
    with pytest.raises(RejectedError, match="cannot use"):
        play(client.http_prepare(job), started, answer({"file": file}))
    with pytest.raises(NotAcceptedError, match="no address"):
        play(client.http_prepare(job), answer({}))


def test_the_key_goes_with_downloads_of_theirs_alone() -> None:
    client, job = GoogleClient("k"), job_of(GenerateVideo(prompt="a cat"))
    for url in (FILE, f"{FILE}:download?alt=media"):
        found = client.fetch(job, Output(url=url))
        assert found.url == f"{FILE}:download?alt=media"
        assert found.headers == {"x-goog-api-key": "k"}
    for url in ("https://elsewhere/v1/files/abc-1", "https://h/a.mp4"):
        other = client.fetch(job, Output(url=url))
        assert (other.url, dict(other.headers)) == (url, {})


@pytest.mark.parametrize(
    ("told", "status", "ended"),
    [("cancelled", 200, True), ("in_progress", 200, False), ("cancelled", 400, False)],
)
def test_cancel(told: str, status: int, ended: bool) -> None:
    exchange = GoogleClient("k").http_cancel(Handle(id="v1_1"))
    found, asked = play(exchange, answer({"status": told}, status))
    assert found is ended
    assert asked[0].url == "/v1/interactions/v1_1/cancel"


def test_a_submission_needs_an_id() -> None:
    exchange = GoogleClient("k", model=OMNI).http_submit(job_of(GenerateVideo(prompt="a")))
    with pytest.raises(ClientError, match="'id'"):
        play(exchange, answer({"status": "queued"}))


def test_bad_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = GoogleClient("k", model=OMNI)
    unnamed = tmp_path / "talk"
    unnamed.write_bytes(b"x")
    bad: list[tuple[Request, str]] = [
        (GenerateVideo(prompt="a", params={"stream": True}), "stream"),
        (GenerateVideo(prompt="a", params={"store": False}), "store"),
        (GenerateVideo(prompt="a", image="/nowhere.png"), "no file"),
        (GenerateVideo(prompt="a", image=str(unnamed)), "extension"),
        (TranscribeVideo(source="https://h/a.mp3"), "told what to do"),
        (TranscribeVideo(source="https://h/a.mp3", language="pt"), "language"),
    ]
    for request, match in bad:
        with pytest.raises(UsageError, match=match):
            client.check(request)
    monkeypatch.setattr(module, "MOST_BYTES", 0)
    named = tmp_path / "talk.mp3"
    named.write_bytes(b"x")
    with pytest.raises(UsageError, match="1 bytes"):
        client.check(TranscribeVideo(source=str(named), model=TRANSCRIBE))
