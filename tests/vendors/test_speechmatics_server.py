"""Speechmatics' client against a server that speaks Speechmatics' language."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchkit import BatchRunner, JobStatus, JobSubmitted, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer


def test_words_and_marks(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("talk.wav")
    with VendorServer("speechmatics", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock)
        runner.add_files(tmp_path / "talk.wav")
        assert runner.run().ok
        (job,) = runner.jobs()
        result = runner.job(job).result
        assert result is not None
        assert result.text == "This is what talk.wav says."
        assert result.transcript is not None
        assert (result.transcript.language, result.transcript.duration) == ("en", 2.4)
        server.check(runner).raise_for_faults()


@pytest.mark.parametrize(
    ("word", "sent", "others"),
    # The last one needs more than one page of the list.
    [("500", 2, 2), ("500_after", 1, 2), ("cut", 1, 2), ("reset", 2, 120)],
)
def test_what_is_unclear_is_looked_up_and_charged_once(word: str, sent: int, others: int) -> None:
    with VendorServer("speechmatics", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock, delay=0)
        for number in range(others):
            runner.add(TranscribeVideo(source=f"https://h/{number}"))
        assert runner.run().ok
        server.provider.script_next(word)
        job = runner.add(TranscribeVideo(source="https://h/last"))
        assert runner.run().ok
        assert runner.job(job).attempt == sent
        assert server.ledger.charges["last"] == 1
        server.check(runner).raise_for_faults()


def test_cancelling_ends_a_running_job() -> None:
    with VendorServer("speechmatics", polls=1000, clock=(clock := FakeClock())) as server:
        runner = BatchRunner(server.client(), storage="memory", clock=clock, delay=0)
        job = runner.add(TranscribeVideo(source="https://h/long"))
        runner.on(JobSubmitted)(lambda _: runner.cancel(job))
        runner.run()
        assert runner.job(job).status is JobStatus.CANCELED
        assert [bill.state for bill in server.ledger.bills.values()] == ["canceled"]
