"""Several runners and processes on one SQLite file, and their deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_help import NOW, go, start, whole, word

from batchkit import (
    BatchBusyError,
    JobStatus,
)
from batchkit._jobs import count_by_status
from batchkit.storage import SQLiteStorage, _sqlite_db

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(path, timeout=0.05)) as made:
        yield made


# -- two runners -------------------------------------------------------------------------------


def test_two_storages_on_one_file(storage: SQLiteStorage, path: Path) -> None:
    batch = storage.open_batch("my batch", NOW).id
    storage.acquire(batch)
    with closing(SQLiteStorage(path)) as other:
        with pytest.raises(BatchBusyError, match=r"runner of this program works on .*'my batch'"):
            other.acquire(batch)
        storage.release(batch)
        assert other.acquire(batch) == 2
    assert storage.acquire(batch) == 3


def test_closing_gives_up_the_batch(path: Path) -> None:
    first = SQLiteStorage(path)
    batch = first.open_batch("b", NOW).id
    first.acquire(batch)
    first.close()
    with closing(SQLiteStorage(path)) as second:
        assert second.acquire(batch) == 2


def test_one_lock_whatever_the_file_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "folder").symlink_to(real)
    (tmp_path / "file.db").symlink_to(real / "batch.db")
    monkeypatch.chdir(real)
    with closing(SQLiteStorage("batch.db")) as first:
        batch = first.open_batch("b", NOW).id
        monkeypatch.chdir(tmp_path)
        first.acquire(batch)
        for name in ("folder/batch.db", "file.db"):
            with closing(SQLiteStorage(name)) as other, pytest.raises(BatchBusyError):
                other.acquire(batch)


OWNER = """
import os, sys
from batchkit.storage import SQLiteStorage
storage = SQLiteStorage(sys.argv[1])
storage.acquire(storage.open_batch("b", 1.0).id)
print(os.getpid(), flush=True)
sys.stdin.readline()
os._exit(1)
"""


def test_the_death_of_a_runner_frees_its_batch(storage: SQLiteStorage, path: Path) -> None:
    batch = storage.open_batch("b", NOW).id
    with start(OWNER, path) as process:
        owner = word(process)
        with pytest.raises(BatchBusyError, match=rf"process {owner}\)"):
            storage.acquire(batch)
        go(process)
        process.wait()
    assert storage.acquire(batch) == 2


# -- other processes ---------------------------------------------------------------------------

CREATOR = """
import sys
from batchkit.storage import SQLiteStorage
print("ready", flush=True)
sys.stdin.readline()
print(SQLiteStorage(sys.argv[1], timeout=30).open_batch("b", 1.0).uid, flush=True)
"""


def test_processes_that_create_one_database_at_once(path: Path) -> None:
    processes = [start(CREATOR, path) for _ in range(4)]
    assert [word(process) for process in processes] == ["ready"] * 4
    for process in processes:
        go(process)
    uids = {word(process) for process in processes}
    codes = [process.wait() for process in processes]
    for process in processes:
        process.communicate()
    assert codes == [0] * 4
    assert len(uids) == 1


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_database_made_while_it_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Another process makes the tables between two of our looks at the file."""
    look = _sqlite_db.Database.one
    looks: list[str] = []

    def one(self: _sqlite_db.Database, sql: str, *values: object) -> object:
        found = look(self, sql, *values)
        looks.append(sql)
        if len(looks) == at:
            SQLiteStorage(path).close()
        return found

    monkeypatch.setattr(_sqlite_db.Database, "one", one)
    with closing(SQLiteStorage(path)) as storage:
        storage.open_batch("b", NOW)


WRITER = """
import itertools, sys
from batchkit import GenerateVideo, JobStatus as S
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, NewJob, SQLiteStorage
storage = SQLiteStorage(sys.argv[1])
batch = storage.open_batch("b", 1.0).id
epoch = storage.acquire(batch)
for turn in itertools.count():
    made = [GenerateVideo(prompt=f"{turn} {n}") for n in range(20)]
    new = [NewJob(identity=r.prompt, request=r, stored=dump_request(r)) for r in made]
    storage.add(batch, new, 1.0)
    jobs = storage.claim(batch, epoch, 20, 1.0)
    sent = [job.to(S.SUBMITTING, attempt=1) for job in jobs]
    storage.save([Change(a, b, [Entry("submitting", 1.0, b.id, 1)]) for a, b in zip(sent, jobs)])
    print(turn, flush=True)
    storage.save([Change(job.to(S.FAILED, cost=0.5), job) for job in sent])
"""


@pytest.mark.parametrize("turns", [1, 4])
def test_killed_in_the_middle_of_saves(path: Path, turns: int) -> None:
    with start(WRITER, path) as process:
        for turn in range(turns):
            assert word(process) == str(turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with closing(SQLiteStorage(path)) as storage:
        batch = storage.open_batch("b", NOW).id
        whole(storage, batch)
        recount = count_by_status(storage.jobs(batch))
        assert storage.cost(batch) in (None, 0.5 * recount.get(_S.FAILED, 0))
        told = len(storage.journal(batch, limit=10**6))
        assert told == sum(job.attempt for job in storage.jobs(batch)) >= 20 * turns
        epoch = storage.acquire(batch)
        assert len(storage.in_flight(batch, epoch)) == recount.get(_S.SUBMITTING, 0)
