"""Handles that could not be saved: kept beside the database, and taken over by the next runner."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_help import NOW, accepted, begin, go, new, start, word

from batchkit import Handle, JobStatus, StorageFullError
from batchkit.storage import Change, SQLiteStorage

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(path, timeout=0.05)) as made:
        yield made


def rescued(path: Path, batch: int) -> Path:
    return path.with_name(f"{path.name}.{batch}.rescue.jsonl")


def test_rescued_handles_are_evidence_again(storage: SQLiteStorage, path: Path) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    handle = Handle(id="paid é", data={"url": "https://x", "n": [1]})
    storage.rescue([accepted(a, handle), Change(b.to(_S.SUBMITTING), b)])
    assert stat.S_IMODE(rescued(path, batch).stat().st_mode) == 0o600
    storage.release(batch)
    storage.acquire(batch)
    assert storage.evidence(a.id, 1) == handle
    assert storage.evidence(b.id, 1) is None
    assert not rescued(path, batch).exists()


def test_nothing_to_rescue_makes_no_file(storage: SQLiteStorage, path: Path) -> None:
    batch, _, [job] = begin(storage, "a")
    storage.rescue([Change(job.to(_S.SUBMITTING), job)])
    assert not rescued(path, batch).exists()


def test_nothing_is_rescued_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SQLiteStorage(":memory:")) as storage:
        _, _, [job] = begin(storage, "a")
        storage.rescue([accepted(job, Handle(id="h"))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "torn", [b'[1,1,9.5,{"handle":"ab', b'[1,1,9.5,{"id":"caf\xc3', b"[1]", b"7"]
)
def test_a_torn_last_line(storage: SQLiteStorage, path: Path, torn: bytes) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    storage.rescue([accepted(a, Handle(id="h1"))])
    with rescued(path, batch).open("ab") as file:
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
    assert not list(path.parent.glob("*.rescue.jsonl"))


def test_the_journal_says_when_the_provider_answered(storage: SQLiteStorage) -> None:
    batch, _, [job] = begin(storage, "a")
    storage.rescue([accepted(job, Handle(id="h"), at=NOW + 77.5)])
    storage.release(batch)
    storage.acquire(batch)
    [line] = storage.journal(batch)
    assert (line.at, line.attempt, line.data) == (NOW + 77.5, 1, {"handle": {"id": "h"}})


def test_handles_that_cannot_be_rescued_are_told(storage: SQLiteStorage, path: Path) -> None:
    batch, _, [job] = begin(storage, "a")
    rescued(path, batch).mkdir()
    with pytest.raises(StorageFullError, match=r"rescue\.jsonl cannot be"):
        storage.rescue([accepted(job, Handle(id="h"))])


# -- two processes at once ---------------------------------------------------------------------

RESCUER = """
import sys
from batchkit import GenerateVideo, Handle, JobStatus as S
from batchkit._codec import plain_handle
from batchkit._events import JobSubmitted
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, NewJob, SQLiteStorage
path, name, rounds, takes_over = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "yes"
storage = SQLiteStorage(path, timeout=30)
batch = storage.open_batch(name, 1.0).id
request = GenerateVideo(prompt="a")
storage.add(batch, [NewJob(identity="a", request=request, stored=dump_request(request))], 1.0)
[job] = storage.claim(batch, storage.acquire(batch), 1, 1.0)
print(job.id, flush=True)
sys.stdin.readline()
for attempt in range(1, rounds + 1):
    handle = Handle(id=f"{name} {attempt}")
    sent = job.evolve(status=S.SUBMITTING, attempt=attempt)
    line = Entry("submitted", 1.0, job.id, attempt, {"handle": plain_handle(handle)})
    change = Change(sent.to(S.PROCESSING, handle=handle), sent, [line], told=[JobSubmitted])
    storage.rescue([change])
    if takes_over:
        storage.release(batch)
        storage.acquire(batch)
print("done", flush=True)
"""


def test_one_process_rescues_while_another_takes_over(path: Path) -> None:
    SQLiteStorage(path).close()
    processes = [
        start(RESCUER, path, "theirs", "400", "no"),
        start(RESCUER, path, "mine", "80", "yes"),
    ]
    jobs = [int(word(process)) for process in processes]
    for process in processes:
        go(process)
    assert [word(process) for process in processes] == ["done", "done"]
    for process in processes:
        process.communicate()
    with closing(SQLiteStorage(path)) as storage:
        for job, name, rounds in zip(jobs, ("theirs", "mine"), (400, 80), strict=True):
            storage.acquire(storage.open_batch(name, NOW).id)
            found = [storage.evidence(job, attempt) for attempt in range(1, rounds + 1)]
            assert found == [Handle(id=f"{name} {attempt}") for attempt in range(1, rounds + 1)]


# -- a death at any instruction of a take-over -------------------------------------------------

DYING = """
import os, shutil, sys
from pathlib import Path
from batchkit.storage import SQLiteStorage

def dies_at(line):
    seen = 0
    def trace(frame, event, arg):
        nonlocal seen
        if "batchkit" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os._exit(9)
        return trace
    return trace

source, folder = Path(sys.argv[1]), Path(sys.argv[1]).parent
line = code = 0
while code != 7:
    line += 1
    place = folder / f"at {line}"
    place.mkdir()
    for file in folder.glob("batch.db*"):
        shutil.copy(file, place)
    child = os.fork()
    if child == 0:
        storage = SQLiteStorage(place / "batch.db")
        sys.settrace(dies_at(line))
        storage.acquire(1)
        os._exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(line, flush=True)
"""


def test_a_death_at_any_instruction_of_a_take_over_loses_nothing(path: Path) -> None:
    with closing(SQLiteStorage(path)) as storage:
        batch, _, jobs = begin(storage, "a", "b")
        storage.rescue([accepted(job, Handle(id=f"h{job.id}")) for job in jobs])
    with start(DYING, path) as process:
        lines = int(word(process))
    assert lines > 30
    for line in range(1, lines + 1):
        with closing(SQLiteStorage(path.parent / f"at {line}" / "batch.db")) as storage:
            storage.acquire(batch)
            found = [entry.data for entry in storage.journal(batch)]
            assert found == [{"handle": {"id": f"h{job.id}"}} for job in jobs], line
        assert not list((path.parent / f"at {line}").glob("*.rescue.jsonl")), line
