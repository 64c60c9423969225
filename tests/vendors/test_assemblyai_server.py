"""AssemblyAI's client against a server that speaks AssemblyAI's language."""

from __future__ import annotations

from pathlib import Path

from batchkit import BatchRunner
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer


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
