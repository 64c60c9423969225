"""Our clients against aimock, a mock of providers that other people wrote (npm @copilotkit/aimock).

Their reading of the APIs is not ours: what both agree on is better founded. ``BATCHKIT_AIMOCK``
names the folder of the package, as ``nox -s real_servers`` sets it; elsewhere this is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from batchkit import BatchRunner, ErrorKind, Job, JobStatus, PollPolicy
from batchkit.clients.fal import FalClient
from batchkit.clients.http import HttpClient
from batchkit.clients.openai_videos import OpenAIVideosClient
from batchkit.clients.openrouter import OpenRouterClient

PACKAGE = os.environ.get("BATCHKIT_AIMOCK")
KEY = "key-of-a-mock"
QUEUE = "queue.fal.run"

pytestmark = pytest.mark.skipif(not PACKAGE, reason="nox -s real_servers installs aimock")


@attrs.frozen
class Mock:
    """The server, and what it was asked."""

    url: str
    control: httpx.Client

    def asked(self, method: str) -> list[str]:
        """The paths that were asked, in order; of broken connections too."""
        found = self.control.get("/__aimock/journal").json()
        return [entry["path"] for entry in found if entry["method"] == method]

    def breaks(self, **rates: float) -> None:
        self.control.post("/__aimock/chaos", json=rates).raise_for_status()


@pytest.fixture
def mock() -> Iterator[Mock]:
    script = Path(__file__).with_name("aimock.mjs")
    words = ["node", str(script), str(PACKAGE), KEY]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.Client(base_url=url, headers=headers) as control:
                yield Mock(url, control)
        finally:
            process.terminate()


def openrouter(mock: Mock) -> HttpClient:
    return OpenRouterClient(KEY, base_url=f"{mock.url}/api/v1", model="google/veo-3.1")


def openai_videos(mock: Mock) -> HttpClient:
    return OpenAIVideosClient(KEY, base_url=f"{mock.url}/v1", model="sora-2")


class _InsteadOfFal(httpx.AsyncHTTPTransport):
    """Leads requests for fal's own host to the mock, as its documentation says."""

    def __init__(self, url: str) -> None:
        # Nothing stays open: who passes a client closes it, in the loop that has ended by then.
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._url = httpx.URL(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == QUEUE
        request.headers["x-fal-target-host"] = QUEUE
        path = b"/fal" + request.url.raw_path
        request.url = self._url.copy_with(raw_path=path)
        return await super().handle_async_request(request)


def fal(mock: Mock) -> HttpClient:
    through = httpx.AsyncClient(transport=_InsteadOfFal(mock.url))
    return FalClient(KEY, model="fal-ai/veo3.1/fast", http_client=through)


CLIENTS = {"fal": fal, "openai-videos": openai_videos, "openrouter": openrouter}
Make = Callable[[Mock], HttpClient]


def run_one(client: HttpClient, prompt: str, **options: Any) -> Job:
    client.capabilities = attrs.evolve(client.capabilities, min_poll_seconds=0.0)
    pace = PollPolicy(first=0.01, factor=1.0, cap=0.01)
    given: Mapping[str, Any] = {"storage": "memory", "delay": 0, "poll": pace, **options}
    with BatchRunner(client, **given) as runner:
        job = runner.add(prompt)
        runner.run()
        return runner.job(job)


@pytest.mark.parametrize(("name", "polls"), [("fal", 4), ("openai-videos", 1), ("openrouter", 3)])
def test_a_job(mock: Mock, name: str, polls: int) -> None:
    job = run_one(CLIENTS[name](mock), "a cat")
    assert job.status is JobStatus.COMPLETED
    assert (len(mock.asked("POST")), len(mock.asked("GET"))) == (1, polls)


def test_the_key_goes_with_a_result_that_is_not_signed(mock: Mock, tmp_path: Path) -> None:
    job = run_one(openrouter(mock), "a cat", output=tmp_path, allow_private_downloads=True)
    assert (job.status, job.cost) == (JobStatus.COMPLETED, 0.75)
    (made,) = tmp_path.glob("*.mp4")
    assert made.read_bytes() == b"the bytes of a cat"


def test_a_job_that_fails(mock: Mock) -> None:
    job = run_one(openrouter(mock), "a dog")
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.kind, job.error.message) == (ErrorKind.PROVIDER, "no luck")


@pytest.mark.parametrize("make", [openai_videos, openrouter])
def test_a_refusal(mock: Mock, make: Make) -> None:
    job = run_one(make(mock), "an elk")
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "not this one" in job.error.message
    assert len(mock.asked("POST")) == 1


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("rate", ["disconnectRate", "malformedRate", "dropRate"])
def test_a_submission_that_breaks_is_sent_once(mock: Mock, name: str, rate: str) -> None:
    mock.breaks(**{rate: 1.0})
    job = run_one(CLIENTS[name](mock), "a cat")
    assert (job.status, len(mock.asked("POST"))) == (JobStatus.UNCERTAIN, 1)


def test_a_wrong_key_pauses_the_batch(mock: Mock) -> None:
    client = OpenRouterClient("another", base_url=f"{mock.url}/api/v1", model="google/veo-3.1")
    with BatchRunner(client, storage="memory", delay=0) as runner:
        job = runner.add("a cat")
        assert runner.run().paused
        assert runner.job(job).status is JobStatus.PENDING
