"""Deepgram's own SDK against the server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest

from batchkit.testing.vendors import VendorServer

deepgram = pytest.importorskip("deepgram")

KEY = "dg-made-up"
ONCE = {"max_retries": 0}

# It uses parts of websockets that are deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("deepgram", api_key=KEY) as started:
        yield started


@pytest.fixture
def media(server: VendorServer) -> Iterator[Any]:
    """What the SDK calls its pre-recorded speech."""
    kind = import_module("deepgram.environment").DeepgramClientEnvironment
    names = dict.fromkeys(("base", "production", "agent", "agent_rest"), server.url)
    with httpx.Client() as http:  # the SDK closes none of its own
        options = {"environment": kind(**names), "httpx_client": http}
        yield deepgram.DeepgramClient(api_key=KEY, **options).listen.v1.media


def test_a_file(media: Any) -> None:
    found = media.transcribe_file(request=b"talk", model="nova-3", punctuate=True)
    (channel,) = found.results.channels
    assert channel.alternatives[0].transcript == "This is what talk says."
    assert [word.punctuated_word for word in channel.alternatives[0].words][-1] == "says."
    assert found.metadata.duration == pytest.approx(2.4)


def test_an_address_with_utterances_and_a_language_to_find(media: Any) -> None:
    found = media.transcribe_url(
        url="https://h/talk.wav?sig=1", model="nova-3", utterances=True, detect_language=True
    )
    (spoken,) = found.results.utterances
    assert (spoken.transcript, spoken.speaker) == ("This is what talk.wav says.", 0)
    assert found.results.channels[0].detected_language == "en"


def test_with_a_callback_there_is_no_transcript(media: Any) -> None:
    found = media.transcribe_file(request=b"talk", callback="https://h/")
    assert found.request_id
    assert not hasattr(found, "results")


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("401", 401, "INVALID_AUTH"),
        ("402", 402, "ASR_PAYMENT_REQUIRED"),
        ("429", 429, "TOO_MANY_REQUESTS"),
        ("500", 500, "500"),
    ],
)
def test_errors(server: VendorServer, media: Any, word: str, status: int, code: str) -> None:
    server.provider.script_next(word)
    error = import_module("deepgram.core.api_error").ApiError
    with pytest.raises(error) as raised:
        media.transcribe_file(request=b"talk", request_options=ONCE)
    assert (raised.value.status_code, raised.value.body["err_code"]) == (status, code)


def test_left_alone_it_pays_twice(server: VendorServer, media: Any) -> None:
    server.provider.script_next("503_after")
    media.transcribe_file(request=b"talk")
    assert server.ledger.charged_twice() == ["talk"]
