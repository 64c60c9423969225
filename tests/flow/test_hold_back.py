"""A provider that is away, or wants everybody to slow down: the batch waits, no job is used up."""

from __future__ import annotations

import random
from typing import Any

import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    ClientError,
    Handle,
    Job,
    JobStatus,
    RateLimitedError,
    RemoteState,
    RemoteStatus,
    RetryPolicy,
)
from batchkit._config import Control
from batchkit._dispatch import MOST_ROUNDS_HELD_BACK
from batchkit.clients.base import Capabilities, Finished
from batchkit.testing import FakeClock


class Away:
    """Raises for the first *times* submissions; keeps the time of each."""

    capabilities = Capabilities(inline=True)

    def __init__(self, clock: FakeClock, error: Exception, times: float) -> None:
        self.clock, self.error, self.times = clock, error, times
        self.tries: list[float] = []

    def submit(self, job: Job) -> Accepted:
        self.tries.append(self.clock.monotonic())
        if len(self.tries) <= self.times:
            raise self.error
        return Accepted(handle=Handle(id=str(job.id)))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished())


def runner_for(client: object, clock: FakeClock, **options: Any) -> BatchRunner:
    return BatchRunner(
        client, storage="memory", clock=clock, rng=random.Random(3), delay=0, **options
    )


def held(error: Exception, times: float, **options: Any) -> tuple[BatchRunner, Away]:
    clock = FakeClock()
    client = Away(clock, error, times)
    runner = runner_for(client, clock, **options)
    runner.add_many(f"prompt {n}" for n in range(20))
    return runner, client


REFUSED = ConnectionRefusedError("connection refused")
LIMITED = RateLimitedError("slow down", code="429", retry_after=30.0)


@pytest.mark.parametrize("error", [REFUSED, LIMITED], ids=["refused", "limited"])
def test_a_short_absence_costs_no_job(error: Exception) -> None:
    runner, client = held(error, times=12)
    assert runner.run().ok
    assert len(client.tries) == 12 + 20


@pytest.mark.parametrize("error", [REFUSED, LIMITED], ids=["refused", "limited"])
def test_a_long_absence_pauses_the_batch_and_the_next_run_goes_on(error: Exception) -> None:
    runner, client = held(error, times=float("inf"))
    summary = runner.run()
    assert runner.batch.control is Control.PAUSED
    assert str(error) in (summary.paused or "")
    assert {job.status for job in runner.jobs()} == {JobStatus.PENDING}
    # Three at once, and as many rounds as are allowed, and the one that was too much.
    assert len(client.tries) <= 3 * (MOST_ROUNDS_HELD_BACK + 1)
    client.times = 0
    assert runner.run().ok


def test_rounds_are_further_and_further_apart() -> None:
    policy = RetryPolicy(how_long=lambda retries, uniform: 2.0**retries)
    runner, client = held(REFUSED, times=float("inf"), retry=policy, max_concurrent=1)
    runner.run()
    gaps = [b - a for a, b in zip(client.tries, client.tries[1:], strict=False)]
    assert gaps == pytest.approx([2.0**n for n in range(len(gaps))], rel=1e-3)
    assert len(gaps) == MOST_ROUNDS_HELD_BACK


def test_the_wait_that_a_provider_asks_for_is_kept() -> None:
    runner, client = held(LIMITED, times=1, max_concurrent=1)
    runner.run()
    assert client.tries[1] - client.tries[0] >= 30.0


def test_an_answer_ends_the_count() -> None:
    clock = FakeClock()

    class Moody(Away):
        def submit(self, job: Job) -> Accepted:
            self.times = len(self.tries) + 1 if len(self.tries) % 4 else 0
            return super().submit(job)

    client = Moody(clock, REFUSED, 0)
    runner = runner_for(client, clock, max_concurrent=1)
    runner.add_many(f"prompt {n}" for n in range(20))
    assert runner.run().ok
    assert len(client.tries) > MOST_ROUNDS_HELD_BACK * 5


def test_the_replaceable_decision_is_asked() -> None:
    policy = RetryPolicy(whether=lambda error, retries: False)
    runner, client = held(REFUSED, times=float("inf"), retry=policy)
    runner.run()
    assert {job.status for job in runner.jobs()} == {JobStatus.FAILED}
    assert len(client.tries) == 20


def test_a_function_fails_its_own_job_only() -> None:
    clock = FakeClock()

    def work(request: object) -> str:
        if "prompt 3" in str(request):
            raise ConnectionRefusedError("the host of this one is away")
        return "done"

    runner = runner_for(work, clock)
    runner.add_many(f"prompt {n}" for n in range(6))
    summary = runner.run()
    assert summary.progress.counts == {JobStatus.COMPLETED: 5, JobStatus.FAILED: 1}


def test_an_answer_of_prepare_that_may_pass_is_tried_again() -> None:
    clock = FakeClock()

    class Uploads(Away):
        uploads = 0

        def prepare(self, job: Job) -> dict[str, object]:
            self.uploads += 1
            if self.uploads == 1:
                raise ClientError("the provider answers 503", code="503", retryable=True)
            return {}

    client = Uploads(clock, REFUSED, 0)
    runner = runner_for(client, clock)
    runner.add("one")
    assert runner.run().ok
    assert client.uploads == 2
