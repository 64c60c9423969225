"""Google's own SDK against the server that speaks the language of its Interactions API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

genai = pytest.importorskip("google.genai")

KEY = "made-up"
OMNI, TRANSCRIBE = "gemini-omni-1.2-flash", "gemini-3.5-transcribe"
VIDEO = {"type": "video", "delivery": "uri"}


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("google", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    with genai.Client(api_key=KEY, http_options={"base_url": server.url}) as client:
        yield client


def finished(sdk: Any, made: Any) -> Any:
    while made.status in ("queued", "in_progress"):
        time.sleep(0.01)
        made = sdk.interactions.get(id=made.id)
    return made


def test_a_video_is_generated_and_downloaded(sdk: Any) -> None:
    started = sdk.interactions.create(
        model=OMNI, input="a cat", background=True, response_format=VIDEO
    )
    assert started.status in ("queued", "in_progress")
    made = finished(sdk, started)
    assert (made.status, made.output_video.mime_type) == ("completed", "video/mp4")
    # It finds the name by itself in https addresses only.
    name = f"files/{made.output_video.uri.rsplit('/', 1)[-1]}"
    assert sdk.files.download(file=name).startswith(b"video of a cat")


def test_a_file_is_uploaded_and_transcribed(sdk: Any, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_text("talk.wav")
    file = sdk.files.upload(file=str(path))
    assert file.state.name == "ACTIVE"
    assert sdk.files.get(name=file.name).uri == file.uri
    config = {"mode": {"type": "verbatim", "timestamp_granularities": ["word"]}}
    made = sdk.interactions.create(
        model=TRANSCRIBE,
        input=[{"type": "audio", "uri": file.uri, "mime_type": "audio/wav"}],
        generation_config={"transcription_config": config},
    )
    assert made.output_text == "This is what talk.wav says."
    words = made.steps[-1].content[0].annotations
    assert [word.text for word in words][:2] == ["This", "is"]
    assert words[1].start_offset == "0.4s"


def test_a_failure(sdk: Any) -> None:
    started = sdk.interactions.create(
        model=OMNI, input="a cat [fail]", background=True, response_format=VIDEO
    )
    made = finished(sdk, started)
    assert made.status == "failed"
    assert [error.message for error in made.errors] == ["generation failed"]


def test_a_cancel(sdk: Any) -> None:
    started = sdk.interactions.create(
        model=OMNI, input="a cat [slow]", background=True, response_format=VIDEO
    )
    assert sdk.interactions.cancel(id=started.id).status == "cancelled"


@pytest.mark.parametrize(
    ("word", "name", "message"),
    [
        ("401", "AuthenticationError", "answers 401"),
        ("403", "PermissionDeniedError", "answers 403"),
        ("reject", "UnprocessableEntityError", "not allowed"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, word: str, name: str, message: str) -> None:
    server.provider.script_next(word)
    kinds = import_module("google.genai._gaos.lib.compat_errors")
    with pytest.raises(getattr(kinds, name), match=message):
        sdk.interactions.create(model=OMNI, input="a cat", background=True)
    assert server.submissions() == 1


def test_left_alone_it_pays_twice(server: VendorServer, sdk: Any) -> None:
    server.provider.script_next("503_after")
    sdk.interactions.create(model=OMNI, input="a cat", background=True, response_format=VIDEO)
    assert server.ledger.charged_twice() == ["a cat"]
