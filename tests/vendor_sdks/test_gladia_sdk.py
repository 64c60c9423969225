"""Gladia's own SDK against the server that speaks its language."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

gladia = pytest.importorskip("gladiaio_sdk")

KEY = "made-up"
URL = "https://h/talk.wav?sig=1"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("gladia", api_key=KEY) as started:
        yield started


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    client = gladia.GladiaClient(api_key=KEY, api_url=server.url)
    made = client.prerecorded()
    yield made
    made._http_client.close()  # the SDK has no word for it


def test_a_file_is_uploaded_and_transcribed(server: VendorServer, sdk: Any, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_text("talk")
    found = sdk.transcribe(str(file), {"diarization": False}, interval=0.01)
    spoken = found.result.transcription
    assert (found.status, spoken.full_transcript) == ("done", "This is what talk says.")
    assert [word.word.strip() for word in spoken.utterances[0].words][-1] == "says."
    assert (found.result.metadata.billing_time, found.kind) == (2.4, "pre-recorded")
    assert found.request_params.audio_url.startswith(f"{server.url}/file/")
    assert dict(server.ledger.charges) == {"talk": 1}


def test_the_list_is_asked_for_metadata(sdk: Any) -> None:
    ids = {}
    for tag in ("b-0-1", "b-1-1"):
        body = {"audio_url": URL, "custom_metadata": {"batchkit": tag, "show": 7}}
        ids[tag] = sdk.create(body).id
    (found,) = sdk.list({"custom_metadata": {"batchkit": "b-1-1"}}).items
    assert (found.id, found.custom_metadata) == (ids["b-1-1"], {"batchkit": "b-1-1", "show": 7})
    assert len(sdk.list({"custom_metadata": {"show": 7}}).items) == 2
    assert sdk.list({"custom_metadata": {"batchkit": "b-2-1"}}).items == []


def test_the_list_has_the_newest_first_and_goes_on(sdk: Any) -> None:
    ids = [sdk.create({"audio_url": URL}).id for _ in range(3)]
    page = sdk.list({"limit": 2})
    assert [one.id for one in page.items] == [ids[2], ids[1]]
    rest = sdk.list({"url": page.next})
    assert ([one.id for one in rest.items], rest.next) == ([ids[0]], None)


def test_deleting_is_refused_while_it_runs(server: VendorServer, sdk: Any) -> None:
    error = import_module("gladiaio_sdk.network").HttpError
    job = sdk.create({"audio_url": URL})
    with pytest.raises(error, match="deletable"):
        sdk.delete(job.id)
    sdk.poll(job.id, interval=0.01)
    assert sdk.delete(job.id)
    with pytest.raises(error):
        sdk.get(job.id)


def test_a_failed_transcription(server: VendorServer, sdk: Any) -> None:
    server.provider.script("talk.wav", "fail")
    with pytest.raises(Exception, match="failed with error code: 400"):
        sdk.transcribe(URL, interval=0.01)


@pytest.mark.parametrize("word", ["401", "403", "reject"])
def test_errors(server: VendorServer, sdk: Any, word: str) -> None:
    error = import_module("gladiaio_sdk.network").HttpError
    server.provider.script_next(word)
    with pytest.raises(error) as raised:
        sdk.create({"audio_url": URL})
    assert raised.value.status == (422 if word == "reject" else int(word))


def test_left_alone_it_pays_twice(server: VendorServer, sdk: Any) -> None:
    server.provider.script_next("503_after")
    sdk.create({"audio_url": URL})
    assert server.ledger.charged_twice() == ["talk.wav"]


def test_the_async_client(server: VendorServer) -> None:
    async def work() -> str:
        client = gladia.GladiaClient(api_key=KEY, api_url=server.url)
        made = client.prerecorded_async()
        found = await made.transcribe(URL, interval=0.01)
        await made._http_client._client.aclose()  # the SDK never does
        return str(found.result.transcription.full_transcript)

    assert asyncio.run(work()) == "This is what talk.wav says."
