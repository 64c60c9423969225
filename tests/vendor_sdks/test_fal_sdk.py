"""fal's own SDK against the server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from sdk_kit import KEY, slept_on

from batchkit.testing import FakeClock, content
from batchkit.testing.vendors import VendorServer

fal_client = pytest.importorskip("fal_client")

MODEL = "fal-ai/veo3.1/fast"


@pytest.fixture
def server(fake_clock: FakeClock) -> Iterator[VendorServer]:
    with VendorServer("fal", api_key=KEY, clock=fake_clock) as started:
        yield started


@pytest.fixture
def sdk(
    server: VendorServer, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    inside: Any = import_module("fal_client.client")
    # Only the host can be set, by an environment variable; the scheme is always https.
    monkeypatch.setattr(inside, "QUEUE_URL_FORMAT", f"{server.url}/")
    monkeypatch.setattr(inside, "time", slept_on(fake_clock))
    made = fal_client.SyncClient(key=KEY)
    yield made
    # It has no way of its own to be closed.
    made._client.close()


def test_a_video(server: VendorServer, sdk: Any) -> None:
    words = []
    found = sdk.subscribe(
        MODEL,
        arguments={"prompt": "cat", "duration": "8s"},
        on_queue_update=lambda status: words.append(type(status).__name__),
    )
    assert words == ["InProgress", "Completed"]
    assert found["video"]["content_type"] == "video/mp4"
    assert httpx.get(found["video"]["url"]).content == content("cat")


@pytest.mark.parametrize("prompt", ["cat", "dog"])
def test_a_job_that_fails(sdk: Any, prompt: str) -> None:
    with pytest.raises(fal_client.FalClientHTTPError, match="generation failed") as raised:
        sdk.subscribe(MODEL, arguments={"prompt": f"{prompt} [fail]"})
    assert raised.value.error_type == "runner_server_error"


def test_a_cancel(server: VendorServer, sdk: Any) -> None:
    handle = sdk.submit(MODEL, arguments={"prompt": "cat"})
    handle.cancel()
    assert handle.status().error_type == "client_cancelled"
    assert dict(server.ledger.cancels) == {"cat": 1}


@pytest.mark.parametrize(
    ("word", "status"), [("401", 401), ("403", 403), ("reject", 422), ("500", 500)]
)
def test_errors(server: VendorServer, sdk: Any, word: str, status: int) -> None:
    server.provider.script_next(word)
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        sdk.submit(MODEL, arguments={"prompt": "cat"})
    assert raised.value.status_code == status


def test_left_alone_it_pays_ten_times(server: VendorServer, sdk: Any) -> None:
    # Why this library speaks HTTP itself: the SDK sends a lost submission again.
    server.provider.script("cat", "drop_after*10")
    with pytest.raises(httpx.TransportError):
        sdk.submit(MODEL, arguments={"prompt": "cat"})
    assert dict(server.ledger.charges) == {"cat": 10}
