"""Speechmatics: one submission with its file, states, cancelling, and the look-up by reference."""

from __future__ import annotations

import json
import re
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
from batchkit.clients import speechmatics
from batchkit.clients.http import HttpResponse
from batchkit.clients.speechmatics import SpeechmaticsClient

URL = "https://h/talk.mp4"
DONE = {
    "job": {"id": "a1", "created_at": "2026-11-22T10:00:00.000Z", "duration": 3},
    "metadata": {"transcription_config": {"language": "en"}},
    "results": [
        {
            "type": "word",
            "start_time": 0.12,
            "end_time": 0.5,
            "alternatives": [{"content": "Hello", "confidence": 0.98, "language": "en"}],
        }
    ],
}


def job_of(source: str = URL, **fields: Any) -> Job:
    request = TranscribeVideo(source=source, **fields)
    job = Job(id=1, batch_id=1, index=0, identity="i", request=request)
    return job.evolve(submit_key="b-0-1")


def config_of(job: Job, model: str | None = None) -> dict[str, Any]:
    form = speechmatics.build_submit(job, model).form
    assert form is not None
    found: dict[str, Any] = json.loads(str(form["config"]))
    return found


@pytest.mark.parametrize(
    ("fields", "transcription"),
    [
        ({}, {"language": "auto"}),
        ({"language": "pt-BR"}, {"language": "pt"}),
        ({"language": "cmn_en"}, {"language": "cmn_en"}),
        ({"model": "enhanced"}, {"language": "auto", "model": "enhanced"}),
        (
            {"params": {"transcription_config": {"diarization": "speaker", "language": "en"}}},
            {"language": "en", "diarization": "speaker"},
        ),
    ],
)
def test_what_is_submitted(fields: dict[str, Any], transcription: dict[str, Any]) -> None:
    assert config_of(job_of(**fields)) == {
        "type": "transcription",
        "fetch_data": {"url": URL},
        "transcription_config": transcription,
        "tracking": {"reference": "b-0-1"},
    }


def test_params_are_parts_of_the_config() -> None:
    params = {
        "tracking": {"tags": ["a"]},
        "fetch_data": {"auth_headers": ["Authorization: x"]},
        "translation_config": {"target_languages": ["de"]},
    }
    config = config_of(job_of(params=params), "standard")
    assert config["tracking"] == {"tags": ["a"], "reference": "b-0-1"}
    assert config["fetch_data"] == {"url": URL, "auth_headers": ["Authorization: x"]}
    assert config["translation_config"] == {"target_languages": ["de"]}
    assert config["transcription_config"]["model"] == "standard"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("created", RemoteState.QUEUED),
        ("running", RemoteState.RUNNING),
        ("pondering", RemoteState.RUNNING),
        ("done", RemoteState.SUCCEEDED),
        ("rejected", RemoteState.FAILED),
        ("deleted", RemoteState.CANCELED),
        ("expired", RemoteState.EXPIRED),
    ],
)
def test_states(word: str, state: RemoteState) -> None:
    assert speechmatics.parse_job(answer({"job": {"status": word}})).state is state


def test_a_rejected_job_says_why() -> None:
    errors = [{"timestamp": "t", "message": "unsupported file"}, {"message": "no audio"}, "?"]
    found = speechmatics.parse_job(answer({"job": {"status": "rejected", "errors": errors}}))
    assert found.error is not None
    assert found.error.message == "unsupported file; no audio"
    assert (found.error.kind, found.error.retryable) == (ErrorKind.PROVIDER, False)
    bare = speechmatics.parse_job(answer({"job": {"status": "rejected", "errors": None}}))
    assert bare.error is not None
    assert bare.error.message == "the job was rejected"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, RemoteState.SUCCEEDED),
        (404, RemoteState.RUNNING),
        (423, RemoteState.RUNNING),
        (410, RemoteState.EXPIRED),
    ],
)
def test_the_transcript_of_a_job_that_is_done(status: int, state: RemoteState) -> None:
    poll = SpeechmaticsClient("k").http_poll(Handle(id="a1"))
    done = answer({"job": {"id": "a1", "status": "done"}})
    found, asked = play(poll, done, answer(DONE, status))
    assert found.state is state
    assert asked[1].url == "/jobs/a1/transcript"
    assert asked[1].params == {"format": "json-v2"}
    assert status < 300 or status in asked[1].expect


def test_a_job_that_has_expired() -> None:
    poll = SpeechmaticsClient("k").http_poll(Handle(id="a1"))
    found, asked = play(poll, answer({"code": 410, "error": "Job Expired"}, 410))
    assert found.state is RemoteState.EXPIRED
    assert asked[0].expect == frozenset({410})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"code":403,"error":"Forbidden","detail":"Entitlement check failed"}', "Entitlement"),
        (b'{"code":400,"error":"Bad Request"}', "Bad Request"),
        (b'{"code":429,"error":null,"detail":"Rate Limited"}', "Rate Limited"),
        (b"<html>401 Authorization Required</html>", ""),
        (b"[]", ""),
    ],
)
def test_what_it_says_of_a_refusal(content: bytes, told: str) -> None:
    assert told in speechmatics.parse_fault(HttpResponse(status=400, content=content)).message


@pytest.mark.parametrize("word", ["created", "running"])
@pytest.mark.parametrize(
    ("ended", "confirmed"),
    [
        (answer({"job": {"status": "deleted"}}), True),
        (answer({"job": {"status": "running"}}), False),
        (answer({"error": "Job Expired"}, 410), False),
        (answer({"error": "Not Found"}, 404), False),
        (answer({"error": "Resource Locked"}, 423), False),
    ],
)
def test_cancel_confirms_what_was_deleted(word: str, ended: HttpResponse, confirmed: bool) -> None:
    cancel = SpeechmaticsClient("k").http_cancel(Handle(id="a1"))
    found, asked = play(cancel, answer({"job": {"status": word}}), ended)
    assert found is confirmed
    assert (asked[1].method, asked[1].params) == ("DELETE", {"force": "true"})
    assert ended.status < 300 or ended.status in asked[1].expect


@pytest.mark.parametrize("word", ["done", "rejected", "deleted", "expired", "pondering"])
def test_cancel_deletes_nothing_that_has_ended(word: str) -> None:
    cancel = SpeechmaticsClient("k").http_cancel(Handle(id="a1"))
    found, asked = play(cancel, answer({"job": {"status": word}}))
    assert (found, len(asked)) == (False, 1)


class Speechmatics:
    """The least of the service: what it accepted, newest first."""

    def __init__(self, *, drop: bool = False, accepts: bool = True) -> None:
        self.drop, self.accepts = drop, accepts
        self.jobs: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer canary-key"
        path = request.url.path
        if request.method == "POST":
            return self.submit(request)
        if path == "/v2/jobs":
            return httpx.Response(200, json={"jobs": self.jobs})
        if path.endswith("/transcript"):
            return httpx.Response(200, json=DONE)
        return httpx.Response(200, json={"job": {"id": "a0", "status": "done"}})

    def submit(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"].startswith("multipart/form-data")
        accepts, self.accepts = self.accepts, True
        if accepts:
            config = re.search(rb'name="config"\r\n\r\n(.*?)\r\n--', request.content)
            assert config is not None
            job = {"id": f"a{len(self.jobs)}", "config": json.loads(config[1])}
            self.jobs.insert(0, job)
        drop, self.drop = self.drop, False
        if drop:
            raise httpx.ReadError("broke", request=request)
        return httpx.Response(201, json={"id": "a0"})


def impatient(*args: Any, **options: Any) -> SpeechmaticsClient:
    """Absence is proof at once, so that no test waits."""
    client = SpeechmaticsClient(*args, **options)
    client.capabilities = attrs.evolve(client.capabilities, find_after_seconds=0.0)
    return client


def posts(sent: list[httpx.Request]) -> list[httpx.Request]:
    return [asked for asked in sent if asked.method == "POST"]


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_file_goes_with_the_one_submission(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(b"RIFF" * 1000)
    service = Speechmatics()
    request = TranscribeVideo(source=str(file))
    job, sent = run_one(SpeechmaticsClient, service, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Hello"
    (post,) = posts(sent)
    assert b'name="data_file"; filename="talk.wav"' in post.content
    assert b"RIFF" * 1000 in post.content
    assert "fetch_data" not in service.jobs[0]["config"]


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_lost_answer_is_one_submission_that_is_found(executor: str) -> None:
    service = Speechmatics(drop=True)
    request = TranscribeVideo(source=URL)
    job, sent = run_one(SpeechmaticsClient, service, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert (len(posts(sent)), len(service.jobs), job.handle) == (1, 1, Handle(id="a0"))


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_what_never_arrived_is_sent_again(executor: str) -> None:
    service = Speechmatics(drop=True, accepts=False)
    job, sent = run_one(impatient, service, TranscribeVideo(source=URL), executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert (len(posts(sent)), len(service.jobs)) == (2, 1)


def entry(name: str, reference: str | None, second: int = 0) -> dict[str, Any]:
    tracking = None if reference is None else {"reference": reference}
    created = f"2026-11-22T10:00:{59 - second:02d}.853047Z"
    return {"id": name, "created_at": created, "config": {"tracking": tracking}}


def full(*entries: dict[str, Any]) -> HttpResponse:
    others = [entry(f"x{n}", None) for n in range(100 - len(entries))]
    return answer({"jobs": [*others, *entries]})


def test_a_long_list_is_read_on_from_its_last_job() -> None:
    look = SpeechmaticsClient("k").http_find(job_of(), "b-0-1")
    rest = answer({"jobs": [entry("last", None), entry("mine", "b-0-1", 30)]})
    found, asked = play(look, full(entry("last", None, 10)), rest)
    assert found == Handle(id="mine")
    assert asked[0].params == {"limit": 100, "include_deleted": "true"}
    # A millisecond later than the last one: the next page begins with it.
    assert asked[1].params["created_before"] == "2026-11-22T10:00:49.854Z"


def test_the_end_of_the_list_proves_absence() -> None:
    look = SpeechmaticsClient("k").http_find(job_of(), "b-0-1")
    assert play(look, answer({"jobs": [entry("x", None), entry("y", "b-0-2")]}))[0] is None


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([answer({"jobs": [{"id": "x", "created_at": "now"}]})], "config"),
        ([answer({"error": "?"})], "without a list"),
        ([full(), full()], "does not go on"),
        ([full({"id": "x", "config": {"tracking": None}})], "when"),
    ],
)
def test_a_list_that_proves_nothing(answers: list[HttpResponse], why: str) -> None:
    with pytest.raises(ClientError, match=why):
        play(SpeechmaticsClient("k").http_find(job_of(), "b-0-1"), *answers)


def test_a_list_without_an_end_proves_nothing() -> None:
    pages = [full(entry(f"page {n}", None)) for n in range(50)]
    with pytest.raises(ClientError, match="too long"):
        play(SpeechmaticsClient("k").http_find(job_of(), "b-0-1"), *pages)


def test_bad_use(tmp_path: Path) -> None:
    client = SpeechmaticsClient("k")
    with pytest.raises(UsageError, match="transcribes"):
        client.check(GenerateVideo(prompt="a cat"))
    with pytest.raises(UsageError, match="no file"):
        client.check(TranscribeVideo(source="/nowhere/at-all.wav"))
    with pytest.raises(UsageError, match=r"tracking\.tags"):
        client.check(TranscribeVideo(source=URL, params={"tracking": {"reference": "mine"}}))
    (tmp_path / "talk.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="takes 3"):
        SpeechmaticsClient("k", max_bytes=3).check(
            TranscribeVideo(source=str(tmp_path / "talk.wav"))
        )
