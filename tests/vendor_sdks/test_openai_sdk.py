"""OpenAI's own SDK against the server that speaks its audio dialect: is it the real language?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

openai = pytest.importorskip("openai")

KEY = "sk-made-up"
FILE = ("talk.wav", b"talk")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("openai-audio", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=0) as made:
        yield made


def test_json(sdk: Any) -> None:
    found = sdk.audio.transcriptions.create(model="gpt-transcribe", file=FILE)
    assert found.text == "This is what talk says."
    assert found.usage.type == "duration"


def test_verbose_json(sdk: Any) -> None:
    found = sdk.audio.transcriptions.create(
        model="whisper-1",
        file=FILE,
        language="pt",
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    assert (found.text, found.language) == ("This is what talk says.", "pt")
    assert float(found.duration) == pytest.approx(2.4)
    assert [word.word for word in found.words] == ["This", "is", "what", "talk", "says."]
    assert [(part.start, part.end) for part in found.segments] == [(0.0, 1.96)]


def test_diarized_json(sdk: Any) -> None:
    found = sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=FILE,
        response_format="diarized_json",
        chunking_strategy="auto",
    )
    assert [(part.speaker, part.start) for part in found.segments] == [("A", 0.0)]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("401", "AuthenticationError"),
        ("403", "PermissionDeniedError"),
        ("429", "RateLimitError"),
        ("500", "InternalServerError"),
        ("reject", "UnprocessableEntityError"),
        ("reset", "APIConnectionError"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, word: str, name: str) -> None:
    server.provider.script_next(word)
    with pytest.raises(getattr(openai, name)):
        sdk.audio.transcriptions.create(model="whisper-1", file=FILE)


def test_an_error_is_read_into_its_parts(server: VendorServer, sdk: Any) -> None:
    server.provider.script_next("429")
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert (raised.value.code, raised.value.type) == (
        "rate_limit_exceeded",
        "invalid_request_error",
    )
    with pytest.raises(openai.BadRequestError, match="not compatible"):
        sdk.audio.transcriptions.create(
            model="gpt-transcribe", file=FILE, response_format="verbose_json"
        )


def test_left_alone_it_pays_twice(server: VendorServer) -> None:
    # Why this library speaks HTTP itself: the SDK sends a lost submission again.
    server.drop_next()
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1") as sdk:
        sdk.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert server.ledger.charged_twice() == ["talk"]
