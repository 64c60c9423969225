"""AssemblyAI's own SDK against the server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

assemblyai = pytest.importorskip("assemblyai")

KEY = "made-up"
URL = "https://h/talk.wav?sig=1"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("assemblyai", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    settings = assemblyai.Settings(api_key=KEY, base_url=server.url, polling_interval=0.01)
    client = assemblyai.Client(settings=settings)
    yield assemblyai.Transcriber(client=client)
    client.http_client.close()  # the SDK never does


def test_a_file_is_uploaded_and_transcribed(server: VendorServer, sdk: Any, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_text("talk")
    found = sdk.transcribe(str(file))
    assert found.status == assemblyai.TranscriptStatus.completed
    assert found.text == "This is what talk says."
    assert [word.text for word in found.words] == ["This", "is", "what", "talk", "says."]
    assert (found.words[1].start, found.words[1].end) == (400, 760)
    assert found.audio_duration == 2
    assert found.audio_url.startswith(f"{server.url}/upload/")
    assert dict(server.ledger.charges) == {"talk": 1}


def test_an_address_and_its_subtitles(sdk: Any) -> None:
    found = sdk.transcribe(URL)
    assert found.text == "This is what talk.wav says."
    assert "This is what talk.wav says." in found.export_subtitles_srt()


def test_the_list_has_the_newest_first_and_goes_on(sdk: Any) -> None:
    ids = [sdk.submit(f"https://h/{name}").id for name in "abc"]
    params = assemblyai.ListTranscriptParameters(limit=2)
    page = sdk.list_transcripts(params)
    assert [one.id for one in page.transcripts] == [ids[2], ids[1]]
    assert page.transcripts[0].audio_url == "https://h/c"
    params.before_id = page.page_details.before_id_of_prev_url
    rest = sdk.list_transcripts(params)
    assert [one.id for one in rest.transcripts] == [ids[0]]
    assert rest.page_details.before_id_of_prev_url is None


def test_a_failed_transcription(sdk: Any) -> None:
    found = sdk.transcribe("https://h/talk [fail]")
    assert found.status == assemblyai.TranscriptStatus.error
    assert found.error == "generation failed"


@pytest.mark.parametrize(("word", "told"), [("reject", "not allowed"), ("500", "answers 500")])
def test_errors(server: VendorServer, sdk: Any, word: str, told: str) -> None:
    server.provider.script_next(word)
    with pytest.raises(assemblyai.TranscriptError, match=told):
        sdk.submit(URL)


def test_one_blip_of_a_poll_loses_the_job(server: VendorServer, sdk: Any) -> None:
    server.provider.script("talk.wav", "poll:503")
    with pytest.raises(assemblyai.TranscriptError, match="failed to retrieve"):
        sdk.transcribe(URL)
    assert dict(server.ledger.charges) == {"talk.wav": 1}
