"""Runway's client against a server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import pytest
from vendor_batch import KEY
from vendor_kit import runner_of

from batchkit import BatchRunner, GenerateVideo, JobStatus, PollPolicy
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer
from batchkit.testing.vendors._runway import AT_ONCE, FAILURES

MODEL = "gen4.5"


@contextmanager
def wire(server: VendorServer) -> Iterator[httpx.Client]:
    """Requests as they stand in Runway's reference."""
    headers = {"Authorization": f"Bearer {KEY}", "X-Runway-Version": "2024-11-06"}
    with httpx.Client(base_url=server.url, headers=headers) as client:
        yield client


def start(client: httpx.Client, prompt: str) -> str:
    body = {"promptText": prompt, "model": MODEL, "ratio": "1280:720", "duration": 5}
    return str(client.post("/v1/text_to_video", json=body).json()["id"])


def test_tasks_beyond_what_the_account_runs_are_throttled() -> None:
    with VendorServer("runway", api_key=KEY, polls=3) as server, wire(server) as client:
        tasks = [start(client, f"cat {number}") for number in range(AT_ONCE + 1)]
        words = [client.get(f"/v1/tasks/{task}").json()["status"] for task in tasks]
    assert words == ["RUNNING"] * AT_ONCE + ["THROTTLED"]


def test_a_task_fails_for_every_reason() -> None:
    with VendorServer("runway", api_key=KEY, polls=1) as server, wire(server) as client:
        tasks = [start(client, f"cat {number} [fail]") for number in range(len(FAILURES))]
        tasks.append(start(client, "dog [flaky]"))
        found = [client.get(f"/v1/tasks/{task}").json()["failureCode"] for task in tasks]
    assert {*found} == {*FAILURES, "INTERNAL.BAD_OUTPUT.CODE01"}


@pytest.mark.parametrize(("hurry", "refused"), [(False, False), (True, True)])
def test_at_the_pace_that_it_declares_no_query_is_refused(hurry: bool, refused: bool) -> None:
    clock = FakeClock()
    with VendorServer("runway", api_key=KEY, polls=4, clock=clock) as server:
        client = server.client(model=MODEL)
        if hurry:
            client.capabilities = attrs.evolve(client.capabilities, min_poll_seconds=0.0)
        pace = PollPolicy(first=1.0, factor=1.0, cap=1.0)
        with BatchRunner(
            client, storage="memory", clock=clock, delay=0, poll=pace, allow_private_downloads=True
        ) as runner:
            job = runner.add("cat")
            runner.run()
            assert runner.job(job).status is JobStatus.COMPLETED
            server.check(runner).raise_for_faults()
        # Four queries do; more were answered 429, and tried again.
        assert (server.ledger.polls["cat"] > 4) is refused


def test_an_address_that_has_ended_is_asked_for_again(tmp_path: Path) -> None:
    with VendorServer("runway", api_key=KEY, poll_seconds=0, polls=1) as server:
        server.provider.script("cat", "fetch:403")  # as a signed address answers when it has ended
        runner = runner_of(server, tmp_path, model=MODEL)
        job = runner.add("cat")
        runner.run()
        assert runner.job(job).status is JobStatus.COMPLETED
        assert (server.ledger.polls["cat"], server.ledger.downloads["cat"]) == (2, 1)
        runner.close()


def test_a_delete_cancels_what_runs_and_deletes_what_has_ended() -> None:
    with (
        VendorServer("runway", api_key=KEY, poll_seconds=0, polls=2) as server,
        wire(server) as client,
    ):
        running, ended = start(client, "cat"), start(client, "dog")
        words = [client.get(f"/v1/tasks/{ended}").json()["status"] for _ in range(2)]
        assert words == ["RUNNING", "SUCCEEDED"]
        for task in (running, ended):
            assert client.delete(f"/v1/tasks/{task}").status_code == 204
            assert client.get(f"/v1/tasks/{task}").json()["status"] == "CANCELLED"
        assert dict(server.ledger.cancels) == {"cat": 1}


def test_every_request_names_the_version() -> None:
    with VendorServer("runway", api_key=KEY) as server, wire(server) as client:
        del client.headers["X-Runway-Version"]
        assert client.get("/v1/tasks/t1").status_code == 400


def test_an_image_is_uploaded_without_the_key(tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    with VendorServer("runway", api_key=KEY, poll_seconds=0) as server:
        runner = runner_of(server, model=MODEL)
        # Its place refuses a request with a key.
        job = runner.add(GenerateVideo(prompt="cat", image=str(image)))
        runner.run()
        assert runner.job(job).status is JobStatus.COMPLETED
        assert dict(server.ledger.uploads) == {"cat.png": 1}
        runner.close()


def test_an_image_that_was_never_uploaded_is_refused() -> None:
    with VendorServer("runway", api_key=KEY) as server, wire(server) as client:
        place = client.post("/v1/uploads", json={"filename": "a.png", "type": "ephemeral"}).json()
        body = {"promptText": "cat", "model": MODEL, "promptImage": place["runwayUri"]}
        assert client.post("/v1/image_to_video", json=body).status_code == 400
        file = {"file": ("a.png", b"x", "image/png")}
        forged = {**place["fields"], "policy": "another"}
        assert httpx.post(place["uploadUrl"], data=forged, files=file).status_code == 403
        assert httpx.post(place["uploadUrl"], data=place["fields"], files=file).status_code == 204
        assert client.post("/v1/image_to_video", json=body).status_code == 200
