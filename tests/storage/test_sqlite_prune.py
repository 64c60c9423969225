"""What a prune of the SQLite storage deletes, and what it must leave alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_help import NOW, accepted, go, new, start, word

from batchkit import BatchBusyError, Control, Handle, JobStatus, StorageError
from batchkit.storage import Change, Entry, SQLiteStorage
from batchkit.storage._owner_lock import OwnerLock

_S = JobStatus
LATER = NOW + 1e6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(path, timeout=0.05)) as made:
        yield made


def over(storage: SQLiteStorage, name: str) -> int:
    """A batch whose only job has ended, and which nobody runs."""
    batch = storage.open_batch(name, NOW).id
    storage.add(batch, [new("a")], NOW)
    [job] = storage.claim(batch, storage.acquire(batch), 1, NOW)
    line = Entry("canceled", NOW, job.id)
    storage.save([Change(job.to(_S.CANCELED, completed=NOW), job, [line])])
    storage.release(batch)
    return batch


def names(storage: SQLiteStorage) -> list[str]:
    return [batch.name for batch in storage.batches()]


def beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.lock"))


# -- batches that somebody runs ----------------------------------------------------------------

OWNER = """
import os, sys
from batchkit.storage import SQLiteStorage
storage = SQLiteStorage(sys.argv[1])
storage.acquire(storage.open_batch("theirs", 1.0).id)
print("owns", flush=True)
sys.stdin.readline()
os._exit(1)
"""


def test_a_batch_that_another_process_runs_is_spared(storage: SQLiteStorage, path: Path) -> None:
    theirs = over(storage, "theirs")
    over(storage, "mine")
    with start(OWNER, path) as process:
        assert word(process) == "owns"
        assert storage.prune(LATER) == 1
        assert names(storage) == ["theirs"]
        with pytest.raises(BatchBusyError):
            storage.acquire(theirs)
        go(process)
        process.wait()
    assert storage.prune(LATER) == 1
    assert names(storage) == []


def test_a_batch_that_this_process_runs_is_spared(storage: SQLiteStorage, path: Path) -> None:
    batch = over(storage, "mine")
    with closing(SQLiteStorage(path)) as other:
        other.acquire(batch)
        assert storage.prune(LATER) == other.prune(LATER) == 0
    assert storage.prune(LATER) == 1


# -- what a viewer has read --------------------------------------------------------------------


def test_the_journal_goes_on_after_a_prune(storage: SQLiteStorage, path: Path) -> None:
    batch = over(storage, "old")
    since = storage.journal(batch)[-1].seq
    storage.prune(LATER)
    fresh = storage.open_batch("new", NOW).id
    assert storage.append(fresh, [Entry("paused", NOW)]) > since
    assert len(storage.journal(fresh, since)) == 1
    storage.prune(LATER)
    with closing(SQLiteStorage(path)) as again:
        last = again.open_batch("newer", NOW).id
        assert again.append(last, [Entry("paused", NOW)]) > since + 1


def test_a_prune_is_a_change(storage: SQLiteStorage) -> None:
    over(storage, "old")
    before = storage.changed()
    assert storage.prune(NOW - 1) == 0
    assert storage.changed() == before
    storage.prune(LATER)
    assert storage.changed() != before


# -- empty batches -----------------------------------------------------------------------------


def test_empty_batches_go_when_they_are_old(storage: SQLiteStorage) -> None:
    storage.open_batch("old", NOW)
    storage.open_batch("young", NOW + 10)
    held = storage.open_batch("held", NOW).id
    storage.acquire(held)
    assert storage.prune(NOW + 5) == 0
    assert names(storage) == ["young", "held"]


@pytest.mark.parametrize(
    "use",
    [
        lambda storage, batch: storage.add(batch, [new("a")], NOW),
        lambda storage, batch: storage.acquire(batch),
        lambda storage, batch: storage.update_batch(batch, max_concurrent=1),
    ],
)
def test_a_batch_that_was_pruned_meanwhile(
    storage: SQLiteStorage, path: Path, use: Callable[[SQLiteStorage, int], object]
) -> None:
    batch = storage.open_batch("b", NOW).id
    with closing(SQLiteStorage(path)) as other:
        other.prune(LATER)
    with pytest.raises(StorageError, match=r"was pruned .* open it again"):
        use(storage, batch)
    storage.release(batch)
    assert not storage.set_control(batch, Control.PAUSED, "", None)


# -- files -------------------------------------------------------------------------------------


def test_the_files_of_a_batch_go_with_it(storage: SQLiteStorage, path: Path) -> None:
    batch, stays = over(storage, "old"), storage.open_batch("stays", LATER).id
    storage.acquire(stays)
    job = storage.find(batch, "a")
    assert job is not None
    storage.rescue([accepted(job, Handle(id="h"))])
    others = [path.with_name(f"batch.db.{name}") for name in ("1.lock.bak", "x.lock", "1.jsonl")]
    for other in others:
        other.write_text("not ours")
    storage.prune(LATER)
    assert beside(path) == [f"batch.db.{stays}.lock", "batch.db.x.lock"]
    assert not list(path.parent.glob("*.rescue.jsonl"))
    assert all(other.exists() for other in others)


def test_a_lock_that_a_killed_prune_left(storage: SQLiteStorage, path: Path) -> None:
    for name in ("batch.db.99.lock", "batch.db.99.rescue.jsonl"):
        path.with_name(name).write_text("")
    storage.prune(0)
    assert beside(path) == []
    # Of a batch that this file does not know: it may be a copy that was restored.
    assert path.with_name("batch.db.99.rescue.jsonl").exists()


def test_a_lock_that_is_removed_while_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two processes would hold two files of one name."""
    file = tmp_path / "batch.db.1.lock"
    real = os.open
    removed: list[int] = []

    def remove_once(place: str | Path, *args: int) -> int:
        number = real(place, *args)
        if place == file and not removed:
            removed.append(True)
            file.unlink()
        return number

    monkeypatch.setattr(os, "open", remove_once)
    first, second = OwnerLock(file, "b"), OwnerLock(file, "b")
    first.take()
    assert removed
    with pytest.raises(BatchBusyError):
        second.take()
    first.give_back()
    second.take()
    second.give_back()


def test_a_runner_that_waited_for_a_batch_that_went(
    storage: SQLiteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a runner's look at the batch and its lock, another process prunes."""
    batch = over(storage, "old")
    take = OwnerLock.take

    def prune_first(lock: OwnerLock) -> None:
        monkeypatch.setattr(OwnerLock, "take", take)
        with closing(SQLiteStorage(path)) as other:
            assert other.prune(LATER) == 1
        take(lock)

    monkeypatch.setattr(OwnerLock, "take", prune_first)
    with pytest.raises(StorageError, match="was pruned"):
        storage.acquire(batch)
    storage.prune(LATER)
    assert beside(path) == []


def test_a_person_who_adds_while_a_batch_is_pruned(
    storage: SQLiteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = over(storage, "old")
    take = OwnerLock.take

    def add_first(lock: OwnerLock) -> None:
        with closing(SQLiteStorage(path)) as other:
            other.add(batch, [new("b")], NOW)
        take(lock)

    monkeypatch.setattr(OwnerLock, "take", add_first)
    assert storage.prune(LATER) == 0
    assert [job.identity for job in storage.jobs(batch)] == ["a", "b"]
