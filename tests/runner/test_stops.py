"""A stop counts whenever it comes, and whoever says it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from manual_kit import Manual

from batchkit import BatchHandle, BatchRunner, JobStatus, PollPolicy
from batchkit.testing import FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]
#: Only a look at the storage can end a wait before its time.
SLOW: dict[str, Any] = {"poll": PollPolicy.fixed(600), "clock": None}


@pytest.fixture
def client() -> Iterator[Manual]:
    made = Manual()
    yield made
    made.finish.set()


@pytest.fixture
def stopped_at_the_end() -> Iterator[Callable[[BatchHandle], None]]:
    """A test that fails leaves no run behind."""
    handles: list[BatchHandle] = []
    yield handles.append
    for handle in handles:
        handle.stop(now=True)


@pytest.mark.parametrize("now", [False, True])
def test_a_stop_right_after_the_start_is_of_this_run(
    now: bool, executor: str, make_runner: MakeRunner, storage: Any
) -> None:
    provider, stopped, made = FakeProvider(), threading.Event(), list[FakeClient]()

    def make() -> FakeClient:
        if made:
            # The run gets ready, in its own thread, while the stop comes.
            assert stopped.wait(10)
        made.append(FakeClient(provider))
        return made[-1]

    runner = make_runner(make, executor=executor, storage=storage)
    runner.add_many(["a", "b"])
    handle = runner.start()
    handle.stop(now=now)
    stopped.set()

    summary = handle.result(20)

    assert summary.counts == {JobStatus.PENDING: 2}
    assert provider.ledger.submissions == {}
    assert runner.run().ok, "the next run does not know of it"


def test_another_runner_of_the_same_storage_object_stops_a_run(
    executor: str,
    client: Manual,
    make_runner: MakeRunner,
    storage: Any,
    stopped_at_the_end: Callable[[BatchHandle], None],
) -> None:
    runner = make_runner(client, executor=executor, storage=storage, **SLOW)
    runner.add("a")
    handle = runner.start()
    stopped_at_the_end(handle)
    until(lambda: runner.counts() == {JobStatus.PROCESSING: 1})

    make_runner(None, storage=storage, clock=None).stop(now=True)
    summary = handle.result(20)

    assert summary.counts == {JobStatus.PROCESSING: 1}
    assert summary.stopped


def test_what_another_runner_of_the_same_storage_object_adds_is_run(
    client: Manual,
    make_runner: MakeRunner,
    storage: Any,
    stopped_at_the_end: Callable[[BatchHandle], None],
) -> None:
    runner = make_runner(client, executor="threads", storage=storage, **SLOW)
    runner.add("a")
    handle = runner.start()
    stopped_at_the_end(handle)
    until(lambda: client.submitted == ["a"])

    make_runner(None, storage=storage, clock=None).add("b")

    until(lambda: client.submitted == ["a", "b"])
    handle.stop(now=True)
    handle.result(20)
