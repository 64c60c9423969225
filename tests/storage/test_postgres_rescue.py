"""Handles that could not be saved, batches that were pruned, and forks, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchkit import Handle, Job, JobStatus, StorageError
from batchkit._events import JobSubmitted
from batchkit.storage import Change, Entry
from batchkit.testing._check_storage_base import NOW, advance, begin, new_job
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus


def accepted(job: Job, handle: str) -> Change:
    sent = job.evolve(status=_S.SUBMITTING, attempt=1)
    line = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": handle}})
    return Change(sent.to(_S.PROCESSING, handle=Handle(id=handle)), sent, [line])


# -- rescued handles ---------------------------------------------------------------------------


def test_rescued_handles_are_evidence_for_the_next_runner(make: Make, tmp_path: Path) -> None:
    storage = make()
    batch, epoch = begin(storage, "a", "b")
    jobs = storage.claim(batch, epoch, 2, NOW)
    storage.rescue([accepted(jobs[0], "h1"), accepted(jobs[1], "h2")])
    [file] = tmp_path.glob("rescue*")
    assert file.stat().st_mode & 0o777 == 0o600
    storage.release(batch)
    other = make()
    other.acquire(batch)
    assert [other.evidence(job.id, 1) for job in jobs] == [Handle(id="h1"), Handle(id="h2")]
    assert [line.seq for line in other.journal(batch)] == [1, 2]
    assert not file.exists()


def test_handles_that_are_known_already_are_passed_over(make: Make) -> None:
    storage = make()
    batch, epoch = begin(storage, "a", "b")
    jobs = storage.claim(batch, epoch, 2, NOW)
    storage.append(batch, accepted(jobs[0], "h1").entries)
    storage.rescue([accepted(jobs[0], "h1"), accepted(jobs[1], "h2")])
    storage.release(batch)
    storage.acquire(batch)
    assert [line.job_id for line in storage.journal(batch)] == [job.id for job in jobs]


def test_a_runner_that_is_refused_leaves_them(make: Make, tmp_path: Path) -> None:
    storage, other = make(), make()
    batch, epoch = begin(storage, "a")
    storage.rescue([accepted(job, "h1") for job in storage.claim(batch, epoch, 1, NOW)])
    with pytest.raises(StorageError):
        other.acquire(batch)
    assert len(list(tmp_path.glob("rescue*"))) == 1


# -- prune -------------------------------------------------------------------------------------


def test_prune_spares_what_somebody_runs(make: Make) -> None:
    mine, other = make(), make()
    batch, epoch = begin(mine, "a")
    [job] = mine.claim(batch, epoch, 1, NOW)
    advance(mine, job, _S.FAILED, completed=NOW)
    assert other.prune(NOW + 1) == 0
    mine.release(batch)
    before = other.changed()
    assert other.prune(NOW + 1) == 1
    assert other.changed() != before
    assert list(mine.batches()) == []


def test_empty_batches_go_when_they_are_old(make: Make) -> None:
    storage = make()
    storage.open_batch("old", NOW)
    storage.open_batch("young", NOW + 9)
    assert storage.prune(NOW + 1) == 0
    assert [batch.name for batch in storage.batches()] == ["young"]


def test_a_batch_that_was_pruned_meanwhile(make: Make) -> None:
    storage = make()
    batch = storage.open_batch("b", NOW).id
    storage.prune(NOW + 1)
    for use in (
        lambda: storage.acquire(batch),
        lambda: storage.add(batch, [new_job("a")], NOW),
        lambda: storage.update_batch(batch, max_concurrent=1),
        lambda: storage.append(batch, [Entry("progress", NOW)]),
        lambda: storage.claim(batch, 1, 1, NOW),
    ):
        with pytest.raises(StorageError, match=r"was pruned .* open it again"):
            use()


# -- forks -------------------------------------------------------------------------------------

FORK = """
import os, sys
from batchkit import StorageError
from batchkit.storage import PostgresStorage
storage = PostgresStorage(sys.argv[1])
batch = storage.open_batch("b", 1.0).id
epoch = storage.acquire(batch)
child = os.fork()
if child == 0:
    for use in (storage.batches, lambda: storage.acquire(batch), storage.changed,
                lambda: storage.set_control(batch, "paused", "", None)):
        try:
            use()
        except StorageError as exc:
            print(exc, flush=True)
    storage.release(batch)
    storage.close()
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(storage.in_flight(batch, epoch), storage.changed(), flush=True)
storage.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_cannot_use_its_parents_storage(server: Server, schema: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(
        [*command, server.dsn(schema=schema)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *refusals, last = done.stdout.splitlines()
    assert len(refusals) == 4
    assert all("was opened before this process was forked" in line for line in refusals)
    # The parent goes on, and heard nothing.
    assert last == "[] (0, 0)"
