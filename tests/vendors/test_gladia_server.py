"""Gladia's client against a server that speaks Gladia's language."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchkit import BatchRunner, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer


def test_what_is_said_and_how_long_it_was(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("talk.wav")
    with VendorServer("gladia", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock)
        runner.add_files(tmp_path / "talk.wav")
        assert runner.run().ok
        (job,) = runner.jobs()
        result = runner.job(job).result
        assert result is not None
        assert result.text == "This is what talk.wav says."
        assert result.raw == {"billing_time": 2.4}
        assert result.transcript is not None
        (segment,) = result.transcript.segments
        assert [word.text for word in segment.words] == ["This", "is", "what", "talk.wav", "says."]
        server.check(runner).raise_for_faults()


@pytest.mark.parametrize(("word", "sent"), [("reset", 2), ("500", 2), ("500_after", 1), ("cut", 1)])
def test_what_is_unclear_is_looked_up_and_charged_once(word: str, sent: int) -> None:
    with VendorServer("gladia", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock, delay=0)
        for name in ("first", "second"):
            runner.add(TranscribeVideo(source=f"https://h/{name}"))
        assert runner.run().ok
        server.provider.script_next(word)
        job = runner.add(TranscribeVideo(source="https://h/third"))
        assert runner.run().ok
        assert runner.job(job).attempt == sent
        assert server.ledger.charges["third"] == 1
        server.check(runner).raise_for_faults()
