"""What a person decides while a run gets ready counts, and nothing is paid for twice by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from batchkit import BatchRunner, Job, JobStatus
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


class Prepares(FakeClient):
    """A client in whose first free step a person acts."""

    act: Callable[[Job], object] | None = None

    def prepare(self, job: Job) -> Mapping[str, Any]:
        act, self.act = self.act, None
        if act is not None:
            act(job)
        return {}


@pytest.mark.parametrize("way", ["prioritize", "hold and release"])
def test_a_decision_while_a_job_is_prepared_submits_it_once(
    way: str, executor: str, make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()
    client = Prepares(provider)
    runner = make_runner(client, executor=executor, storage=storage)

    def act(job: Job) -> None:
        if way == "prioritize":
            runner.prioritize(job, 7)
        else:
            runner.hold(job)
            runner.release(job)

    client.act = act
    runner.add("a")

    assert runner.run().counts == {JobStatus.COMPLETED: 1}
    assert provider.ledger.submissions == {"a": 1}


def test_a_second_stop_does_not_forget_the_pause(make_runner: MakeRunner, storage: Any) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), storage=storage)
    runner.add("a")
    runner.pause()
    runner.stop()
    runner.stop(now=True)

    assert runner.run().exit_code == 3
    assert provider.ledger.submissions == {}


def test_a_wish_to_cancel_is_obeyed_before_anything_is_paid(
    make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), storage=storage)
    job = runner.add("a")
    runner.storage.request_cancel(job.id, 1.0)

    assert runner.run().counts == {JobStatus.CANCELED: 1}
    assert provider.ledger.submissions == {}
