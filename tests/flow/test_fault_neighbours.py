"""What goes wrong with one job, or with the storage, does not take its neighbours along."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fault_kit import Faulty
from flow_kit import Shelf

from batchkit import (
    BatchRunner,
    Capabilities,
    Finished,
    Job,
    JobStatus,
    Output,
    StorageFullError,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


class Works:
    """Paid work in the call itself; the slow one waits for the test."""

    capabilities = Capabilities(sync_result=True)

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def submit(self, job: Job) -> Finished:
        if job.title == "slow":
            self.entered.set()
            assert self.leave.wait(20)
            return Finished(text="paid for")
        return Finished(outputs=(Output(data=b"x"),))


@pytest.mark.parametrize("where", ["storage", "flow"])
def test_a_result_that_comes_while_a_run_fails_is_saved(
    where: str, make_runner: MakeRunner
) -> None:
    storage, client = Faulty(), Works()
    shelf = Shelf(StorageFullError("the disk is full"))
    runner = make_runner(client, storage=storage, artifacts=shelf, max_concurrent=2)
    slow = runner.add("slow")
    handle = runner.start()
    assert client.entered.wait(10)

    if where == "storage":
        storage.broken.add("claim")
    runner.add("fails")
    engine = runner._engine
    assert engine is not None
    until(lambda: bool(engine.dispatcher.stop_cause))
    client.leave.set()
    with pytest.raises(StorageFullError):
        handle.result(20)

    done = runner.job(slow)
    assert done.status is JobStatus.COMPLETED
    assert done.result is not None
    assert done.result.text == "paid for"


class Odd(BaseException):
    """No Exception: nothing that catches those sees it."""


@pytest.mark.parametrize("raised", [SystemExit, Odd])
@pytest.mark.parametrize("base", [FakeClient, AsyncFakeClient])
def test_an_exit_in_one_submission_is_uncertain_and_no_more(
    base: Any, raised: type[BaseException], executor: str, make_runner: MakeRunner
) -> None:
    class Sync(FakeClient):
        def submit(self, job: Job) -> Any:
            answer = super().submit(job)
            if job.title == "a":
                raise raised("the client gives up")
            return answer

    class Async(AsyncFakeClient):
        async def submit(self, job: Job) -> Any:
            answer = await super().submit(job)
            if job.title == "a":
                raise raised("the client gives up")
            return answer

    provider = FakeProvider()
    client = (Sync if base is FakeClient else Async)(provider, capabilities=Capabilities())
    runner = make_runner(client, executor=executor)
    runner.add_many(["a", "b"])

    runner.run()

    assert [str(job.status) for job in runner.jobs()] == ["uncertain", "completed"]
    error = runner.job(1).error
    assert error is not None
    assert f"the client raised {raised.__name__}: the client gives up" in error.message
    assert provider.ledger.charges == {"a": 1, "b": 1}
