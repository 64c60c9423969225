"""What a run does when the storage breaks it off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import Faulty, FaultyFile, Gate, at_acceptance

from batchkit import (
    BatchRunner,
    JobCompleted,
    JobStatus,
    StorageError,
    StorageFullError,
)
from batchkit._config import Batch
from batchkit.storage import Change, MemoryStorage, SQLiteStorage
from batchkit.testing import FakeClient, FakeClock, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.leave.set()


def test_a_handle_that_cannot_be_saved_is_rescued_and_nothing_more_is_paid(
    executor: str, make_runner: MakeRunner
) -> None:
    provider, storage = FakeProvider(), Faulty()
    storage.refuses = at_acceptance
    runner = make_runner(FakeClient(provider), executor=executor, storage=storage, max_concurrent=1)
    runner.add_many(["a", "b"])

    with pytest.raises(StorageFullError, match="the disk is full"):
        runner.run()

    assert provider.ledger.charges == {"a": 1}
    assert [change.job.title for change in storage.rescued] == ["a"]
    storage.refuses = lambda change: False
    assert runner.run().ok, "the next run finds the handle in the rescue"
    assert provider.ledger.charges == {"a": 1, "b": 1}


def test_every_submission_on_its_way_is_rescued(gate: Gate, make_runner: MakeRunner) -> None:
    storage = Faulty()
    storage.refuses = at_acceptance
    runner = make_runner(gate, storage=storage, max_concurrent=3)
    runner.add_many(["a", "b", "c", "d"])
    handle = runner.start()
    until(lambda: len(gate.entered) == 3)
    gate.leave.set()

    with pytest.raises(StorageFullError):
        handle.result(20)

    assert sorted(change.job.title for change in storage.rescued) == ["a", "b", "c"]
    assert len(gate.entered) == 3


def test_the_rescue_file_brings_the_job_back(
    executor: str, make_runner: MakeRunner, tmp_path: Path
) -> None:
    provider, storage = FakeProvider(), FaultyFile(tmp_path / "batch.db")
    runner = make_runner(FakeClient(provider), executor=executor, storage=storage)
    runner.add("a")
    storage.full = True
    with pytest.raises(StorageFullError):
        runner.run()
    assert list(tmp_path.glob("*.rescue.jsonl"))
    storage.close()

    again = make_runner(FakeClient(provider), executor=executor, storage=tmp_path / "batch.db")
    assert again.run().ok
    again.close()
    assert provider.ledger.charges == {"a": 1}


def test_handles_that_can_be_written_nowhere_go_to_the_log(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Faulty()
    storage.refuses, storage.rescue_error = at_acceptance, OSError("no space left")
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    job = runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()

    (line,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert f"keep them: {{{job.id}: 'remote-1'}}" in line.getMessage()


def test_a_rescue_that_fails_in_its_own_way_goes_to_the_log_too(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Faulty()
    storage.refuses, storage.rescue_error = at_acceptance, StorageError("cannot be opened")
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()

    assert "remote-1" in caplog.text


def test_an_intent_that_cannot_be_saved_is_not_followed_by_a_submission(
    executor: str, make_runner: MakeRunner
) -> None:
    provider, storage = FakeProvider(), Faulty()
    storage.refuses = lambda change: change.job.status is JobStatus.SUBMITTING
    runner = make_runner(FakeClient(provider), executor=executor, storage=storage)
    runner.add_many(["a", "b"])

    with pytest.raises(StorageFullError):
        runner.run()

    assert provider.ledger.submissions == {}
    assert runner.counts() == {JobStatus.PENDING: 2}


@pytest.mark.parametrize("what", ["claim", "cancel_requests"])
def test_a_storage_that_fails_between_saves_waits_for_submissions_too(
    what: str, gate: Gate, make_runner: MakeRunner
) -> None:
    storage = Faulty()
    runner = make_runner(gate, storage=storage, max_concurrent=2)
    runner.add("a")
    handle = runner.start()
    until(lambda: gate.entered == ["a"])

    storage.broken.add(what)
    runner.add("b")
    assert storage.hit.wait(10)
    gate.leave.set()
    with pytest.raises(StorageFullError):
        handle.result(20)
    storage.broken.clear()

    runner.run()
    assert gate.entered.count("a") == 1
    assert runner.job(1).status is JobStatus.COMPLETED


def test_a_run_that_cannot_begin_leaves_the_batch_free(make_runner: MakeRunner) -> None:
    storage = Faulty()
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    storage.broken.add("append")
    with pytest.raises(StorageFullError):
        runner.run()
    storage.broken.clear()

    assert runner.run().ok


def test_a_storage_that_cannot_be_read_at_the_end_leaves_the_batch_free(
    make_runner: MakeRunner,
) -> None:
    storage = Faulty()
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.hook = lambda point: storage.broken.add("counts") if point == "poll:after" else None

    with pytest.raises(StorageFullError):
        runner.run()
    storage.broken.clear()
    runner.hook = None

    runner.run()
    assert runner.counts() == {JobStatus.COMPLETED: 1}


def test_the_first_fault_is_the_one_that_is_raised(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Faulty()

    def refuse(change: Change) -> bool:
        storage.broken.add("append")
        return True

    storage.refuses = refuse
    storage.rescue_error = OSError("no space left")
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()

    assert "the end of the run could not be written down" in caplog.text


def test_an_end_that_cannot_be_written_down_is_raised(make_runner: MakeRunner) -> None:
    storage = Faulty()
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.hook = lambda point: storage.broken.add("append") if point == "poll:after" else None

    with pytest.raises(StorageFullError):
        runner.run()

    storage.broken.clear()
    runner.hook = None
    assert runner.run().ok, "the job itself was done, and the batch is free"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["sequential", "threads", "asyncio"])
def test_a_fault_arrives_bare_in_a_hosts_loop(
    backend: str, name: str, make_runner: MakeRunner
) -> None:
    storage = Faulty()
    storage.refuses = at_acceptance
    runner = make_runner(FakeClient(FakeProvider()), executor=name, storage=storage)
    runner.add("a")

    with pytest.raises(StorageFullError):
        anyio.run(runner.run_async, backend=backend)


def test_pruning_spares_the_batch_that_runs(
    make_runner: MakeRunner, clock: FakeClock, storage: Any
) -> None:
    # BUG: storage prune() looks at the jobs only: a batch that a runner holds is deleted under it
    # when its last job has just ended, and the run dies of a KeyError.
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    pruned: list[int] = []

    @runner.on(JobCompleted)
    def prune(event: JobCompleted) -> None:
        clock.advance(1)
        pruned.append(runner.prune(0))

    runner.add("a")

    assert runner.run().ok
    assert pruned == [0]


def test_a_batch_that_another_program_prunes_while_it_runs_is_spared(
    make_runner: MakeRunner, clock: FakeClock, tmp_path: Path
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=tmp_path / "batch.db")
    other = SQLiteStorage(tmp_path / "batch.db")

    @runner.on(JobCompleted)
    def prune(event: JobCompleted) -> None:
        clock.advance(1)
        other.prune(clock.time())

    runner.add("a")
    runner.run()

    assert runner.counts() == {JobStatus.COMPLETED: 1}
    clock.advance(1)
    assert other.prune(clock.time()) == 1
    assert list(other.batches()) == []
    other.close()
    runner.close()


def test_a_run_goes_on_as_it_was_told_when_its_storage_no_longer_lists_the_batch(
    make_runner: MakeRunner,
) -> None:
    class Forgets(MemoryStorage):
        """One in which somebody has deleted the batch by hand; its jobs are still there."""

        forgot = False

        def find_batch(self, name: str) -> Batch | None:
            return None if self.forgot else super().find_batch(name)

    storage, provider = Forgets(), FakeProvider()
    runner = make_runner(FakeClient(provider), storage=storage)

    def forget(point: str) -> None:
        if not storage.forgot:
            storage.forgot = True
            # The run looks at its batch again.
            runner.add("b")

    runner.hook = forget
    runner.add("a")

    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1, "b": 1}
