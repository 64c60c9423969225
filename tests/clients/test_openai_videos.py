"""Gateways of OpenAI's video dialect: states and errors, as literal answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, drops, run_one

from batchkit import ErrorKind, GenerateVideo, Handle, JobStatus, RemoteState, UsageError
from batchkit.clients import openai_videos
from batchkit.clients.openai_videos import OpenAIVideosClient

URL = "https://gateway.example.com/v1"
REQUEST = GenerateVideo(prompt="a cat", model="sora-2", duration=8, aspect_ratio="1280x720")
HANDLE = Handle(id="video_1")


def test_what_is_submitted(tmp_path: Path) -> None:
    plain = openai_videos.build_submit("sora-2", REQUEST)
    assert plain.form == {
        "prompt": "a cat",
        "seconds": "8",
        "size": "1280x720",
        "model": "sora-2",
    }
    image = tmp_path / "first.png"
    image.write_bytes(b"png")
    local = openai_videos.build_submit(None, GenerateVideo(prompt="a cat", image=str(image)))
    assert [(part.field, part.media_type) for part in local.files] == [
        ("input_reference", "image/png")
    ]
    remote = openai_videos.build_submit(None, GenerateVideo(prompt="a", image="https://h/1.png"))
    assert remote.form is not None
    assert remote.form["input_reference[image_url]"] == "https://h/1.png"
    nested = GenerateVideo(prompt="a", params={"extra": {"a": [1]}, "flag": True})
    assert openai_videos.build_submit(None, nested).form == {
        "prompt": "a",
        "extra": '{"a": [1]}',
        "flag": "true",
    }


@pytest.mark.parametrize(
    ("body", "state", "progress"),
    [
        ({"status": "queued"}, RemoteState.QUEUED, None),
        ({"status": "in_progress", "progress": 40}, RemoteState.RUNNING, 0.4),
        ({"status": "paused_by_moon"}, RemoteState.RUNNING, None),
        ({"status": "completed", "expires_at": 1700000000}, RemoteState.SUCCEEDED, None),
        ({"status": "failed", "error": {"code": "x", "message": "no"}}, RemoteState.FAILED, None),
        ({"status": "failed", "error": None}, RemoteState.FAILED, None),
    ],
)
def test_states(body: dict[str, Any], state: RemoteState, progress: float | None) -> None:
    found = openai_videos.parse_poll(answer(body), HANDLE)
    assert (found.state, found.progress) == (state, progress)


def test_a_moderated_job() -> None:
    body = {"status": "failed", "error": {"code": "moderation_blocked", "message": "no"}}
    found = openai_videos.parse_poll(answer(body), HANDLE)
    assert found.error is not None
    assert (found.error.kind, found.error.code) == (ErrorKind.MODERATION, "moderation_blocked")


def test_the_result_is_fetched_with_the_key() -> None:
    client = OpenAIVideosClient("canary", base_url=URL)
    found = openai_videos.parse_poll(answer({"status": "completed"}), HANDLE)
    assert found.finished is not None
    job: Any = None
    download = client.fetch(job, found.finished.outputs[0])
    assert download.url == f"{URL}/videos/video_1/content"
    assert download.headers == {"Authorization": "Bearer canary"}
    assert "canary" not in repr(download)
    assert hasattr(client.for_run(), "fetch")


def test_the_pause_that_a_server_asks_for() -> None:
    running = answer({"status": "in_progress"}, headers={"openai-poll-after-ms": "2500"})
    assert openai_videos.parse_poll(running, HANDLE).poll_after == 2.5


def completes(request: httpx.Request) -> httpx.Response:
    if request.method == "POST":
        assert request.headers["content-type"].startswith("multipart/form-data")
        return httpx.Response(200, json={"id": "video_1", "status": "queued"})
    return httpx.Response(200, json={"id": "video_1", "status": "completed"})


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_job(executor: str) -> None:
    job, sent = run_one(OpenAIVideosClient, completes, REQUEST, executor=executor, base_url=URL)
    assert (job.status, len(sent)) == (JobStatus.COMPLETED, 2)


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(OpenAIVideosClient, drops, REQUEST, executor=executor, base_url=URL)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "moderation_blocked", ErrorKind.MODERATION),
        (429, "insufficient_quota", ErrorKind.QUOTA),
        (422, "bad_size", ErrorKind.INVALID_INPUT),
    ],
)
def test_refusals(status: int, code: str, kind: ErrorKind) -> None:
    body = {"error": {"code": code, "message": "no"}}
    job, _ = run_one(
        OpenAIVideosClient, lambda _: httpx.Response(status, json=body), REQUEST, base_url=URL
    )
    assert job.error is not None
    assert (job.error.kind, job.error.code) == (kind, code)


def test_bad_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="shut down"):
        OpenAIVideosClient("k", base_url="https://api.openai.com/v1")
    with pytest.raises(UsageError, match="no image"):
        OpenAIVideosClient("k", base_url=URL).check(
            GenerateVideo(prompt="a", image="/nowhere/at-all.png")
        )
    for variable in OpenAIVideosClient.key_env:
        monkeypatch.delenv(variable, raising=False)
    assert OpenAIVideosClient(base_url=URL).headers() == {}


def test_a_key_of_openai_stays_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k-openai")
    monkeypatch.delenv("OPENAI_VIDEOS_KEY", raising=False)
    assert OpenAIVideosClient(base_url=URL).headers() == {}
    monkeypatch.setenv("OPENAI_VIDEOS_KEY", "k-gateway")
    assert OpenAIVideosClient(base_url=URL).headers() == {"Authorization": "Bearer k-gateway"}
