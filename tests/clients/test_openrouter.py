"""OpenRouter: every documented state and error, as literal answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from http_kit import answer, drops, run_one

from batchkit import ErrorKind, GenerateVideo, Handle, Job, JobStatus, RemoteState, UsageError
from batchkit.clients import openrouter
from batchkit.clients.openrouter import OpenRouterClient

REQUEST = GenerateVideo(prompt="a cat", model="google/veo-3.1", duration=8)


def test_what_is_submitted() -> None:
    request = GenerateVideo(prompt="a cat", image="https://h/1.png", params={"resolution": "1080p"})
    assert openrouter.build_submit("google/veo-3.1", request).json == {
        "model": "google/veo-3.1",
        "prompt": "a cat",
        "resolution": "1080p",
        "frame_images": [
            {
                "type": "image_url",
                "image_url": {"url": "https://h/1.png"},
                "frame_type": "first_frame",
            }
        ],
    }


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"status": "pending"}, RemoteState.QUEUED),
        ({"status": "in_progress"}, RemoteState.RUNNING),
        ({"status": "a_new_word"}, RemoteState.RUNNING),
        ({"status": "cancelled"}, RemoteState.CANCELED),
        ({"status": "expired"}, RemoteState.EXPIRED),
        ({"status": "failed", "error": "no luck"}, RemoteState.FAILED),
        ({"status": "failed"}, RemoteState.FAILED),
        ({"status": "completed", "urls": []}, RemoteState.SUCCEEDED),
        ({"status": "completed", "urls": ["https://h/1"]}, RemoteState.SUCCEEDED),
    ],
)
def test_states(body: dict[str, Any], state: RemoteState) -> None:
    assert openrouter.parse_poll(answer(body)).state is state


def test_the_result_its_end_and_its_price() -> None:
    body = {
        "status": "completed",
        "urls": ["https://h/1?sig=1", "https://h/2?sig=1"],
        "expires_at": "2026-11-22T20:00:00Z",
        "usage": {"cost": 0.75},
        "generation_id": "g1",
    }
    found = openrouter.parse_poll(answer(body))
    assert found.finished is not None
    first, second = found.finished.outputs
    assert (first.url, first.role, second.role) == ("https://h/1?sig=1", "", "1")
    assert (first.expires, found.cost) == (1795377600.0, 0.75)


def test_a_result_without_a_signature_is_fetched_with_the_key() -> None:
    body = {"status": "completed", "unsigned_urls": ["https://openrouter.ai/x/1"]}
    found = openrouter.parse_poll(answer(body))
    assert found.finished is not None
    job = Job(
        id=1, batch_id=1, index=0, identity="i", request=REQUEST, handle=Handle(id="gen-vid-1")
    )
    download = OpenRouterClient("canary").fetch(job, found.finished.outputs[0])
    assert download.url == "https://openrouter.ai/api/v1/videos/gen-vid-1/content?index=0"
    assert download.headers == {"Authorization": "Bearer canary"}
    signed = openrouter.parse_poll(answer({"status": "completed", "urls": ["https://h/1?s=1"]}))
    assert signed.finished is not None
    plain = OpenRouterClient("canary").fetch(job, signed.finished.outputs[0])
    assert (plain.url, dict(plain.headers)) == ("https://h/1?s=1", {})


def completes(request: httpx.Request) -> httpx.Response:
    if request.method == "POST":
        return httpx.Response(202, json={"id": "gen-vid-1", "status": "pending"})
    return httpx.Response(200, json={"status": "completed", "urls": ["https://h/1"]})


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_job(executor: str) -> None:
    job, sent = run_one(OpenRouterClient, completes, REQUEST, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert [str(asked.url.path) for asked in sent] == ["/api/v1/videos", "/api/v1/videos/gen-vid-1"]
    assert {asked.headers["authorization"] for asked in sent} == {"Bearer canary-key"}


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(OpenRouterClient, drops, REQUEST, executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.parametrize(
    ("status", "kind", "left"),
    [
        (400, ErrorKind.INVALID_INPUT, JobStatus.FAILED),
        (401, ErrorKind.AUTHENTICATION, JobStatus.PENDING),
        (402, ErrorKind.QUOTA, JobStatus.PENDING),
        (403, ErrorKind.MODERATION, JobStatus.FAILED),
        (404, ErrorKind.INVALID_INPUT, JobStatus.FAILED),
        (413, ErrorKind.INVALID_INPUT, JobStatus.FAILED),
        (499, ErrorKind.UNCERTAIN, JobStatus.UNCERTAIN),
        (500, ErrorKind.UNCERTAIN, JobStatus.UNCERTAIN),
        (503, ErrorKind.UNCERTAIN, JobStatus.UNCERTAIN),
    ],
)
def test_refusals(status: int, kind: ErrorKind, left: JobStatus) -> None:
    body = {"error": {"code": status, "message": "because canary-key"}}
    job, sent = run_one(OpenRouterClient, lambda _: httpx.Response(status, json=body), REQUEST)
    assert job.error is not None
    assert (job.error.kind, job.status, len(sent)) == (kind, left, 1)


def test_the_key_and_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENROUTER_API_KEY"):
        OpenRouterClient()
    with pytest.raises(UsageError, match="model"):
        OpenRouterClient("k").check(GenerateVideo(prompt="a cat"))
