"""Runway: every documented state and error, as literal answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from http_kit import answer, drops, play, run_one

from batchkit import ErrorKind, GenerateVideo, Handle, JobStatus, RemoteState
from batchkit.clients import runway
from batchkit.clients.runway import RunwayClient

REQUEST = GenerateVideo(prompt="a cat", model="gen4.5", duration=5, aspect_ratio="1280:720")
HANDLE = Handle(id="t1")


def test_what_is_submitted() -> None:
    text = runway.build_submit("gen4.5", REQUEST)
    assert text.url == "/v1/text_to_video"
    assert text.json == {
        "model": "gen4.5",
        "promptText": "a cat",
        "duration": 5,
        "ratio": "1280:720",
    }
    image = GenerateVideo(prompt="a cat", image="https://h/1.png", params={"seed": 3})
    assert runway.build_submit("gen4_turbo", image).url == "/v1/image_to_video"
    assert runway.build_submit("gen4_turbo", image).json["promptImage"] == "https://h/1.png"


@pytest.mark.parametrize(
    ("body", "state", "progress"),
    [
        ({"status": "PENDING"}, RemoteState.QUEUED, None),
        ({"status": "THROTTLED"}, RemoteState.QUEUED, None),
        ({"status": "RUNNING", "progress": 0.4}, RemoteState.RUNNING, 0.4),
        ({"status": "SOMETHING"}, RemoteState.RUNNING, None),
        ({"status": "CANCELLED"}, RemoteState.CANCELED, None),
        ({"status": "SUCCEEDED", "output": ["https://h/1"]}, RemoteState.SUCCEEDED, None),
    ],
)
def test_states(body: dict[str, Any], state: RemoteState, progress: float | None) -> None:
    found = runway.parse_task(answer(body))
    assert (found.state, found.progress) == (state, progress)


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("SAFETY.INPUT.TEXT", ErrorKind.MODERATION, False),
        ("SAFETY.OUTPUT.VIDEO", ErrorKind.MODERATION, False),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", ErrorKind.MODERATION, False),
        ("INTERNAL.BAD_OUTPUT.CODE01", ErrorKind.PROVIDER, True),
        ("INPUT_PREPROCESSING.INTERNAL", ErrorKind.PROVIDER, True),
        ("ASSET.INVALID", ErrorKind.PROVIDER, False),
        (None, ErrorKind.PROVIDER, False),
    ],
)
def test_failures(code: str | None, kind: ErrorKind, retryable: bool) -> None:
    found = runway.parse_task(answer({"status": "FAILED", "failure": "no", "failureCode": code}))
    assert found.error is not None
    assert (found.error.kind, found.error.code, found.error.retryable) == (kind, code, retryable)


def test_a_result_is_never_deleted_by_a_cancel() -> None:
    client = RunwayClient("k")
    ended, asked = play(client.http_cancel(HANDLE), answer({"status": "SUCCEEDED"}))
    assert (ended, [each.method for each in asked]) == (False, ["GET"])
    gone, asked = play(client.http_cancel(HANDLE), answer({"status": "RUNNING"}), answer({}, 204))
    assert (gone, [each.method for each in asked]) == (False, ["GET", "DELETE"])


def test_never_asked_more_often_than_they_allow() -> None:
    assert RunwayClient("k").capabilities.min_poll_seconds == 5.0


def completes(request: httpx.Request) -> httpx.Response:
    assert request.headers["x-runway-version"] == "2024-11-06"
    if request.method == "POST":
        return httpx.Response(200, json={"id": "t1"})
    return httpx.Response(200, json={"status": "SUCCEEDED", "output": ["https://h/1"]})


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_job(executor: str) -> None:
    job, sent = run_one(RunwayClient, completes, REQUEST, executor=executor)
    assert (job.status, len(sent)) == (JobStatus.COMPLETED, 2)


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(RunwayClient, drops, REQUEST, executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


def test_the_daily_limit_slows_everybody_down() -> None:
    limited = [httpx.Response(429, json={"error": "daily limit"})]

    def handler(request: httpx.Request) -> httpx.Response:
        return limited.pop() if limited else completes(request)

    job, sent = run_one(RunwayClient, handler, REQUEST)
    assert (job.status, job.retries) == (JobStatus.COMPLETED, 0)
    assert [asked.method for asked in sent] == ["POST", "POST", "GET"]
