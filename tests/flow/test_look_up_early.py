"""Absence proves nothing too early; an end without a result is no success; people are evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_kit import dies_at

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobStatus,
    OutcomeUnknownError,
    RemoteState,
    RemoteStatus,
)
from batchkit.storage import MemoryStorage
from batchkit.testing import Crash, FakeClient, FakeClock, FakeProvider

MakeRunner = Callable[..., BatchRunner]


class Slow:
    """Accepts a submission long after the connection has broken, and lists it later still."""

    capabilities = Capabilities(inline=True, find_after_seconds=60.0)

    def __init__(self, clock: FakeClock, listed_after: float) -> None:
        self.clock, self.listed_after = clock, listed_after
        self.sent: list[float] = []
        self.asked: list[float] = []

    def submit(self, job: Job) -> Accepted:
        self.sent.append(self.clock.time())
        raise OutcomeUnknownError("the connection broke")

    def find(self, job: Job, submit_key: str) -> Handle | None:
        self.asked.append(self.clock.time())
        listed = self.clock.time() >= self.sent[-1] + self.listed_after
        return Handle(id="r1") if listed else None

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(text="done"))


@pytest.mark.parametrize("listed_after", [5.0, 59.0])
def test_a_submission_that_is_listed_late_is_found_and_not_repeated(
    make_runner: MakeRunner, clock: FakeClock, listed_after: float
) -> None:
    client = Slow(clock, listed_after)
    runner = make_runner(client)
    job = runner.add("a cat")
    runner.run()
    assert runner.job(job).status is JobStatus.COMPLETED
    assert len(client.sent) == 1


def test_absence_is_proof_once_the_time_is_over(make_runner: MakeRunner, clock: FakeClock) -> None:
    client = Slow(clock, float("inf"))
    runner = make_runner(client, max_retries=1)
    runner.add("a cat")
    runner.run()
    assert len(client.sent) == 2
    assert client.sent[1] - client.sent[0] >= 60.0


class Patient(Slow):
    """Breaks the connection only after a long silence."""

    def submit(self, job: Job) -> Accepted:
        self.sent.append(self.clock.time())
        self.clock.advance(290.0)
        raise OutcomeUnknownError("the connection broke")


def test_the_time_counts_from_the_end_of_the_submission(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Patient(clock, 340.0)
    runner = make_runner(client)
    job = runner.add("a cat")
    runner.run()
    assert runner.job(job).status is JobStatus.COMPLETED
    assert len(client.sent) == 1


@pytest.mark.parametrize(("later", "least"), [(1.0, 61.0), (50.0, 110.0), (4000.0, 4000.0)])
def test_of_a_process_that_died_nobody_knows_when(
    make_runner: MakeRunner, clock: FakeClock, later: float, least: float
) -> None:
    client, storage = Slow(clock, float("inf")), MemoryStorage()
    first = make_runner(client, storage=storage, hook=dies_at("submit:after"))
    first.add("a cat")
    with pytest.raises(Crash):
        first.run()
    clock.advance(later)
    second = make_runner(client, storage=storage, max_retries=1)
    second.run()
    # It let go at the latest when the next run began, or when its own time was over.
    assert client.sent[1] - client.sent[0] >= least
    assert client.sent[1] - client.sent[0] < least + 30.0


def test_a_cancel_that_ends_the_wait_of_a_look_up_proves_nothing(make_runner: MakeRunner) -> None:
    client = Slow(FakeClock(), float("inf"))
    client.capabilities = Capabilities(inline=True, find_after_seconds=1.0)
    runner = make_runner(client, max_retries=1, clock=None, hook=dies_at("submit:after"))
    job = runner.add("a cat")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None
    find, statuses = client.find, []

    def woken(job: Job, submit_key: str) -> Handle | None:
        runner.cancel(job)
        statuses.append(runner.job(job).status)
        return find(job, submit_key)

    client.find = woken  # type: ignore[method-assign]
    runner.run()
    # Asked at once, after the cancel, and once more in its own time.
    assert len(client.asked) > 2
    assert statuses[:2] == [JobStatus.SUBMITTING] * 2
    assert runner.job(job).status is not JobStatus.COMPLETED
    assert len(client.sent) == 1


def test_a_webhook_shortens_no_look_up(make_runner: MakeRunner, clock: FakeClock) -> None:
    client = Slow(clock, float("inf"))
    runner = make_runner(client, max_retries=1)
    job = runner.add("a cat")
    find = client.find

    def woken(job: Job, submit_key: str) -> Handle | None:
        assert not runner.wake(job)
        return find(job, submit_key)

    client.find = woken  # type: ignore[method-assign]
    runner.run()
    assert runner.job(job).attempt == 2
    assert client.sent[1] - client.sent[0] >= 60.0


class Forgetful(Slow):
    """Deletes its jobs after an hour; at first it cannot be asked."""

    capabilities = Capabilities(inline=True, find_until_seconds=3600.0)

    def find(self, job: Job, submit_key: str) -> Handle | None:
        if not self.asked:
            self.asked.append(self.clock.time())
            raise OSError("out of order")
        return super().find(job, submit_key)


@pytest.mark.parametrize(("later", "sent"), [(1800.0, 2), (7200.0, 1)])
def test_what_the_provider_has_deleted_proves_nothing(
    make_runner: MakeRunner, clock: FakeClock, later: float, sent: int
) -> None:
    client = Forgetful(clock, float("inf"))
    runner = make_runner(client, max_retries=1)
    runner.add("a cat")
    runner.run()
    clock.advance(later)
    runner.run()
    assert len(client.sent) == sent
    assert len(client.asked) >= 2


class Empty(FakeClient):
    """Says "succeeded" without a result, so often; then names it."""

    times = 0
    cost: float | None = 1.0

    def poll(self, handle: Handle) -> RemoteStatus:
        found = super().poll(handle)
        if found.state is RemoteState.SUCCEEDED and self.times:
            self.times -= 1
            return RemoteStatus(state=found.state, finished=Finished(), cost=self.cost)
        return found


@pytest.mark.parametrize("cost", [1.0, None])
@pytest.mark.parametrize(("times", "status"), [(2, JobStatus.COMPLETED), (9, JobStatus.FAILED)])
def test_succeeded_without_a_result_is_asked_again_and_is_no_success(
    make_runner: MakeRunner, tmp_path: Path, times: int, status: JobStatus, cost: float | None
) -> None:
    provider = FakeProvider()
    client = Empty(provider)
    client.times, client.cost = times, cost
    runner = make_runner(client, output=str(tmp_path / "out"))
    job = runner.add("a cat")
    runner.run()
    found = runner.job(job)
    assert found.status is status
    if status is JobStatus.FAILED:
        assert found.error is not None
        assert (found.error.code, found.cost) == ("empty_output", cost)
        client.times = 0
        assert runner.reattach(job)
        runner.run()
        assert runner.job(job).status is JobStatus.COMPLETED
    assert provider.ledger.charges["a cat"] == 1


def test_what_a_person_found_is_in_the_history(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a cat [drop_after]")
    runner.run()
    runner.resolve(job, handle="remote-1")
    runner.run()
    (attempt,) = runner.attempts(job)
    assert attempt.handle == Handle(id="remote-1")
    assert attempt.outcome == "completed"
    events: Any = [event.kind for event in runner.events()]
    assert "submitted" in events
