"""Submissions that are still on their way, or that never left: nobody is asked, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_kit import HeldClock
from late_kit import Late, missed, pass_time

from batchkit import Accepted, BatchRunner, Handle, Job, JobStatus, PollPolicy
from batchkit.executors import ThreadsExecutor
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]
NONSENSE = "an answer that means nothing"


class Keyed(Late):
    """A late client whose provider knows submit keys."""

    def __init__(self, answer: object, **capabilities: Any) -> None:
        super().__init__(answer, **capabilities)
        self.keys: list[str] = []

    def submit(self, job: Job) -> Any:
        self.keys.append(job.submit_key)
        return super().submit(job)


class Finds(Keyed):
    """One that can also be asked."""

    def __init__(self, answer: object) -> None:
        super().__init__(answer)
        self.asked: list[str] = []

    def find(self, job: Job, submit_key: str) -> Handle:
        self.asked.append(submit_key)
        return Handle(id="found")


@pytest.fixture
def make_late_runner(make_runner: MakeRunner) -> Iterator[MakeRunner]:
    made: list[tuple[BatchRunner, Late]] = []

    def make(client: Late, **options: Any) -> BatchRunner:
        runner = make_runner(client, clock=HeldClock(), poll=PollPolicy.fixed(0), **options)
        made.append((runner, client))
        return runner

    yield make
    for runner, client in made:
        # A test that fails leaves no run behind.
        client.leave.set()
        runner.stop(now=True)


def test_nobody_is_asked_about_a_submission_that_is_on_its_way(
    make_late_runner: MakeRunner,
) -> None:
    client = Finds(NONSENSE)
    runner = make_late_runner(client)
    job, handle = missed(client, runner)
    until(lambda: not runner.active())
    assert client.asked == [], "it may arrive after the look-up"

    client.leave.set()

    assert handle.result(20).ok
    assert client.asked == client.keys
    assert client.polled == ["found"]
    assert runner.job(job).attempt == 1


def test_a_submission_that_is_on_its_way_is_not_replayed(make_late_runner: MakeRunner) -> None:
    client = Keyed(NONSENSE, idempotency="replay")
    runner = make_late_runner(client)
    _, handle = missed(client, runner)
    until(lambda: not runner.active())
    assert len(client.keys) == 1, "two of them at once may both be accepted"

    client.leave.set()

    assert handle.result(20).ok
    assert (len(client.keys), len(set(client.keys))) == (2, 1)


def test_what_waits_for_a_thread_until_its_time_is_over_is_not_sent(
    make_late_runner: MakeRunner,
) -> None:
    client = Keyed(Accepted(handle=Handle(id="late")))
    runner = make_late_runner(client, executor=ThreadsExecutor(threads=1), max_concurrent=2)
    first, second = runner.add("a"), runner.add("b")
    handle = runner.start()
    assert client.entered.wait(10)
    engine = runner._engine
    assert engine is not None
    until(lambda: engine.calls_in_flight == 2 and len(engine.scheduler._heap) == 2)

    pass_time(runner, 301.0)
    until(lambda: runner.job(first).status is JobStatus.UNCERTAIN)
    until(lambda: runner.job(second).status is JobStatus.PENDING)
    error = runner.job(second).error
    assert error is not None
    assert "it never left" in error.message
    client.leave.set()
    until(lambda: runner.job(first).done)
    assert len(client.keys) == 1, "the second was taken back"
    pass_time(runner, 60.0)

    assert handle.result(20).ok
    assert (len(client.keys), len(set(client.keys))) == (2, 2)
