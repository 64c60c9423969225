"""Speechmatics' own SDK against the server that speaks its language."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batchkit.testing.vendors import VendorServer

speechmatics = pytest.importorskip("speechmatics.batch")

KEY = "made-up"
SOON = {"polling_interval": 0.02, "min_polling_interval": 0.01}


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer("speechmatics", api_key=KEY) as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "talk.wav"
    made.write_text("talk")
    return str(made)


@pytest.fixture
def sdk(server: VendorServer) -> Iterator[Any]:
    with speechmatics.Client(api_key=KEY, url=f"{server.url}/v2") as client:
        yield client


def config_of(**fields: Any) -> Any:
    return speechmatics.JobConfig(
        type=speechmatics.JobType.TRANSCRIPTION,
        transcription_config=speechmatics.TranscriptionConfig(language="en"),
        **fields,
    )


def test_a_file(server: VendorServer, sdk: Any, file: str) -> None:
    found = sdk.transcribe(file, **SOON)
    assert found.transcript_text == "This is what talk says."
    assert [one.type for one in found.results] == ["word"] * 5 + ["punctuation"]
    assert (found.job.duration, found.metadata.type) == (2.4, "transcription")
    assert dict(server.ledger.charges) == {"talk": 1}


def test_an_address_and_a_reference(sdk: Any) -> None:
    models = import_module("speechmatics.batch._models")  # which exports neither of them
    fetch = models.FetchData(url="https://h/talk.wav?sig=1")
    tracking = models.TrackingConfig(reference="ours-0-1")
    job = sdk.submit_job(None, config=config_of(fetch_data=fetch, tracking=tracking))
    assert sdk.wait_for_completion(job.id, **SOON).transcript_text == "This is what talk.wav says."
    text = sdk.get_transcript(job.id, format_type=speechmatics.FormatType.TXT)
    assert text == "This is what talk.wav says."
    (listed,) = sdk.list_jobs()
    assert (listed.id, listed.config.tracking.reference) == (job.id, "ours-0-1")


def test_the_list_has_the_newest_first_and_goes_on(sdk: Any, file: str) -> None:
    ids = [sdk.submit_job(file).id for _ in range(3)]
    listed = sdk.list_jobs(limit=2)
    assert [one.id for one in listed] == [ids[2], ids[1]]
    # Jobs of the same millisecond are not listed before it.
    older = sdk.list_jobs(created_before=listed[-1].created_at)
    assert {one.id for one in older} <= {ids[0]}


def test_a_transcript_that_is_not_ready(sdk: Any, file: str) -> None:
    job = sdk.submit_job(file)
    with pytest.raises(speechmatics.TranscriptNotReadyError):
        sdk.get_transcript(job.id)


def test_deleting_needs_force_while_it_runs(server: VendorServer, sdk: Any, file: str) -> None:
    job = sdk.submit_job(file)
    with pytest.raises(speechmatics.JobError, match="still running"):
        sdk.delete_job(job.id)
    sdk.delete_job(job.id, force=True)
    assert sdk.get_job_info(job.id).status == speechmatics.JobStatus.DELETED
    assert [bill.state for bill in server.ledger.bills.values()] == ["canceled"]


def test_a_rejected_job(server: VendorServer, sdk: Any, file: str) -> None:
    server.provider.script("talk", "fail")
    with pytest.raises(speechmatics.JobError, match="rejected"):
        sdk.transcribe(file, **SOON)
    (listed,) = sdk.list_jobs()
    assert [error.message for error in listed.errors] == ["generation failed"]


@pytest.mark.parametrize(
    ("word", "name", "told"),
    [
        ("401", "AuthenticationError", "Invalid API key"),
        ("403", "AuthenticationError", "forbidden"),
        ("reject", "BatchError", "422"),
        ("500", "BatchError", "500"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, file: str, word: str, name: str, told: str) -> None:
    server.provider.script_next(word)
    with pytest.raises(getattr(speechmatics, name), match=told):
        sdk.submit_job(file)


def test_five_blips_of_polls_are_survived(server: VendorServer, sdk: Any, file: str) -> None:
    server.provider.script("talk", "poll:503*5")
    assert sdk.transcribe(file, **SOON).transcript_text == "This is what talk says."


def test_a_lost_answer_loses_the_job(server: VendorServer, sdk: Any, file: str) -> None:
    server.drop_next()
    with pytest.raises(speechmatics.BatchError):
        sdk.transcribe(file, **SOON)
    assert dict(server.ledger.charges) == {"talk": 1}


def test_the_async_client(server: VendorServer, file: str) -> None:
    async def work(client: Any) -> str:
        async with client:
            return str((await client.transcribe(file, **SOON)).transcript_text)

    client = speechmatics.AsyncClient(api_key=KEY, url=f"{server.url}/v2")
    assert asyncio.run(work(client)) == "This is what talk says."
