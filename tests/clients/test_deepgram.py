"""Deepgram: what is sent, every answer and error, as literals and on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, drops, run_one

from batchkit import (
    ClientError,
    ErrorKind,
    GenerateVideo,
    JobStatus,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import deepgram
from batchkit.clients.deepgram import DeepgramClient
from batchkit.clients.http import HttpResponse

URL = "https://h/talk.mp4?sig=1"
WORDS = [
    {"word": "hello", "start": 0.1, "end": 0.5, "confidence": 0.98, "punctuated_word": "Hello"},
    {"word": "there", "start": 0.5, "end": 0.9, "confidence": 0.97, "punctuated_word": "there."},
    {"word": "bye", "start": 2.0, "end": 2.4, "confidence": 0.9, "punctuated_word": "Bye"},
]
CHANNEL = {
    "detected_language": "en",
    "alternatives": [
        {"transcript": "Hello there. Bye", "confidence": 0.99, "words": WORDS},
        {"transcript": "Yellow there. Buy", "confidence": 0.2, "words": []},
    ],
}
DONE = {
    "metadata": {"request_id": "r1", "created": "2026-11-22T00:00:00Z", "duration": 2.5,
                 "channels": 1, "models": ["m1"]},
    "results": {"channels": [CHANNEL]},
}  # fmt: skip


def query_of(of_client: str | None, /, **fields: Any) -> dict[str, Any]:
    return dict(deepgram.build_submit(TranscribeVideo(source=URL, **fields), of_client).params)


@pytest.mark.parametrize(
    ("model", "fields", "query"),
    [
        (None, {}, {"punctuate": "true", "detect_language": "true"}),
        ("nova-3", {"language": "pt-BR"},
         {"punctuate": "true", "model": "nova-3", "language": "pt-BR"}),
        ("nova-3", {"language": "en", "model": "nova-2"},
         {"punctuate": "true", "model": "nova-2", "language": "en"}),
        (None, {"params": {"language": "multi", "punctuate": False}},
         {"punctuate": "false", "language": "multi"}),
        (None, {"params": {"keyterm": ["batch", "kit"], "utt_split": 0.8, "tag": None}},
         {"punctuate": "true", "detect_language": "true", "keyterm": ["batch", "kit"],
          "utt_split": "0.8"}),
    ],
)  # fmt: skip
def test_what_is_asked(model: str | None, fields: dict[str, Any], query: dict[str, Any]) -> None:
    assert query_of(model, **fields) == query


def test_an_address_is_sent_as_json_and_a_file_as_the_body() -> None:
    remote = deepgram.build_submit(TranscribeVideo(source=URL), None)
    assert (remote.json, remote.path) == ({"url": URL}, None)
    local = deepgram.build_submit(TranscribeVideo(source="talk.wav"), None)
    assert (local.json, local.path) == (None, "talk.wav")
    assert local.headers["Content-Type"] in {"audio/wav", "audio/x-wav", "audio/vnd.wave"}


def test_a_transcript() -> None:
    done = deepgram.parse_listen(answer(DONE))
    found = done.transcript
    assert found is not None
    assert (found.text, found.language, found.duration) == ("Hello there. Bye", "en", 2.5)
    assert [segment.text for segment in found.segments] == ["Hello there.", "Bye"]
    assert found.segments[0].words[0].probability == 0.98
    assert (done.raw, done.value) == ({"request_id": "r1"}, None)


def test_utterances_are_the_segments_and_tell_the_speakers() -> None:
    spoken = [
        {"start": 0.1, "end": 0.9, "transcript": "Hello there.", "words": WORDS[:2], "speaker": 0},
        {"start": 2.0, "end": 2.4, "transcript": "Bye", "words": WORDS[2:], "speaker": 1},
    ]
    done = deepgram.parse_listen(answer({"results": {"channels": [CHANNEL], "utterances": spoken}}))
    assert done.transcript is not None
    assert [len(segment.words) for segment in done.transcript.segments] == [2, 1]
    assert done.value == {
        "speakers": [
            {"start": 0.1, "end": 0.9, "speaker": 0},
            {"start": 2.0, "end": 2.4, "speaker": 1},
        ]
    }


def test_words_tell_the_speakers_where_no_utterances_were_asked_for() -> None:
    words = [{"word": "Hi", "start": 0, "end": 0.4, "speaker": 1}]
    channel = {"alternatives": [{"transcript": "Hi", "words": words}]}
    done = deepgram.parse_listen(answer({"results": {"channels": [channel]}}))
    assert done.value == {"speakers": [{"start": 0, "end": 0.4, "speaker": 1}]}


def test_channels_are_put_together_by_time() -> None:
    second = {"alternatives": [{"transcript": "Yes.", "words": [
        {"word": "Yes.", "start": 1.0, "end": 1.4}]}]}  # fmt: skip
    found = deepgram.parse_listen(answer({"results": {"channels": [CHANNEL, second]}})).transcript
    assert found is not None
    assert found.text == "Hello there. Bye\nYes."
    assert [segment.text for segment in found.segments] == ["Hello there.", "Yes.", "Bye"]


def test_silence_is_a_transcript() -> None:
    silent = {"results": {"channels": [{"alternatives": [{"transcript": "", "words": []}]}]}}
    found = deepgram.parse_listen(answer(silent)).transcript
    assert found is not None
    assert (found.text, found.segments) == ("", ())


@pytest.mark.parametrize(
    "body", [{}, [], {"request_id": "r1"}, {"results": {"channels": []}}, {"results": None}]
)
def test_an_answer_without_a_transcript_proves_nothing(body: Any) -> None:
    with pytest.raises(ClientError, match=r"without 'results.channels'"):
        deepgram.parse_listen(answer(body))


def error(code: str, message: str) -> dict[str, str]:
    return {"err_code": code, "err_msg": message, "request_id": "r1"}


NEWER = {"category": "INVALID_JSON", "message": "Invalid JSON submitted.",
         "details": "missing field `url`", "request_id": "r1"}  # fmt: skip
CORRUPT = error("Bad Request", "Bad Request: failed to process audio: corrupt or unsupported data")


@pytest.mark.parametrize(
    ("status", "body", "outcome", "kind"),
    [
        (400, CORRUPT, JobStatus.FAILED, ErrorKind.INVALID_INPUT),
        (400, NEWER, JobStatus.FAILED, ErrorKind.INVALID_INPUT),
        (400, error("REMOTE_CONTENT_ERROR", "The remote server could not provide the media"),
         JobStatus.FAILED, ErrorKind.INVALID_INPUT),
        (413, error("PAYLOAD_TOO_LARGE", "too large"), JobStatus.FAILED, ErrorKind.INVALID_INPUT),
        (422, error("Unprocessable Entity", "incomplete"), JobStatus.FAILED,
         ErrorKind.INVALID_INPUT),
        (408, error("SLOW_UPLOAD", "too slow"), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
        (500, error("INTERNAL", "oops"), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
        (503, error("SERVICE_UNAVAILABLE", "later"), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
        (504, "gateway", JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ],
)  # fmt: skip
def test_errors(status: int, body: Any, outcome: JobStatus, kind: ErrorKind) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    job, sent = run_one(DeepgramClient, refuses, TranscribeVideo(source=URL))
    assert job.error is not None
    assert (job.status, job.error.kind, len(sent)) == (outcome, kind, 1)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (error("ASR_PAYMENT_REQUIRED", "no credits"),
         ("quota", "ASR_PAYMENT_REQUIRED", "no credits")),
        (error("INVALID_AUTH", "Invalid credentials."),
         ("", "INVALID_AUTH", "Invalid credentials.")),
        (error("TOO_MANY_REQUESTS", "later"), ("", "TOO_MANY_REQUESTS", "later")),
        (NEWER, ("", "INVALID_JSON", "Invalid JSON submitted.: missing field `url`")),
        ([], ("", None, "")),
        ({"err_msg": 7}, ("", None, "")),
    ],
)  # fmt: skip
def test_faults(body: Any, fault: tuple[str, str | None, str]) -> None:
    found = deepgram.parse_fault(answer(body, 400))
    assert (found.kind, found.code, found.message) == fault


def test_what_is_no_json_is_no_fault_of_ours() -> None:
    assert deepgram.parse_fault(HttpResponse(status=500, content=b"\xff<")).message == ""


def listens(request: httpx.Request) -> httpx.Response:
    assert request.headers["authorization"] == "Token canary-key"
    return httpx.Response(200, json=DONE, headers={"dg-request-id": "r1"})


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_file_is_sent_once_and_its_transcript_kept(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.mp3"
    file.write_bytes(b"RIFF" * 1000)
    request = TranscribeVideo(source=str(file), model="nova-3", language="en")
    job, sent = run_one(DeepgramClient, listens, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Hello there. Bye"
    (asked,) = sent
    assert asked.url.path == "/v1/listen"
    # The whole work is done before the first byte of the answer.
    assert asked.extensions["timeout"]["read"] >= 1800
    assert dict(asked.url.params) == {"punctuate": "true", "model": "nova-3", "language": "en"}
    assert (asked.headers["content-type"], asked.headers["content-length"]) == (
        "audio/mpeg",
        "4000",
    )


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(DeepgramClient, drops, TranscribeVideo(source=URL), executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


def test_too_many_at_once_is_tried_again() -> None:
    answers = iter([httpx.Response(429, json=error("TOO_MANY_REQUESTS", "later"))])

    def busy_once(request: httpx.Request) -> httpx.Response:
        return next(answers, None) or listens(request)

    job, sent = run_one(DeepgramClient, busy_once, TranscribeVideo(source=URL))
    assert (job.status, len(sent)) == (JobStatus.COMPLETED, 2)


def test_bad_use(tmp_path: Path) -> None:
    client = DeepgramClient("k", max_bytes=3)
    large = tmp_path / "talk.wav"
    large.write_bytes(b"RIFF")
    for request, match in (
        (GenerateVideo(prompt="a cat"), "transcribes"),
        (TranscribeVideo(source="/nowhere/at-all.wav"), "no file"),
        (TranscribeVideo(source="ftp://h/a.wav"), "http and https"),
        (TranscribeVideo(source=str(large)), "4 bytes, and Deepgram takes 3"),
        (TranscribeVideo(source=URL, params={"callback": "https://h/"}), "callback="),
    ):
        with pytest.raises(UsageError, match=match):
            client.check(request)
    client.check(TranscribeVideo(source=URL))
