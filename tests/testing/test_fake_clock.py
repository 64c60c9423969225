"""The fake clock runs an hour in no time, and never back."""

from __future__ import annotations

import time

from batchkit import BatchRunner
from batchkit.storage import MemoryStorage
from batchkit.testing import FakeClient, FakeClock, FakeProvider


def test_both_times_move_together_and_only_when_told() -> None:
    clock = FakeClock(now=100.0, ticks=5.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 5.0)
    assert clock.time() == 100.0

    clock.advance(60)

    assert 160.0 <= clock.time() < 160.001
    assert 65.0 <= clock.monotonic() < 65.001


def test_a_skip_reaches_what_is_due() -> None:
    clock = FakeClock()
    # A tenth has no exact float; ten sums of it must still reach the second.
    due = clock.monotonic() + 1.0
    for _ in range(10):
        assert clock.skip(0.1)

    assert clock.monotonic() >= due


def test_nothing_due_is_nothing_to_skip() -> None:
    clock = FakeClock()
    before = clock.monotonic()

    assert not clock.skip(None)
    assert clock.monotonic() == before


def test_a_skip_of_nothing_still_moves_on() -> None:
    clock = FakeClock()
    before = clock.monotonic()

    assert clock.skip(0.0)
    assert clock.monotonic() > before, "a wait of nothing must not be repeated for ever"


def test_clocks_are_objects_of_their_own() -> None:
    assert FakeClock() != FakeClock()


def test_a_day_of_polling_takes_seconds() -> None:
    clock = FakeClock()
    runner = BatchRunner(
        FakeClient(FakeProvider(polls=5000)),
        storage=MemoryStorage(),
        clock=clock,
        delay=0,
        job_timeout=90_000,
    )
    runner.add("cat")
    begin, started = time.monotonic(), clock.time()

    assert runner.run().ok
    assert clock.time() - started > 70_000
    assert time.monotonic() - begin < 20
