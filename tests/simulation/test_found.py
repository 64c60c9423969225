"""What the simulation has found, each as the shortest story that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchRunner,
    Capabilities,
    Handle,
    Job,
    JobStatus,
    PollPolicy,
    RemoteState,
    RemoteStatus,
    StorageFullError,
)
from batchkit._jobs import count_by_status
from batchkit.storage import Change, EncryptedStorage, SQLiteStorage, generate_key
from batchkit.storage.base import Saved
from batchkit.testing import FakeClient, FakeClock, FakeProvider

_S = JobStatus


class Refusing(SQLiteStorage):
    """A database that refuses a change as told; *late* means: after it was written."""

    refuses: Callable[[Change], bool] = staticmethod(lambda change: False)
    late = False

    def save(self, changes: Sequence[Change]) -> Saved:
        refused = any(self.refuses(change) for change in changes)
        if refused and not self.late:
            raise StorageFullError("the disk is full")
        saved = super().save(changes)
        if refused:
            raise StorageFullError("the disk is full, it seems")
        return saved


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Refusing]:
    with closing(Refusing(tmp_path / "batch.db", durability="off")) as made:
        yield made


def ends_in(status: JobStatus) -> Callable[[Change], bool]:
    return lambda change: change.job.status is status


def runner_of(client: object, storage: Refusing, executor: str) -> BatchRunner:
    return BatchRunner(
        client,
        storage=storage,
        clock=FakeClock(),
        executor=executor,
        delay=0,
        # At once: whoever goes on does so before anybody can stop it.
        poll=PollPolicy.fixed(0),
    )


class Replaying:
    """A provider that replays answers, behind an adapter with a bug in one of them."""

    capabilities = Capabilities(inline=True, idempotency="replay")

    def __init__(self) -> None:
        self.broken = True

    def submit(self, job: Job) -> object:
        if job.title == "a" and self.broken:
            return "not what was agreed"
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED)


def test_a_replay_that_answers_nonsense_does_not_end_the_run(
    storage: Refusing, executor: str
) -> None:
    client = Replaying()
    runner = runner_of(client, storage, executor)
    runner.add_many(["a", "b"])

    runner.run()
    assert [job.status for job in runner.jobs()] == [_S.UNCERTAIN, _S.COMPLETED]

    client.broken = False
    runner.run()
    assert [job.status for job in runner.jobs()] == [_S.COMPLETED, _S.COMPLETED]


class Locked(FakeClient):
    """Its key is refused."""

    def submit(self, job: Job) -> Accepted:
        raise AuthenticationError("no credit")


def test_a_pause_and_a_full_disk_in_one_turn_end_the_run(storage: Refusing, executor: str) -> None:
    """A change that nobody takes up any more must not keep the run waiting for it."""
    runner = runner_of(Locked(FakeProvider()), storage, executor)
    storage.refuses = lambda change: change.before.status is _S.SUBMITTING
    runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()

    assert runner.job(1).status is _S.SUBMITTING


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("refused", [_S.SUBMITTING, _S.PROCESSING, _S.COMPLETED])
def test_counters_are_right_after_a_save_that_failed(
    storage: Refusing, executor: str, refused: JobStatus, late: bool
) -> None:
    runner = runner_of(FakeClient(FakeProvider()), storage, executor)
    storage.refuses, storage.late = ends_in(refused), late
    runner.add_many(["a", "b"])
    with pytest.raises(StorageFullError):
        runner.run()
    storage.refuses = lambda change: False
    runner.run()

    assert runner.counts() == count_by_status(runner.jobs())


def test_a_flow_whose_save_failed_does_not_go_on(storage: Refusing, executor: str) -> None:
    """What was not stored is not relied on: nothing is polled under a handle that was refused."""
    provider = FakeProvider()
    runner = runner_of(FakeClient(provider), storage, executor)
    storage.refuses = ends_in(_S.PROCESSING)
    runner.add("a")
    with pytest.raises(StorageFullError):
        runner.run()
    assert provider.ledger.polls.total() == 0

    storage.refuses = lambda change: False
    runner.run()
    assert [event.kind for event in runner.events() if not event.kind.startswith("batch_")] == [
        "submitting", "submitted", "submitted", "collecting", "completed",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["batch.db", "batch.jsonl"])
def test_pruning_leaves_the_keys_of_an_encrypted_storage(tmp_path: Path, name: str) -> None:
    pytest.importorskip("cryptography")
    key = generate_key()
    with closing(EncryptedStorage(tmp_path / name, key=key)) as storage:
        runner = BatchRunner(None, storage=storage)
        runner.add("a")
        assert runner.prune(0) == 0
    with closing(EncryptedStorage(tmp_path / name, key=key)) as storage:
        assert [job.title for job in BatchRunner(None, storage=storage).jobs()] == ["a"]
