"""Groq's own SDK against the server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

groq = pytest.importorskip("groq")

KEY = "gsk-made-up"
MODEL = "whisper-large-v3-turbo"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("groq", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    with groq.Groq(api_key=KEY, base_url=server.url, max_retries=0) as made:
        yield made


def test_a_file_and_an_address(sdk: Any) -> None:
    sent = sdk.audio.transcriptions.create(model=MODEL, file=("a.wav", b"talk"))
    assert sent.text == "This is what talk says."
    fetched = sdk.audio.transcriptions.create(model=MODEL, url="https://h/talk.wav?sig=1")
    assert fetched.text == "This is what talk.wav says."


def test_verbose_json(sdk: Any) -> None:
    found = sdk.audio.transcriptions.create(
        model=MODEL,
        file=("a.wav", b"talk"),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert len(found.words) == 5
    assert len(found.segments) == 1


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("401", "AuthenticationError"),
        ("429", "RateLimitError"),
        ("503", "InternalServerError"),
        ("reject", "UnprocessableEntityError"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, word: str, name: str) -> None:
    server.provider.script_next(word)
    with pytest.raises(getattr(groq, name)):
        sdk.audio.transcriptions.create(model=MODEL, file=("a.wav", b"talk"))


def test_left_alone_it_pays_twice(server: VendorServer) -> None:
    server.drop_next()
    with groq.Groq(api_key=KEY, base_url=server.url) as sdk:
        sdk.audio.transcriptions.create(model=MODEL, file=("a.wav", b"talk"))
    assert server.ledger.charged_twice() == ["talk"]
