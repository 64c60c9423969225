"""Several runners and processes on one SQLite file, and their deaths."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_help import NOW, accepted, begin, new, whole

from batchkit import (
    BatchBusyError,
    Handle,
    JobStatus,
)
from batchkit._jobs import count_by_status
from batchkit.storage import Change, SQLiteStorage, _sqlite_db

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
        with pytest.raises(BatchBusyError, match=rf"process {os.getpid()}\) works on .*'my batch'"):
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


OWNER = """
import os, sys
from batchkit.storage import SQLiteStorage
storage = SQLiteStorage(sys.argv[1])
storage.acquire(storage.open_batch("b", 1.0).id)
print(os.getpid(), flush=True)
sys.stdin.readline()
os._exit(1)
"""


def start(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_the_death_of_a_runner_frees_its_batch(storage: SQLiteStorage, path: Path) -> None:
    batch = storage.open_batch("b", NOW).id
    with start(OWNER, path) as process:
        owner = word(process)
        with pytest.raises(BatchBusyError, match=rf"process {owner}\)"):
            storage.acquire(batch)
        go(process)
        process.wait()
    assert storage.acquire(batch) == 2


# -- the rescue file ---------------------------------------------------------------------------


def rescued(path: Path) -> Path:
    return path.with_name(path.name + ".rescue.jsonl")


def test_rescued_handles_are_evidence_again(storage: SQLiteStorage, path: Path) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    handle = Handle(id="paid é", data={"url": "https://x", "n": [1]})
    storage.rescue([accepted(a, handle), Change(b.to(_S.SUBMITTING), b)])
    assert stat.S_IMODE(rescued(path).stat().st_mode) == 0o600
    storage.release(batch)
    storage.acquire(batch)
    assert storage.evidence(a.id, 1) == handle
    assert storage.evidence(b.id, 1) is None
    assert not rescued(path).exists()


def test_nothing_to_rescue_makes_no_file(storage: SQLiteStorage, path: Path) -> None:
    _, _, [job] = begin(storage, "a")
    storage.rescue([Change(job.to(_S.SUBMITTING), job)])
    assert not rescued(path).exists()


def test_nothing_is_rescued_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SQLiteStorage(":memory:")) as storage:
        _, _, [job] = begin(storage, "a")
        storage.rescue([accepted(job, Handle(id="h"))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [b'[1,1,1,{"id":"ab', b'[1,1,1,{"id":"caf\xc3'])
def test_a_torn_last_line(storage: SQLiteStorage, path: Path, torn: bytes) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    storage.rescue([accepted(a, Handle(id="h1"))])
    with rescued(path).open("ab") as file:
        file.write(torn)
    storage.rescue([accepted(b, Handle(id="h2"))])
    storage.release(batch)
    storage.acquire(batch)
    assert [storage.evidence(job.id, 1) for job in (a, b)] == [Handle(id="h1"), Handle(id="h2")]


def test_rescued_handles_may_hold_any_line_break(storage: SQLiteStorage) -> None:
    batch, _, [job] = begin(storage, "a")
    handle = Handle(id="a\u2028b\x85c\nd", data={"\x1c": "\u2029"})
    storage.rescue([accepted(job, handle)])
    storage.release(batch)
    storage.acquire(batch)
    assert storage.evidence(job.id, 1) == handle


def test_rescued_handles_of_other_batches_stay(storage: SQLiteStorage, path: Path) -> None:
    mine, _, [job] = begin(storage, "a")
    theirs = storage.open_batch("theirs", NOW).id
    storage.add(theirs, [new("x")], NOW)
    [other] = storage.claim(theirs, storage.acquire(theirs), 1, NOW)
    storage.rescue([accepted(job, Handle(id="h1")), accepted(other, Handle(id="h2"))])
    for batch in (mine, theirs):
        storage.release(batch)
        storage.acquire(batch)
    assert storage.evidence(job.id, 1) == Handle(id="h1")
    assert storage.evidence(other.id, 1) == Handle(id="h2")
    assert not rescued(path).exists()


# -- other processes ---------------------------------------------------------------------------

CREATOR = """
import sys
from batchkit.storage import SQLiteStorage
print("ready", flush=True)
sys.stdin.readline()
print(SQLiteStorage(sys.argv[1]).open_batch("b", 1.0).uid, flush=True)
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
