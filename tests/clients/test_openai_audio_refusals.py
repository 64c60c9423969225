"""OpenAI's audio dialect: its errors, and what is refused before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, run_one

from batchkit import ErrorKind, GenerateVideo, JobStatus, TranscribeVideo, UsageError
from batchkit.clients import openai_audio
from batchkit.clients.http import HttpResponse
from batchkit.clients.openai_audio import GroqClient, OpenAIAudioClient


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    file = tmp_path / "talk.mp3"
    file.write_bytes(b"RIFF" * 1000)
    return file


def error(message: str, code: str | None, type_: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


INVALID = ErrorKind.INVALID_INPUT
ERRORS: list[tuple[int, Any, JobStatus, ErrorKind]] = [
    (400, error("Unrecognized file format.", None), JobStatus.FAILED, INVALID),
    (413, error("Maximum content size limit (26214400) exceeded", None), JobStatus.FAILED, INVALID),
    (400, {"detail": {"error": {"message": "no vtt", "type": "x"}}}, JobStatus.FAILED, INVALID),
    (422, {"detail": [{"loc": ["body", "file"], "msg": "missing", "type": "missing"}]},
     JobStatus.FAILED, INVALID),
    (404, {"detail": "Not Found"}, JobStatus.FAILED, INVALID),
    (500, error("The server had an error", None, "server_error"), JobStatus.UNCERTAIN,
     ErrorKind.UNCERTAIN),
    (503, error("overloaded", None, "server_error"), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    (502, "<html>", JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    (408, error("timed out", None), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "outcome", "kind"), ERRORS)
def test_errors(status: int, body: Any, outcome: JobStatus, kind: ErrorKind, talk: Path) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    request = TranscribeVideo(source=str(talk), model="whisper-1")
    job, sent = run_one(OpenAIAudioClient, refuses, request)
    assert job.error is not None
    assert (job.status, job.error.kind, len(sent)) == (outcome, kind, 1)


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (
            429,
            error("You exceeded your quota", "insufficient_quota"),
            ("quota", "insufficient_quota"),
        ),
        (429, error("slow down", "rate_limit_exceeded"), ("", "rate_limit_exceeded")),
        (401, error("Incorrect API key", "invalid_api_key"), ("", "invalid_api_key")),
        (498, error("flex is full", "capacity_exceeded"), ("rate_limit", "capacity_exceeded")),
        (413, error("Request Entity Too Large", "request_too_large"), ("", "request_too_large")),
        (422, {"detail": [{"loc": ["body"], "msg": "m", "type": "missing"}]}, ("", "missing")),
        (503, {"detail": {"message": "it loads", "code": "not_ready"}}, ("", "not_ready")),
        (500, "Internal Server Error", ("", None)),
        (500, {"detail": 7}, ("", None)),
    ],
)
def test_faults(status: int, body: Any, fault: tuple[str, str | None]) -> None:
    found = openai_audio.parse_fault(answer(body, status))
    assert (found.kind, found.code) == fault


def test_what_is_no_json_is_no_fault_of_ours() -> None:
    assert openai_audio.parse_fault(HttpResponse(status=500, content=b"\xff<")).message == ""


def test_groqs_full_flex_tier_is_tried_again() -> None:
    answers = iter([httpx.Response(498, json=error("full", "capacity_exceeded"))])

    def full_once(request: httpx.Request) -> httpx.Response:
        return next(answers, httpx.Response(200, json={"text": "Hi"}))

    request = TranscribeVideo(source="https://h/talk.mp3", model="whisper-large-v3")
    job, sent = run_one(GroqClient, full_once, request)
    assert (job.status, len(sent)) == (JobStatus.COMPLETED, 2)


def test_sizes(tmp_path: Path) -> None:
    large = tmp_path / "talk.wav"
    with large.open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    request = TranscribeVideo(source=str(large), model="whisper-1")
    with pytest.raises(UsageError, match=r"26,214,401 bytes.*26,214,400.*max_bytes="):
        OpenAIAudioClient("k").check(request)
    OpenAIAudioClient("k", max_bytes=10**9).check(request)
    OpenAIAudioClient("k", base_url="http://127.0.0.1:1/v1").check(request)
    GroqClient("k").check(request)
    with pytest.raises(UsageError, match="max_bytes="):
        GroqClient("k", max_bytes=25_000_000).check(request)


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (GenerateVideo(prompt="a cat"), "transcribes"),
        (TranscribeVideo(source="/nowhere/at-all.wav"), "no file"),
        (TranscribeVideo(source="https://h/a.mp3?sig=secret"), "a.mp3 is an address: download"),
        (TranscribeVideo(source=__file__), "needs a model"),
        (TranscribeVideo(source=__file__, model="m", params={"response_format": "srt"}), "srt"),
        (TranscribeVideo(source=__file__, model="m", params={"stream": True}), "stream="),
    ],
)
def test_bad_use(request_: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match) as raised:
        OpenAIAudioClient("k").check(request_)
    assert "secret" not in str(raised.value)


def test_groq_takes_http_addresses_only() -> None:
    with pytest.raises(UsageError, match="http and https"):
        GroqClient("k", model="m").check(TranscribeVideo(source="s3://bucket/a.mp3"))
