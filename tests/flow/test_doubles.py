"""Repeats of submissions that may have been accepted: only where allowed, counted and priced."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from batchkit import BatchRunner, JobResubmitted, JobStatus
from batchkit.storage import MemoryStorage
from batchkit.testing import FakeClient, FakeClock, FakeProvider
from batchkit.ui._report import print_summary

BROKEN = [f"item {n} [drop_after]" for n in range(6)]


class Priced(FakeClient):
    """Knows what a submission costs."""

    def estimate(self, job: object) -> object:
        return 1.5


class Free(FakeClient):
    """Cannot tell what a submission costs."""

    def estimate(self, job: object) -> None:
        raise ConnectionResetError("the price list is away")


def run(client: FakeClient, storage: MemoryStorage, **options: Any) -> BatchRunner:
    runner = BatchRunner(
        client, storage=storage, clock=FakeClock(), delay=0, on_uncertain="resubmit", **options
    )
    runner.add_many(BROKEN)
    for _ in range(3):
        runner.run()
    return runner


def test_repeats_stop_at_the_limit_also_over_several_runs() -> None:
    provider, storage = FakeProvider(), MemoryStorage()
    runner = run(Priced(provider), storage, max_double_cost=4.0)
    assert len(provider.ledger.charged_twice()) == 2
    assert runner.counts() == {JobStatus.COMPLETED: 2, JobStatus.UNCERTAIN: 4}
    repeated = [event for event in runner.events() if isinstance(event, JobResubmitted)]
    assert [event.data["risk"] for event in repeated] == [1.5, 1.5]


def test_a_summary_tells_what_its_run_repeated() -> None:
    runner = BatchRunner(
        Priced(FakeProvider()),
        storage=MemoryStorage(),
        clock=FakeClock(),
        delay=0,
        on_uncertain="resubmit",
    )
    runner.add_many(BROKEN)
    summary = runner.run()
    assert (summary.repeated, summary.repeated_cost) == (6, 9.0)
    told = io.StringIO()
    print_summary(summary, lang="en", file=told)
    assert "may be billed twice: 6 (up to 9.00" in told.getvalue()
    assert runner.run().repeated == 0


def test_without_a_limit_all_are_repeated_and_counted() -> None:
    provider = FakeProvider()
    runner = run(FakeClient(provider), MemoryStorage())
    assert runner.counts() == {JobStatus.COMPLETED: 6}
    repeated = [event for event in runner.events() if isinstance(event, JobResubmitted)]
    assert [event.data["risk"] for event in repeated] == [None] * 6


@pytest.mark.parametrize("client", [FakeClient, Free], ids=["no estimate", "estimate fails"])
def test_an_unknown_cost_is_not_zero(
    client: type[FakeClient], caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider()
    with caplog.at_level(logging.WARNING):
        runner = run(client(provider), MemoryStorage(), max_double_cost=100.0)
    assert provider.ledger.charged_twice() == []
    assert runner.counts() == {JobStatus.UNCERTAIN: 6}
    assert "nobody knows what a repeat costs" in caplog.text


def test_an_attempt_that_was_repeated_stays_uncertain_in_the_history() -> None:
    runner = run(FakeClient(FakeProvider()), MemoryStorage())
    job = next(runner.jobs())
    outcomes = [attempt.outcome for attempt in runner.attempts(job)]
    assert outcomes == ["uncertain", "completed"]
