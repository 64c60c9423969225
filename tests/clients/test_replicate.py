"""Replicate: every documented state, and the look-up in its list, as literal answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    RemoteState,
    Request,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import replicate
from batchkit.clients._replicate_values import parse_prediction
from batchkit.clients.replicate import ReplicateClient

MODEL = "kwaivgi/kling-v2.1"
OUT = "https://replicate.delivery/xezq/abc/out.mp4"
UPLOADED = "https://api.replicate.com/v1/files/f1"
EXECUTORS = pytest.mark.parametrize("executor", ["threads", "asyncio"])
CAT = GenerateVideo(prompt="a cat", model=MODEL)


def job_of(request: Request, uploaded: str | None = None, started: float = 0.0) -> Job:
    prepared = {"uploaded": uploaded} if uploaded else {}
    return Job(
        id=1,
        batch_id=1,
        index=0,
        identity="i",
        request=request,
        prepared=prepared,
        started=started,
    )


PLACES: list[tuple[str, str, dict[str, str]]] = [
    ("owner/name", "/v1/models/owner/name/predictions", {}),
    ("deployments/owner/name", "/v1/deployments/owner/name/predictions", {}),
    ("owner/name:5c7d", "/v1/predictions", {"version": "5c7d"}),
    ("5c7d", "/v1/predictions", {"version": "5c7d"}),
]


@pytest.mark.parametrize(("model", "url", "more"), PLACES)
def test_where_it_is_submitted(model: str, url: str, more: dict[str, str]) -> None:
    sent = replicate.build_submit(job_of(GenerateVideo(prompt="a cat")), model)
    assert (sent.method, sent.url) == ("POST", url)
    assert sent.json == {"input": {"prompt": "a cat"}, **more}
    assert not sent.headers


BODIES: list[tuple[Request, dict[str, str], str | None, dict[str, Any]]] = [
    (
        GenerateVideo(
            prompt="a cat",
            duration=5,
            seed=7,
            image="/first.png",
            params={
                "webhook": "https://h/hook?x=1",
                "webhook_events_filter": ["completed"],
                "mode": "pro",
            },
        ),
        {"image": "start_image"},
        UPLOADED,
        {
            "input": {
                "prompt": "a cat",
                "duration": 5,
                "seed": 7,
                "start_image": UPLOADED,
                "mode": "pro",
            },
            "webhook": "https://h/hook?x=1",
            "webhook_events_filter": ["completed"],
        },
    ),
    (
        TranscribeVideo(source="https://h/a.mp3", params={"batch_size": 8}),
        {},
        None,
        {"input": {"audio": "https://h/a.mp3", "batch_size": 8}},
    ),
    (
        TranscribeVideo(source="/a.mp3", language="pt"),
        {"source": "audio_file", "language": "lang"},
        UPLOADED,
        {"input": {"audio_file": UPLOADED, "lang": "pt"}},
    ),
    (
        GenerateVideo(prompt="a cat", image="https://h/a.png", params={"image": "https://h/b.png"}),
        {},
        None,
        {"input": {"prompt": "a cat", "image": "https://h/b.png"}},
    ),
]


@pytest.mark.parametrize(("request_", "inputs", "uploaded", "body"), BODIES)
def test_what_is_submitted(
    request_: Request, inputs: dict[str, str], uploaded: str | None, body: dict[str, Any]
) -> None:
    assert replicate.build_submit(job_of(request_, uploaded), MODEL, inputs).json == body


STATES: list[tuple[dict[str, Any], RemoteState, str | None]] = [
    ({"status": "starting"}, RemoteState.QUEUED, None),
    ({"status": "processing", "logs": "10%"}, RemoteState.RUNNING, None),
    ({"status": "pondering"}, RemoteState.RUNNING, None),
    ({"status": "succeeded", "output": OUT}, RemoteState.SUCCEEDED, None),
    ({"status": "succeeded", "output": OUT, "data_removed": True}, RemoteState.SUCCEEDED, None),
    ({"status": "failed", "error": "out of memory"}, RemoteState.FAILED, "out of memory"),
    ({"status": "failed", "error": None}, RemoteState.FAILED, "the prediction failed"),
    ({"status": "canceled"}, RemoteState.CANCELED, None),
    (
        {"status": "succeeded", "output": None, "data_removed": True},
        RemoteState.EXPIRED,
        "Replicate has deleted the result, one hour after the prediction ended",
    ),
    ({"status": "succeeded", "output": None, "data_removed": False}, RemoteState.SUCCEEDED, None),
]


@pytest.mark.parametrize(("body", "state", "message"), STATES)
def test_states(body: dict[str, Any], state: RemoteState, message: str | None) -> None:
    status = parse_prediction(answer(body))
    assert (status.state, status.raw_state) == (state, body["status"])
    assert (status.error and status.error.message) == message


def finished(output: Any, **more: Any) -> Any:
    done = parse_prediction(answer({"status": "succeeded", "output": output, **more})).finished
    assert done is not None
    return done


OUTPUTS: list[tuple[Any, list[tuple[str | None, str]], Any, str | None]] = [
    (OUT, [(OUT, "")], None, None),
    ([OUT, f"{OUT}2"], [(OUT, ""), (f"{OUT}2", "2")], None, None),
    (
        {"video": OUT, "cover": f"{OUT}.png", "seed": 7},
        [(OUT, ""), (f"{OUT}.png", "cover")],
        {"video": OUT, "cover": f"{OUT}.png", "seed": 7},
        None,
    ),
    ("some words", [], None, "some words"),
    ({"score": 1}, [], {"score": 1}, None),
    (None, [], None, None),
]


@pytest.mark.parametrize(("output", "files", "value", "text"), OUTPUTS)
def test_outputs(
    output: Any, files: list[tuple[str | None, str]], value: Any, text: str | None
) -> None:
    done = finished(output)
    assert [(one.url, one.role) for one in done.outputs] == files
    assert (done.value, done.text) == (value, text)


def test_a_result_lives_an_hour() -> None:
    done = finished(OUT, completed_at="2026-11-22T10:00:00.5Z", metrics={"predict_time": 9.5})
    assert done.outputs[0].expires == 1795345200.5
    assert done.raw == {"metrics": {"predict_time": 9.5}}
    assert finished(OUT).outputs[0].expires is None


def test_a_transcript() -> None:
    spoken = {
        "segments": [
            {"start": 0, "end": 1.5, "text": " Olá.", "speaker": "A"},
            {"start": 2, "end": 3, "text": "Sim."},
        ],
        "detected_language": "pt",
        "transcription": "Olá. Sim.",
        "srt_file": f"{OUT}.srt",
    }
    done = finished(spoken)
    assert done.transcript.text == "Olá. Sim."
    assert done.transcript.language == "pt"
    assert [(part.start, part.end) for part in done.transcript.segments] == [(0, 1.5), (2, 3)]
    assert done.value == {"speakers": [{"start": 0, "end": 1.5, "speaker": "A"}]}
    assert [one.url for one in done.outputs] == [None, f"{OUT}.srt"]
    assert finished({"segments": []}).transcript.text == ""


@pytest.mark.parametrize(
    ("told", "status", "ended"),
    [("canceled", 200, True), ("processing", 200, False), ("canceled", 422, False)],
)
def test_cancel(told: str, status: int, ended: bool) -> None:
    exchange = ReplicateClient("k").http_cancel(Handle(id="p1"))
    found, asked = play(exchange, answer({"status": told}, status))
    assert found is ended
    assert (asked[0].method, asked[0].url) == ("POST", "/v1/predictions/p1/cancel")


def completes(request: httpx.Request) -> httpx.Response:
    assert request.headers["authorization"] == "Bearer canary-key"
    assert "prefer" not in request.headers
    if request.url.path == "/v1/files":
        return httpx.Response(201, json={"id": "f1", "urls": {"get": UPLOADED}})
    if request.method == "POST":
        return httpx.Response(201, json={"id": "p1", "status": "starting"})
    return httpx.Response(200, json={"id": "p1", "status": "succeeded", "output": "Olá."})


@EXECUTORS
def test_a_file_is_uploaded_before_it_is_paid_for(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "My talk.MP3"
    file.write_bytes(b"ID3")
    request = TranscribeVideo(source=str(file), model="openai/whisper:5c7d")
    job, sent = run_one(ReplicateClient, completes, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Olá."
    assert b'name="content"; filename="file.mp3"' in sent[0].content
    assert json.loads(sent[1].content) == {"version": "5c7d", "input": {"audio": UPLOADED}}


@EXECUTORS
@pytest.mark.parametrize(
    ("status", "end"),
    [
        (402, JobStatus.PENDING),
        (401, JobStatus.PENDING),
        (404, JobStatus.FAILED),
        (422, JobStatus.FAILED),
    ],
)
def test_refusals(executor: str, status: int, end: JobStatus) -> None:
    body = {"title": "No", "detail": "not so", "status": status}
    job, sent = run_one(
        ReplicateClient, lambda _: httpx.Response(status, json=body), CAT, executor=executor
    )
    assert (job.status, len(sent)) == (end, 1)
    assert job.error is not None
    assert "not so" in job.error.message
    assert (job.error.kind is ErrorKind.QUOTA) == (status == 402)


@EXECUTORS
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(ReplicateClient, drops, CAT, executor=executor)
    assert [request.method for request in sent].count("POST") == 1
    assert job.status is JobStatus.UNCERTAIN


def test_bad_use() -> None:
    client = ReplicateClient("k", model=MODEL)
    with pytest.raises(UsageError, match="no file"):
        client.check(GenerateVideo(prompt="a", image="/nowhere.png"))
    with pytest.raises(UsageError, match="inputs="):
        client.check(TranscribeVideo(source="https://h/a.mp3", language="pt"))
    with pytest.raises(UsageError, match="model"):
        ReplicateClient("k").check(GenerateVideo(prompt="a"))
    client.check(GenerateVideo(prompt="a", image="data:image/png;base64,AA=="))
    with pytest.raises(ClientError, match="'id'"):
        play(client.http_submit(job_of(CAT)), answer({"status": "starting"}))
