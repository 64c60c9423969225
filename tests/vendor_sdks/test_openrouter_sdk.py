"""OpenRouter's own SDK against the server that speaks its language. It has no helper that waits."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from sdk_kit import KEY, slept_on

from batchkit.testing import FakeClock, content
from batchkit.testing.vendors import VendorServer

openrouter = pytest.importorskip("openrouter")

MODEL = "google/veo-3.1"


@pytest.fixture
def server(fake_clock: FakeClock) -> Iterator[VendorServer]:
    with VendorServer("openrouter", api_key=KEY, clock=fake_clock, price=0.75) as started:
        yield started


@pytest.fixture
def videos(
    server: VendorServer, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    retries = import_module("openrouter.utils.retries")
    monkeypatch.setattr(retries, "time", slept_on(fake_clock))
    with openrouter.OpenRouter(api_key=KEY, server_url=f"{server.url}/api/v1") as sdk:
        yield sdk.video_generation


def test_a_video(videos: Any) -> None:
    job = videos.generate(model=MODEL, prompt="cat", duration=8)
    assert (job.status, job.urls) == ("pending", None)
    words = [videos.get_generation(job_id=job.id).status for _ in range(2)]
    assert words == ["in_progress", "completed"]
    found = videos.get_generation(job_id=job.id)
    assert found.usage.cost == 0.75
    assert httpx.get(found.urls[0]).content == content("cat")
    assert videos.get_video_content(job_id=job.id, index=0).read() == content("cat")


def test_a_result_without_a_stored_copy(videos: Any) -> None:
    jobs = [videos.generate(model=MODEL, prompt=f"cat {number}") for number in range(3)]
    found = [[videos.get_generation(job_id=job.id) for _ in range(2)][-1] for job in jobs]
    assert [told.urls is None for told in found] == [False, False, True]
    assert httpx.get(found[2].unsigned_urls[0]).status_code == 401


def test_a_video_that_fails(videos: Any) -> None:
    job = videos.generate(model=MODEL, prompt="cat [fail]")
    found = [videos.get_generation(job_id=job.id) for _ in range(2)][-1]
    assert (found.status, found.error) == ("failed", "generation failed")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("401", "UnauthorizedResponseError"),
        ("402", "PaymentRequiredResponseError"),
        ("403", "ForbiddenResponseError"),
        ("429", "TooManyRequestsResponseError"),
        ("500", "InternalServerResponseError"),
    ],
)
def test_errors(server: VendorServer, videos: Any, word: str, name: str) -> None:
    server.provider.script_next(word)
    kind = getattr(import_module("openrouter.errors"), name)
    with pytest.raises(kind):
        videos.generate(model=MODEL, prompt="cat", retries=None)


def test_left_alone_it_pays_for_an_hour(server: VendorServer, videos: Any) -> None:
    # Why this library speaks HTTP itself: the SDK sends a lost submission again.
    server.provider.script("cat", "drop_after*1000")
    with pytest.raises(httpx.TransportError):
        videos.generate(model=MODEL, prompt="cat")
    assert server.ledger.charges["cat"] > 50
