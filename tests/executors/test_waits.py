"""How long the blocking executors wait: no longer than there is nothing to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batchkit import BatchRunner, JobStatus, PollPolicy, _engine
from batchkit._dispatch import CONTROL_INTERVAL
from batchkit.executors._blocking import Bell
from batchkit.testing import FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]

STOPS = """
import sys
from batchkit import BatchRunner
with BatchRunner.open(sys.argv[1]) as runner:
    runner.stop(now=True)
"""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The seconds of every wait."""
    seen: list[float | None] = []
    real = Bell.wait

    def wait(self: Bell, seconds: float | None) -> None:
        seen.append(seconds)
        real(self, seconds)

    monkeypatch.setattr(Bell, "wait", wait)
    return seen


@pytest.mark.parametrize("name", ["sequential", "threads"])
def test_what_is_due_already_is_not_waited_for(
    name: str,
    make_runner: MakeRunner,
    tmp_path: Path,
    waits: list[float | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every turn is over before its work is done, as the turns of a large batch are.
    monkeypatch.setattr(_engine, "TURN_SECONDS", -1.0)
    runner = make_runner(
        FakeClient(FakeProvider(polls=1)),
        executor=name,
        storage=tmp_path / "batch.db",
        clock=None,
        poll=PollPolicy.fixed(0),
    )
    runner.add_many(["a", "b"])

    assert runner.run().ok
    assert 0.0 in waits
    runner.close()


@pytest.mark.parametrize("name", ["sequential", "threads"])
def test_a_wait_of_hours_still_hears_of_another_process(
    name: str, make_runner: MakeRunner, tmp_path: Path, waits: list[float | None]
) -> None:
    db = tmp_path / "batch.db"
    runner = make_runner(
        FakeClient(FakeProvider(polls=1000)),
        executor=name,
        storage=db,
        clock=None,
        poll=PollPolicy.fixed(3600),
    )
    runner.add("a")
    handle = runner.start()
    until(lambda: runner.counts() == {JobStatus.PROCESSING: 1})

    subprocess.run([sys.executable, "-c", STOPS, str(db)], check=True, timeout=30)

    try:
        assert handle.result(20).counts == {JobStatus.PROCESSING: 1}
    finally:
        handle.stop(now=True)
    assert max(seconds for seconds in waits if seconds is not None) <= CONTROL_INTERVAL
    assert None not in waits
    runner.close()
