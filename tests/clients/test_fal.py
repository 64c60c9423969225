"""fal: every documented state and error, as literal answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchkit import ErrorKind, GenerateVideo, Handle, Output, RemoteState, UsageError
from batchkit.clients import fal
from batchkit.clients.fal import FalClient
from batchkit.clients.http import HttpResponse

BASE = "https://queue.fal.run/fal-ai/veo3.1/requests/r1"
URLS = {"status_url": f"{BASE}/status", "response_url": BASE, "cancel_url": f"{BASE}/cancel"}
VIDEO = {
    "url": "https://v3.fal.media/files/b/out.mp4",
    "content_type": "video/mp4",
    "file_name": "out.mp4",
    "file_size": 123456,
}


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status=status, content=json.dumps(body).encode(), headers=headers or {})


def test_what_is_submitted() -> None:
    request = GenerateVideo(
        prompt="a cat",
        duration=8,
        aspect_ratio="16:9",
        seed=7,
        image="https://h/first.png",
        params={"resolution": "1080p", "duration": "8s"},
    )
    sent = fal.build_submit("fal-ai/veo3.1/fast", request)
    assert (sent.method, sent.url) == ("POST", "/fal-ai/veo3.1/fast")
    assert sent.json == {
        "prompt": "a cat",
        "duration": "8s",
        "aspect_ratio": "16:9",
        "seed": 7,
        "image_url": "https://h/first.png",
        "resolution": "1080p",
    }


def test_who_is_told_of_the_end() -> None:
    request = GenerateVideo(prompt="a cat", model="fal-ai/veo3.1")
    told = fal.build_submit("m", request, "https://h/hook?x=1")

    assert told.params == {"fal_webhook": "https://h/hook?x=1"}
    assert not fal.build_submit("m", request).params
    assert FalClient("k", webhook_url="https://h/hook").webhook_url == "https://h/hook"


def test_the_handle_keeps_what_cannot_be_made_up() -> None:
    accepted = fal.parse_submit(answer({"request_id": "r1", "status": "IN_QUEUE", **URLS}))
    assert accepted.handle == Handle(id="r1", data=URLS)


@pytest.mark.parametrize("missing", ["request_id", *URLS])
def test_an_answer_without_them_leaves_the_outcome_unknown(missing: str) -> None:
    body = {"request_id": "r1", **URLS}
    del body[missing]
    with pytest.raises(Exception, match=missing):
        fal.parse_submit(answer(body))


STATES: list[tuple[dict[str, Any], RemoteState, ErrorKind | None, bool]] = [
    ({"status": "IN_QUEUE", "queue_position": 3}, RemoteState.QUEUED, None, False),
    ({"status": "IN_PROGRESS", "logs": None}, RemoteState.RUNNING, None, False),
    ({"status": "COMPLETED", "metrics": {"inference_time": 9}}, RemoteState.SUCCEEDED, None, False),
    ({"status": "SOMETHING_NEW"}, RemoteState.RUNNING, None, False),
    (
        {"status": "COMPLETED", "error": "boom", "error_type": "runner_server_error"},
        RemoteState.FAILED,
        ErrorKind.PROVIDER,
        False,
    ),
    (
        {"status": "COMPLETED", "error": "gone", "error_type": "runner_disconnected"},
        RemoteState.FAILED,
        ErrorKind.PROVIDER,
        True,
    ),
    (
        {"status": "COMPLETED", "error": "no", "error_type": "content_policy_violation"},
        RemoteState.FAILED,
        ErrorKind.MODERATION,
        False,
    ),
    (
        {"status": "COMPLETED", "error": "you", "error_type": "client_cancelled"},
        RemoteState.CANCELED,
        None,
        False,
    ),
]


@pytest.mark.parametrize(("body", "state", "kind", "retryable"), STATES)
def test_states(
    body: dict[str, Any], state: RemoteState, kind: ErrorKind | None, retryable: bool
) -> None:
    status = fal.parse_status(answer(body))
    assert status.state is state
    assert (status.error and status.error.kind) is kind
    assert bool(status.error and status.error.retryable) is retryable


def test_results() -> None:
    one = fal.parse_result(answer({"video": VIDEO, "seed": 7}))
    assert one.finished is not None
    url = str(VIDEO["url"])
    assert one.finished.outputs == (Output(url=url, media_type="video/mp4", size=123456),)
    several = fal.parse_result(answer({"video": VIDEO, "thumbnail": {"url": "https://h/t.png"}}))
    assert several.finished is not None
    assert [output.role for output in several.finished.outputs] == ["", "thumbnail"]
    none = fal.parse_result(answer({"text": "words"}))
    assert none.finished is not None
    assert (none.finished.outputs, none.finished.value) == ((), {"text": "words"})


FAILED: list[tuple[int, Any, dict[str, str], ErrorKind, str | None, bool]] = [
    (
        422,
        {"detail": [{"loc": ["body"], "msg": "unsafe", "type": "content_policy_violation"}]},
        {},
        ErrorKind.MODERATION,
        "content_policy_violation",
        False,
    ),
    (422, {"detail": "bad ratio"}, {}, ErrorKind.PROVIDER, None, False),
    (
        504,
        {"detail": "slow"},
        {"x-fal-error-type": "request_timeout"},
        ErrorKind.PROVIDER,
        "request_timeout",
        True,
    ),
    (
        500,
        {"detail": "oops"},
        {"x-fal-error-type": "runner_server_error", "x-fal-retryable": "true"},
        ErrorKind.PROVIDER,
        "runner_server_error",
        True,
    ),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind", "code", "retryable"), FAILED)
def test_the_result_of_a_failed_job(
    status: int,
    body: Any,
    headers: dict[str, str],
    kind: ErrorKind,
    code: str | None,
    retryable: bool,
) -> None:
    found = fal.parse_result(answer(body, status, headers))
    assert found.state is RemoteState.FAILED
    assert found.error is not None
    assert (found.error.kind, found.error.code, found.error.retryable) == (kind, code, retryable)


def test_a_broken_way_to_the_result_is_no_failure_of_the_job() -> None:
    with pytest.raises(ConnectionError):
        fal.parse_result(HttpResponse(status=502, content=b"<html>nginx</html>"))


def test_polling_asks_for_the_result_once_it_is_there() -> None:
    client = FalClient("k")
    exchange = client.http_poll(Handle(id="r1", data=URLS))
    first = next(exchange)
    assert (first.method, first.url) == ("GET", URLS["status_url"])
    second = exchange.send(answer({"status": "COMPLETED"}))
    assert second.url == URLS["response_url"]
    with pytest.raises(StopIteration) as ended:
        exchange.send(answer({"video": VIDEO}))
    assert ended.value.value.state is RemoteState.SUCCEEDED


def test_a_cancel_is_a_request_only() -> None:
    exchange = FalClient("k").http_cancel(Handle(id="r1", data=URLS))
    sent = next(exchange)
    assert (sent.method, sent.url) == ("PUT", URLS["cancel_url"])
    with pytest.raises(StopIteration) as ended:
        exchange.send(answer({"status": "CANCELLATION_REQUESTED"}))
    assert ended.value.value is False


def test_the_key_and_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAL_KEY", raising=False)
    with pytest.raises(UsageError, match="FAL_KEY"):
        FalClient()
    monkeypatch.setenv("FAL_KEY", "id:canary")
    client = FalClient()
    assert client.headers() == {"Authorization": "Key id:canary"}
    assert "canary" not in repr(client)
    with pytest.raises(UsageError, match="model"):
        client.check(GenerateVideo(prompt="a cat"))
    client.check(GenerateVideo(prompt="a cat", model="fal-ai/x"))
