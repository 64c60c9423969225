"""The client of gateways against a server that speaks OpenAI's language of videos."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from vendor_batch import KEY

from batchkit import BatchRunner, JobStatus
from batchkit.testing import FakeClock, content
from batchkit.testing.vendors import VendorServer

MODEL = "sora-2"


@pytest.mark.parametrize("kind", ["form", "json"])
def test_it_takes_a_form_and_json(kind: str) -> None:
    asked = {"prompt": "cat", "model": "sora-2", "seconds": "8"}
    with VendorServer("openai-videos", api_key=KEY) as server:
        headers = {"Authorization": f"Bearer {KEY}"}
        if kind == "json":
            found = httpx.post(f"{server.url}/v1/videos", json=asked, headers=headers)
        else:
            reference = {"input_reference": ("a.png", b"\x89PNG\r\n--a", "image/png")}
            found = httpx.post(
                f"{server.url}/v1/videos", data=asked, files=reference, headers=headers
            )
        assert found.headers["openai-poll-after-ms"] == "100"
        told = found.json()
        assert {name: told[name] for name in asked} == asked
        assert dict(server.ledger.charges) == {"cat": 1}


def test_the_bytes_want_the_key() -> None:
    with VendorServer("openai-videos", api_key=KEY, polls=1) as server:
        headers = {"Authorization": f"Bearer {KEY}"}
        made = httpx.post(f"{server.url}/v1/videos", json={"prompt": "cat"}, headers=headers)
        where = f"{server.url}/v1/videos/{made.json()['id']}"
        early = httpx.get(f"{where}/content", headers=headers)
        assert (early.status_code, early.json()["error"]["type"]) == (404, "invalid_request_error")
        assert httpx.get(where, headers=headers).json()["status"] == "completed"
        assert httpx.get(f"{where}/content").status_code == 401
        assert httpx.get(f"{where}/content", headers=headers).content == content("cat")


def test_a_completed_job_without_a_video_is_asked_for_during_two_minutes(tmp_path: Path) -> None:
    clock = FakeClock()
    with VendorServer("openai-videos", api_key=KEY, clock=clock) as server:
        runner = BatchRunner(
            server.client(model="sora-2"),
            storage="memory",
            output=tmp_path,
            clock=clock,
            allow_private_downloads=True,
        )
        job = runner.add("cat [empty]")
        begun = clock.time()
        runner.run()
        assert runner.job(job).status is JobStatus.EXPIRED
        assert clock.time() - begun > 120
        runner.close()
