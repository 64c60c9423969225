"""A process that forks while it has a SQLite storage open, and its child."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from batchkit.storage import SQLiteStorage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

#: A parent with a batch, and what its child shares with it: two pipes to take turns.
BEGIN = """
import os, sys
from batchkit import BatchBusyError, StorageError
from batchkit.storage import SQLiteStorage
path = sys.argv[1]
storage = SQLiteStorage(path)
batch = storage.open_batch("b", 1.0).id
epoch = storage.acquire(batch)
there, here = os.pipe(), os.pipe()
def tell(pipe): os.write(pipe[1], b".")
def wait(pipe): os.read(pipe[0], 1)
def end(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(script: str, path: Path) -> str:
    """What a program says that runs in a process of its own, which has one thread."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + script, str(path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


CHILD_USES_IT = """
child = os.fork()
if child == 0:
    for use in (storage.batches, lambda: storage.acquire(batch), lambda: list(storage.jobs(batch)),
                lambda: storage.set_control(batch, "paused", "", None), storage.changed):
        try:
            use()
        except StorageError as exc:
            print(exc, flush=True)
    storage.release(batch)
    storage.close()
    sys.exit()
end(child)
assert storage.acquire(storage.open_batch("another", 1.0).id) == 1
print(storage.find_batch("b").name)
storage.close()
"""


def test_a_child_cannot_use_its_parents_storage(path: Path) -> None:
    *refusals, last = run(CHILD_USES_IT, path).splitlines()
    assert len(refusals) == 5
    assert all(
        "was opened before this process was forked" in line
        and f"open it anew here, with SQLiteStorage('{path}')" in line
        for line in refusals
    )
    assert last == "b", "the parent goes on"


CHILD_OUTLIVES = """
child = os.fork()
if child == 0:
    wait(there)
    os._exit(0)
storage.release(batch)
other = SQLiteStorage(path)
assert other.acquire(batch) == epoch + 1
tell(there)
end(child)
other.close()
storage.close()
"""


def test_a_child_does_not_keep_what_its_parent_gives_back(path: Path) -> None:
    run(CHILD_OUTLIVES, path)


PARENT_DIES = """
child = os.fork()
if child == 0:
    wait(there)
    with_storage = SQLiteStorage(path)
    try:
        with_storage.acquire(batch)
    except BatchBusyError:
        print("the parent owns it", flush=True)
    tell(here)
    wait(there)
    while os.getppid() == parent:
        pass
    print(with_storage.acquire(batch), flush=True)
    with_storage.close()
    os._exit(0)
tell(there)
wait(here)
tell(there)
os._exit(0)
"""


def test_the_death_of_the_parent_frees_its_batch(path: Path) -> None:
    said = run("parent = os.getpid()\n" + PARENT_DIES, path)
    assert said.splitlines() == ["the parent owns it", "2"]


BOTH_WRITE = """
child = os.fork()
if child == 0:
    mine = SQLiteStorage(path)
    mine.open_batch("child 1", 1.0)
    tell(here)
    wait(there)
    mine.open_batch("child 2", 1.0)
    mine.close()
    os._exit(0)
wait(here)
storage.open_batch("parent", 1.0)
storage.close()
tell(there)
end(child)
"""


def test_a_child_that_opens_the_file_anew_loses_nothing(path: Path) -> None:
    """SQLite keeps its locks per process: an inherited connection would claim to hold some."""
    run(BOTH_WRITE, path)
    with closing(SQLiteStorage(path)) as storage:
        found = [batch.name for batch in storage.batches()]
    assert found == ["b", "child 1", "parent", "child 2"]


WHILE_THREADS_WRITE = """
import threading, time
from batchkit.storage import Entry
stop = threading.Event()
def write():
    while not stop.is_set():
        storage.append(batch, [Entry("paused", 1.0) for _ in range(50)])
        time.sleep(0.002)  # Lets the other thread have the lock.
thread = threading.Thread(target=write)
thread.start()
for number in range(10):
    child = os.fork()
    if child == 0:
        with_storage = SQLiteStorage(path, timeout=30)
        with_storage.open_batch(f"child {number}", 1.0)
        with_storage.close()
        os._exit(0)
    end(child)
stop.set()
thread.join()
print(len(storage.batches()))
storage.close()
"""


def test_forks_while_another_thread_writes(path: Path) -> None:
    script = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
    assert run(script + WHILE_THREADS_WRITE, path) == "11\n"


NOTICES = """
before = storage.changed()
child = os.fork()
if child == 0:
    mine = SQLiteStorage(path)
    mine.open_batch("child", 1.0)
    mine.close()
    os._exit(0)
end(child)
assert storage.changed() != before
before = storage.changed()
assert storage.changed() == before
storage.close()
end_of_parent = os.fork()
if end_of_parent:
    end(end_of_parent)
    try:
        storage.batches()
    except StorageError as exc:
        print(exc)
"""


def test_the_parent_notices_what_the_child_wrote_and_stays_closed(path: Path) -> None:
    assert "Cannot operate on a closed database" in run(NOTICES, path)


def test_a_storage_in_memory_stays_with_the_parent(path: Path) -> None:
    script = """
memory = SQLiteStorage(":memory:")
memory.open_batch("kept", 1.0)
child = os.fork()
if child == 0:
    try:
        memory.batches()
    except StorageError as exc:
        print(exc, flush=True)
    os._exit(0)
end(child)
print(memory.batches()[0].name)
memory.close()
storage.close()
"""
    refusal, kept = run(script, path).splitlines()
    assert ":memory: was opened before this process was forked" in refusal
    assert kept == "kept"
