"""Replicate: what its list proves about a submission that was not answered."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from http_kit import answer, play, run_one

from batchkit import ClientError, GenerateVideo, Handle, Job, JobStatus, Request, TranscribeVideo
from batchkit.clients.replicate import ReplicateClient

MODEL = "kwaivgi/kling-v2.1"
FILES = "https://api.replicate.com/v1/files"
STARTED = 1795345200.0  # 2026-11-22T11:00:00Z
BEFORE, AFTER = "2026-11-22T10:00:00Z", "2026-11-22T11:00:01Z"


def job_of(request: Request, uploaded: str | None = None) -> Job:
    prepared = {"uploaded": uploaded} if uploaded else {}
    place: dict[str, Any] = {"id": 1, "batch_id": 1, "index": 0, "identity": "i"}
    return Job(**place, request=request, prepared=prepared, started=STARTED)


def entry(given: Any, created: str = AFTER, **more: Any) -> dict[str, Any]:
    return {"id": "p1", "model": MODEL, "input": given, "created_at": created, **more}


def page(*entries: dict[str, Any], following: str | None = None) -> Any:
    return answer({"previous": None, "next": following, "results": list(entries)})


CAT = GenerateVideo(prompt="a cat", duration=5, image="https://h/a.png", model=MODEL)
SENT = {"prompt": "a cat", "duration": 5, "image": "https://h/a.png"}
OTHERS: list[dict[str, Any]] = [
    entry({**SENT, "prompt": "a dog"}),
    entry({**SENT, "duration": 10}),
]
SIMILAR: list[dict[str, Any]] = [
    entry(SENT),
    entry({**SENT, "duration": 5.0}),
    entry({**SENT, "duration": "5"}),
    entry({**SENT, "image": "https://replicate.delivery/copy.png"}),
    entry({"prompt": "a cat"}),
    entry({}, data_removed=True),
    entry({"prompt": ""}, data_removed=True),
    entry(None),
    entry(SENT, model="renamed/since"),
]


@pytest.mark.parametrize("other", OTHERS)
def test_other_predictions_prove_that_there_is_none(other: dict[str, Any]) -> None:
    client = ReplicateClient("k")
    found, asked = play(client.http_find(job_of(CAT), "key"), page(other))
    assert found is None
    assert [request.method for request in asked] == ["GET"]


@pytest.mark.parametrize("similar", SIMILAR)
def test_what_could_be_it_is_for_a_person_to_decide(similar: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="may be p1, or another program's"):
        play(ReplicateClient("k").http_find(job_of(CAT), "key"), page(*OTHERS, similar))


def test_the_address_of_an_upload_finds_it() -> None:
    client, mine = ReplicateClient("k"), f"{FILES}/mine"
    job = job_of(TranscribeVideo(source="/a.mp3", model=MODEL), mine)
    theirs = entry({"audio": f"{FILES}/theirs"})
    found, _ = play(client.http_find(job, "key"), page(theirs, entry({"audio": mine})))
    assert found == Handle(id="p1")
    none, _ = play(client.http_find(job, "key"), page(theirs))
    assert none is None
    copied = entry({"audio": "https://replicate.delivery/copy.mp3"})
    with pytest.raises(ClientError, match="may be p1"):
        play(client.http_find(job, "key"), page(copied))


VERSIONS: list[tuple[str, dict[str, Any], bool]] = [
    ("owner/name:5c7d", {"model": "owner/name", "version": "5c7d"}, True),
    ("owner/name:5c7d", {"model": "owner/name", "version": "hidden"}, True),
    ("owner/name:5c7d", {"model": "owner/name", "version": "9999"}, False),
    ("5c7d", {"model": "owner/name", "version": "5c7d"}, True),
    ("5c7d", {"model": "owner/name", "version": "9999"}, False),
    ("deployments/me/mine", {"deployment": "me/mine"}, True),
    ("deployments/me/mine", {}, True),
    ("deployments/me/mine", {"deployment": "me/other"}, False),
]


@pytest.mark.parametrize(("model", "told", "similar"), VERSIONS)
def test_versions_and_deployments(model: str, told: dict[str, Any], similar: bool) -> None:
    job = job_of(GenerateVideo(prompt="a cat", model=model))
    exchange = ReplicateClient("k").http_find(job, "key")
    listed = page({"id": "p1", "input": {"prompt": "a cat"}, "created_at": AFTER, **told})
    if similar:
        with pytest.raises(ClientError, match="may be"):
            play(exchange, listed)
    else:
        assert play(exchange, listed)[0] is None


def test_the_list_is_read_back_to_the_submission() -> None:
    following = "https://api.replicate.com/v1/predictions?cursor=2"
    exchange = ReplicateClient("k").http_find(job_of(CAT), "key")
    first = page(OTHERS[0], following=following)
    older = page(entry({**SENT, "prompt": "a dog"}, BEFORE), following=f"{following}1")
    found, asked = play(exchange, first, older)
    assert (found, [request.url for request in asked]) == (None, ["/v1/predictions", following])


def test_a_list_without_an_end_proves_nothing() -> None:
    exchange = ReplicateClient("k").http_find(job_of(CAT), "key")
    with pytest.raises(ClientError, match="too long"):
        play(exchange, *[page(OTHERS[0], following="https://api.replicate.com/v1/x")] * 60)


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_is_lost_in_a_batch(executor: str, tmp_path: Any) -> None:
    file = tmp_path / "a.mp3"
    file.write_bytes(b"ID3")
    accepted: list[Any] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/files":
            return httpx.Response(201, json={"urls": {"get": f"{FILES}/mine"}})
        if request.method == "POST":
            accepted.append(time.time())
            raise httpx.ReadError("broke", request=request)
        if request.url.path == "/v1/predictions":
            listed = entry({"audio": f"{FILES}/mine"}, id="p7")
            return httpx.Response(200, json={"results": [listed], "next": None})
        assert request.url.path == "/v1/predictions/p7"
        return httpx.Response(200, json={"status": "succeeded", "output": "Olá."})

    request = TranscribeVideo(source=str(file), model=MODEL)
    job, _ = run_one(ReplicateClient, handler, request, executor=executor)
    assert (job.status, len(accepted)) == (JobStatus.COMPLETED, 1)
