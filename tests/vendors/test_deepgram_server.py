"""Deepgram's client against a server that speaks Deepgram's language."""

from __future__ import annotations

from pathlib import Path

from batchkit import BatchRunner
from batchkit.testing.vendors import VendorServer


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
