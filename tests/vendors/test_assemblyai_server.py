"""AssemblyAI's client against a server that speaks AssemblyAI's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import BatchRunner, JobStatus
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer
from telling_kit import Tell


def test_it_conforms(tmp_path: Path) -> None:
    assert conforms("assemblyai", transcribes=True, files=str(tmp_path)) == ()


def test_an_upload_finds_its_submission_again(tmp_path: Path) -> None:
    found = dropped_once("assemblyai", transcribes=True, files=str(tmp_path))
    assert found == (JobStatus.COMPLETED, 1)


def test_an_address_does_not() -> None:
    assert dropped_once("assemblyai", transcribes=True) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sent", ["addresses", "files"])
def test_a_batch_that_is_killed_once(sent: str, tmp_path: Path, tell: Tell) -> None:
    files = str(tmp_path) if sent == "files" else None
    tell(killed_once("assemblyai", tmp_path, transcribes=True, files=files))


def test_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("talk.wav")
    with VendorServer("assemblyai", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock)
        runner.add_files(tmp_path / "talk.wav")
        assert runner.run().ok
        (job,) = runner.jobs()
        result = runner.job(job).result
        assert result is not None
        assert result.text == "This is what talk.wav says."
        assert result.transcript is not None
        (segment,) = result.transcript.segments
        assert (segment.start, segment.end, segment.words[1].start) == (0.0, 1.96, 0.4)
        server.check(runner).raise_for_faults()
