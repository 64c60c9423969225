"""Replicate's own SDK against the server that speaks Replicate's language."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchkit.testing.vendors import VendorServer

replicate = pytest.importorskip("replicate")

KEY = "r8-made-up"
MODEL, VERSION = "kwaivgi/kling-v2.1", "5c7d5dc6"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("replicate", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.01")
    client = replicate.Client(api_token=KEY, base_url=server.url)
    yield client
    client._client.close()  # the SDK never does


@pytest.mark.parametrize("asked", [{"model": MODEL}, {"version": VERSION}])
def test_a_prediction(sdk: Any, asked: dict[str, str]) -> None:
    made = sdk.predictions.create(input={"prompt": "a cat"}, **asked)
    assert made.status in ("starting", "processing")
    made.wait()
    assert (made.status, made.input) == ("succeeded", {"prompt": "a cat"})
    assert "/files/" in made.output


def test_a_deployment(sdk: Any) -> None:
    made = sdk.deployments.predictions.create(("me", "mine"), input={"prompt": "a cat"})
    assert sdk.predictions.get(made.id).id == made.id


def test_a_file_is_uploaded_and_transcribed(sdk: Any, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_text("talk.wav")
    file = sdk.files.create(path)
    made = sdk.predictions.create(version=VERSION, input={"audio": file.urls["get"]})
    made.wait()
    assert made.output["transcription"] == "This is what talk.wav says."


def test_a_failure_and_a_cancel(sdk: Any) -> None:
    failed = sdk.predictions.create(model=MODEL, input={"prompt": "a cat [fail]"})
    failed.wait()
    assert (failed.status, failed.error) == ("failed", "generation failed")
    slow = sdk.predictions.create(model=MODEL, input={"prompt": "a dog [slow]"})
    slow.cancel()
    assert slow.status == "canceled"


def test_the_list_has_the_newest_first(sdk: Any) -> None:
    for number in range(101):
        sdk.predictions.create(model=MODEL, input={"prompt": f"cat {number}"})
    first = sdk.predictions.list()
    assert first.results[0].input == {"prompt": "cat 100"}
    assert len(first.results) == 100
    last = sdk.predictions.list(cursor=first.next)
    assert [made.input for made in last.results] == [{"prompt": "cat 0"}]
    assert last.next is None


@pytest.mark.parametrize(("word", "status"), [("401", 401), ("402", 402), ("reject", 422)])
def test_errors(server: VendorServer, sdk: Any, word: str, status: int) -> None:
    server.provider.script_next(word)
    error = import_module("replicate.exceptions").ReplicateError
    with pytest.raises(error) as raised:
        sdk.predictions.create(model=MODEL, input={"prompt": "a cat"})
    assert (raised.value.status, server.submissions()) == (status, 1)


def test_a_lost_prediction_is_in_the_list(server: VendorServer, sdk: Any) -> None:
    # The SDK sends it once, and leaves the caller without its id.
    server.drop_next()
    with pytest.raises(httpx.ReadError):
        sdk.predictions.create(model=MODEL, input={"prompt": "a cat"})
    (lost,) = sdk.predictions.list().results
    assert (lost.input, server.submissions()) == ({"prompt": "a cat"}, 1)
