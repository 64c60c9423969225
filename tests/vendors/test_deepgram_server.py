"""Deepgram's client against a server that speaks Deepgram's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import BatchRunner, JobStatus
from batchkit.testing.vendors import VendorServer
from telling_kit import Tell


def test_it_conforms() -> None:
    assert conforms("deepgram", transcribes=True) == ()


def test_accepted_and_dropped_is_sent_once() -> None:
    assert dropped_once("deepgram", transcribes=True) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_batch_that_is_killed_once(tmp_path: Path, tell: Tell) -> None:
    tell(killed_once("deepgram", tmp_path, transcribes=True))


def test_files_are_sent_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_text("talk.wav")
    with VendorServer("deepgram") as server:
        runner = BatchRunner(server.client(), storage="memory")
        runner.add_files(file)
        assert runner.run().ok
        (job,) = runner.jobs()
        result = runner.job(job).result
        assert result is not None
        assert result.text == "This is what talk.wav says."
        assert result.transcript is not None
        assert result.transcript.segments[0].text == result.text
        server.check(runner).raise_for_faults()
