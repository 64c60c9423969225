"""Taking a batch and leaving it: one runner at a time, the right client, the checks before."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchBusyError,
    BatchRunner,
    Capabilities,
    ClientMismatchError,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    RemoteStatus,
    StorageFullError,
    UsageError,
)
from batchkit.storage import MemoryStorage
from batchkit.testing import Crash, FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


class Gate:
    """A client whose submissions wait for the test."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def submit(self, job: Job) -> Accepted:
        self.entered.set()
        assert self.leave.wait(20)
        return Accepted(handle=Handle(id="h"))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.leave.set()


# -- one runner ------------------------------------------------------------------------------------


def test_a_second_runner_is_refused_until_the_first_has_left(
    gate: Gate, make_runner: MakeRunner, storage: Any
) -> None:
    first = make_runner(gate, storage=storage)
    first.add("a")
    handle = first.start()
    assert gate.entered.wait(10)
    second = make_runner(FakeClient(FakeProvider()), storage=storage)

    with pytest.raises(BatchBusyError, match="another runner"):
        second.run()
    gate.leave.set()
    assert handle.result(20).ok
    assert second.run().ok


def test_another_batch_of_the_storage_is_free(
    gate: Gate, make_runner: MakeRunner, storage: Any
) -> None:
    first = make_runner(gate, storage=storage)
    first.add("a")
    handle = first.start()
    assert gate.entered.wait(10)

    other = make_runner(FakeClient(FakeProvider()), storage=storage, name="other")
    other.add("b")
    assert other.run().ok
    gate.leave.set()
    handle.result(20)


HOLDER = """
import sys
from batchkit import BatchRunner
def work(request):
    print("running", flush=True)
    sys.stdin.readline()
runner = BatchRunner(work, storage=sys.argv[1], delay=0)
runner.add("a")
runner.run()
"""


def test_a_runner_in_another_process_is_refused_by_its_number(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    db = tmp_path / "batch.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(db)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        with make_runner(lambda request: None, storage=db) as runner:
            with pytest.raises(BatchBusyError, match=f"process {child.pid}"):
                runner.run()
            child.communicate("go\n", timeout=20)
            assert runner.run().ok


# -- the right client ------------------------------------------------------------------------------


def with_account(provider: FakeProvider, account: str, **more: Any) -> FakeClient:
    return FakeClient(provider, capabilities=Capabilities(inline=True, account=account, **more))


def left_in_flight(make_runner: MakeRunner, storage: Any, client: FakeClient) -> None:
    """A batch whose only job is at the provider."""
    runner = make_runner(client, storage=storage)

    def die(point: str) -> None:
        if point == "poll:before":
            raise Crash(point)

    runner.hook = die
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()


def test_jobs_in_flight_are_not_polled_with_another_account(
    make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()
    left_in_flight(make_runner, storage, with_account(provider, "mine"))

    with pytest.raises(ClientMismatchError, match=r"1 jobs in flight at .*@mine.*@yours"):
        make_runner(with_account(provider, "yours"), storage=storage).run()

    assert make_runner(with_account(provider, "mine"), storage=storage).run().ok
    assert provider.ledger.charges == {"a": 1}


def test_uncertain_jobs_belong_to_their_client_too(make_runner: MakeRunner) -> None:
    storage, provider = MemoryStorage(), FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add("a [drop_after]")
    first.run()

    with pytest.raises(ClientMismatchError):
        make_runner(with_account(provider, "yours"), storage=storage).run()


def test_pending_jobs_may_go_elsewhere_and_that_is_said(
    make_runner: MakeRunner, storage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add_many(["a", "b"])
    first.run(limit=1)

    assert make_runner(with_account(provider, "yours"), storage=storage).run().ok
    assert "its 1 pending jobs now go to" in caplog.text


def test_a_batch_that_is_done_may_be_run_with_anything(
    make_runner: MakeRunner, storage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add("a")
    first.run()

    assert make_runner(with_account(provider, "yours"), storage=storage).run().ok
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_free_client_does_not_inherit_paid_work(make_runner: MakeRunner) -> None:
    storage, provider = MemoryStorage(), FakeProvider()
    left_in_flight(make_runner, storage, with_account(provider, "mine"))

    free = with_account(provider, "yours", repeat="free")
    with pytest.raises(ClientMismatchError):
        make_runner(free, storage=storage).run()


# -- the checks before -----------------------------------------------------------------------------


def test_a_runner_without_a_client_cannot_run(make_runner: MakeRunner) -> None:
    with pytest.raises(UsageError, match="this runner has no client"):
        make_runner(None).run()


def test_a_negative_limit_is_refused_and_zero_starts_nothing(make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider))
    runner.add("a")

    with pytest.raises(UsageError, match="limit is -1: give a number that is 0 or more"):
        runner.run(limit=-1)
    assert runner.run(limit=0).counts == {JobStatus.PENDING: 1}
    assert provider.ledger.submissions == {}
    assert runner.run().ok


def test_the_limit_counts_submissions(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(["a [busy]", "b"])

    assert runner.run(limit=1).counts == {JobStatus.PENDING: 2}
    assert runner.run(limit=2).counts == {JobStatus.COMPLETED: 2}


def test_a_folder_that_cannot_work_leaves_the_batch_free(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    provider, storage = FakeProvider(), MemoryStorage()
    (tmp_path / "out").write_text("a file, not a folder")
    runner = make_runner(FakeClient(provider), storage=storage, output=tmp_path / "out")
    runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()
    (tmp_path / "out").unlink()

    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1}


def test_a_pause_by_batchkit_is_lifted_by_the_next_run(
    make_runner: MakeRunner, storage: Any
) -> None:
    faults = [AuthenticationError("the key is wrong")]

    def before(operation: str) -> None:
        if faults:
            raise faults.pop()

    runner = make_runner(FakeClient(FakeProvider(), before=before), storage=storage)
    runner.add("a")
    assert runner.run().paused == "the key is wrong"

    summary = runner.run()

    assert summary.ok
    assert summary.paused is None


def test_a_pause_by_a_person_is_not(make_runner: MakeRunner, storage: Any) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.pause()

    assert runner.run().paused == ""
    assert runner.counts() == {JobStatus.PAUSED: 1}


def test_a_stop_of_the_last_run_does_not_stop_the_next(
    make_runner: MakeRunner, storage: Any
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.stop()

    assert runner.run().ok


def test_a_stop_leaves_a_paused_batch_paused(make_runner: MakeRunner, storage: Any) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.pause()
    runner.stop()

    assert runner.run().paused == ""
    runner.resume()
    assert runner.run().ok
