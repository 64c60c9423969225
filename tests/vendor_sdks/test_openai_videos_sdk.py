"""OpenAI's own SDK against the server that speaks its dialect of videos."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from sdk_kit import KEY, slept_on

from batchkit.testing import FakeClock, content
from batchkit.testing.vendors import VendorServer

openai = pytest.importorskip("openai")

# The SDK announces the end of OpenAI's own service; gateways go on.
pytestmark = pytest.mark.filterwarnings("ignore:.*Sora API:DeprecationWarning")


@pytest.fixture
def server(fake_clock: FakeClock) -> Iterator[VendorServer]:
    with VendorServer("openai-videos", api_key=KEY, clock=fake_clock) as started:
        yield started


@pytest.fixture
def sdk(
    server: VendorServer, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    for name in ("openai._resource", "openai._base_client"):
        monkeypatch.setattr(import_module(name), "time", slept_on(fake_clock))
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1") as made:
        yield made


@pytest.mark.parametrize("reference", [None, ("a.png", b"\x89PNG", "image/png")])
def test_a_video(sdk: Any, fake_clock: FakeClock, reference: Any) -> None:
    before = fake_clock.time()
    given = {} if reference is None else {"input_reference": reference}
    found = sdk.videos.create_and_poll(prompt="cat", model="sora-2", seconds="8", **given)
    assert (found.status, found.progress, found.prompt) == ("completed", 100, "cat")
    assert (found.model, found.seconds) == ("sora-2", "8")
    # It waited as long as the header openai-poll-after-ms says.
    assert fake_clock.time() - before == pytest.approx(0.1, abs=0.001)
    assert sdk.videos.download_content(found.id).read() == content("cat")


def test_a_video_that_fails(sdk: Any) -> None:
    found = sdk.videos.create_and_poll(prompt="cat [fail]")
    assert (found.status, found.error.code) == ("failed", "video_generation_failed")


@pytest.mark.parametrize(
    ("word", "name", "code"),
    [
        ("401", "AuthenticationError", None),
        ("402", "APIStatusError", "insufficient_quota"),
        ("429", "RateLimitError", None),
        ("500", "InternalServerError", None),
        ("reject", "UnprocessableEntityError", "moderation_blocked"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, word: str, name: str, code: str | None) -> None:
    server.provider.script_next(word)
    with pytest.raises(getattr(openai, name)) as raised:
        sdk.with_options(max_retries=0).videos.create(prompt="cat")
    assert raised.value.code == code


def test_left_alone_it_pays_three_times(server: VendorServer, sdk: Any) -> None:
    # Why this library speaks HTTP itself: the SDK sends a lost submission again.
    server.provider.script("cat", "drop_after*3")
    with pytest.raises(openai.APIConnectionError):
        sdk.videos.create(prompt="cat")
    assert dict(server.ledger.charges) == {"cat": 3}
