"""Several processes on one session file: one runs a batch, the others look and steer."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from json_help import facts, go, read, start, word
from sqlite_help import NOW, accepted, begin, new

from batchkit import (
    BatchBusyError,
    BatchRunner,
    Handle,
    JobStatus,
    StorageLockedError,
)
from batchkit._config import Control
from batchkit.storage import Change, Entry, JSONStorage, json_file

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


@pytest.fixture
def storage(path: Path) -> Iterator[JSONStorage]:
    with closing(JSONStorage(path)) as made:
        yield made


# -- who runs a batch --------------------------------------------------------------------------


def test_two_storages_on_one_file(storage: JSONStorage, path: Path) -> None:
    batch = storage.open_batch("my batch", NOW).id
    storage.acquire(batch)
    with closing(JSONStorage(path)) as other:
        with pytest.raises(BatchBusyError, match=r"runner of this program works on .*'my batch'"):
            other.acquire(batch)
        storage.release(batch)
        assert other.acquire(batch) == 2
    assert storage.acquire(batch) == 3


OWNER = """
import os, sys
from batchkit.storage import JSONStorage
storage = JSONStorage(sys.argv[1])
storage.acquire(storage.open_batch("b", 1.0).id)
print(os.getpid(), flush=True)
sys.stdin.readline()
os._exit(1)
"""


def test_the_death_of_a_runner_frees_its_batch(storage: JSONStorage, path: Path) -> None:
    batch = storage.open_batch("b", NOW).id
    with start(OWNER, path) as process:
        owner = word(process)
        with pytest.raises(BatchBusyError, match=rf"process {owner}\)"):
            storage.acquire(batch)
        go(process)
        process.wait()
    assert storage.acquire(batch) == 2


def test_a_batch_that_another_process_runs_is_not_pruned(storage: JSONStorage, path: Path) -> None:
    batch, _, [job] = begin(storage, "a")
    storage.save([Change(job.to(_S.CANCELED, completed=NOW), job)])
    with closing(JSONStorage(path)) as other:
        assert other.prune(NOW + 1) == 0
        assert storage.prune(NOW + 1) == 0
        storage.release(batch)
        assert other.prune(NOW + 1) == 1
    assert storage.find_batch("b") is None


# -- steering ----------------------------------------------------------------------------------


def test_what_another_process_writes_is_seen_and_fences(storage: JSONStorage, path: Path) -> None:
    batch, epoch, [held, wanted, urgent] = begin(storage, *"abc")
    before = storage.changed()
    with closing(JSONStorage(path)) as other:
        assert other.steer(held.to(_S.PAUSED), _S.PENDING, Entry("held", NOW, held.id))
        other.steer(urgent.evolve(priority=9), _S.PENDING, None)
        other.request_cancel(wanted.id, NOW)
        other.set_control(batch, Control.PAUSED, "", None)
        [(more, _)] = other.add(batch, [new("d")], NOW)
    assert storage.changed() != before
    sent = [job.to(_S.SUBMITTING, attempt=1) for job in (held, wanted, urgent)]
    changes = [Change(a, b) for a, b in zip(sent, (held, wanted, urgent), strict=True)]
    assert storage.save(changes).fenced == {0}
    assert storage.cancel_requests(batch) == [wanted.id]
    assert storage.batches()[0].control is Control.PAUSED
    assert [job.id for job in storage.claim(batch, epoch, 5, NOW)] == [more]
    assert [storage.get(job.id).priority for job in sent] == [0, 0, 9]  # type: ignore[union-attr]


RUNNER = """
import sys
from batchkit import BatchRunner
work = lambda request: request.prompt.upper()
with BatchRunner(work, storage=sys.argv[1], delay=0, max_concurrent=1) as runner:
    runner.add("first")
    runner.pause()
    handle = runner.start()
    print("runs", flush=True)
    summary = handle.result(timeout=50)
    print(summary.progress.counts, flush=True)
"""


def test_a_running_batch_is_steered_by_another_process(path: Path) -> None:
    with start(RUNNER, path) as process:
        assert word(process) == "runs"
        with BatchRunner.open(path) as person:
            jobs = [person.add(f"more {n}") for n in range(5)]
            assert person.cancel(jobs[0])
            assert person.hold(jobs[1])
            assert person.remove(jobs[2])
            person.resume()
        assert "COMPLETED" in word(process)
        assert process.wait(timeout=30) == 0
    with BatchRunner.open(path) as person:
        assert [str(job.status) for job in person.jobs()] == [
            "completed", "canceled", "paused", "completed", "completed",
        ]  # fmt: skip
        assert [job.result and job.result.text for job in person.results()] == [
            "FIRST", "MORE 3", "MORE 4",
        ]  # fmt: skip


ADDER = """
import sys
from batchkit import GenerateVideo
from batchkit._requests import dump_request
from batchkit.storage import JSONStorage, NewJob, json_file
json_file._GROWTH = 3000
print("ready", flush=True)
sys.stdin.readline()
storage = JSONStorage(sys.argv[1], timeout=30)
batch = storage.open_batch("b", 1.0).id
for turn in range(60):
    r = GenerateVideo(prompt=str(turn))
    item = NewJob(identity=r.prompt, request=r, stored=dump_request(r))
    [(job, new)] = storage.add(batch, [item], 1.0)
    storage.request_cancel(job, storage.get(job).cancel_requested_at or 0.0)
    print(int(new), flush=True)
"""


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    """They make the file, add the same jobs, and compact it under each other's hands."""
    processes = [start(ADDER, path) for _ in range(4)]
    assert [word(process) for process in processes] == ["ready"] * 4
    for process in processes:
        go(process)
    told = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(line.count("1") for line in told) == 60
    with closing(JSONStorage(path)) as storage:
        [batch] = storage.batches()
        jobs = list(storage.jobs(batch.id))
    assert [job.id for job in jobs] == [job.index + 1 for job in jobs] == list(range(1, 61))


def test_a_fresh_file_is_followed(
    storage: JSONStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, epoch, [job] = begin(storage, "a")
    with closing(JSONStorage(path)) as other:
        monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))
        other.add(batch, [new("b")], NOW)
        monkeypatch.undo()
        assert [found.identity for found in storage.claim(batch, epoch, 5, NOW)] == ["b"]
        assert not storage.save([Change(job.to(_S.SUBMITTING), job)]).fenced
        assert facts(other) == facts(storage)


# -- locks -------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from batchkit.storage._json_log import SessionFile
with SessionFile(Path(sys.argv[1]), 5.0).locked():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_locked(path: Path) -> None:
    with closing(JSONStorage(path, timeout=0.05)) as storage:
        begin(storage, "a")
        with start(HOLDER, path) as process:
            assert word(process) == "locked"
            with pytest.raises(StorageLockedError, match="locked by another process: see whether"):
                storage.request_cancel(1, NOW)
            # Nothing is new in the file, so that looking needs no lock.
            assert storage.counts(1) == {_S.PENDING: 1}
            with pytest.raises(StorageLockedError):
                JSONStorage(path, timeout=0.05)
            go(process)
        storage.request_cancel(1, NOW)


def test_a_process_that_dies_with_the_lock_frees_it(path: Path) -> None:
    with closing(JSONStorage(path, timeout=20.0)) as storage:
        begin(storage, "a")
        with start(HOLDER, path) as process:
            assert word(process) == "locked"
            os.kill(process.pid, signal.SIGKILL)
            storage.request_cancel(1, NOW)


def test_what_a_dead_process_left_half_written_is_cut_off(
    storage: JSONStorage, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin(storage, "a")
    before = facts(storage)
    with path.open("ab") as file:
        file.write(b'{"sum":"0000')
    assert facts(storage) == before
    assert "cut off the last 12 bytes" in caplog.text
    storage.request_cancel(1, NOW)
    after = facts(storage)
    storage.close()
    assert read(path) == after


# -- the rescue file ---------------------------------------------------------------------------


def test_rescued_handles_are_evidence_for_the_next_process(path: Path) -> None:
    with closing(JSONStorage(path)) as storage:
        _, _, [a, b] = begin(storage, "a", "b")
        handle = Handle(id="paid é", data={"url": "https://x", "n": [1]})
        storage.rescue([accepted(a, handle), Change(b.to(_S.SUBMITTING), b)])
    rescued = path.with_name(path.name + ".1.rescue.jsonl")
    assert stat.S_IMODE(rescued.stat().st_mode) == 0o600
    with closing(JSONStorage(path)) as storage:
        storage.acquire(1)
        assert storage.evidence(a.id, 1) == handle
        assert storage.evidence(b.id, 1) is None
    assert not rescued.exists()
