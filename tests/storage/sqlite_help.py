"""What the tests of the SQLite storage share."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchkit import (
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
)
from batchkit._codec import plain_handle
from batchkit._events import JobSubmitted
from batchkit._jobs import count_by_status
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, NewJob, SQLiteStorage, Storage

_S = JobStatus
NOW = 1000.0


def new(name: str, size: int = 0) -> NewJob:
    request = GenerateVideo(prompt=name + "x" * size)
    return NewJob(identity=name, request=request, stored=dump_request(request))


def begin(storage: Storage, *names: str) -> tuple[int, int, list[Job]]:
    batch = storage.open_batch("b", NOW).id
    storage.add(batch, [new(name) for name in names], NOW)
    epoch = storage.acquire(batch)
    return batch, epoch, list(storage.claim(batch, epoch, 100, NOW))


def accepted(job: Job, handle: Handle, at: float = NOW) -> Change:
    sent = job.evolve(status=_S.SUBMITTING, attempt=1)
    line = Entry(JobSubmitted.kind, at, job.id, 1, {"handle": plain_handle(handle)})
    return Change(sent.to(_S.PROCESSING, handle=handle), sent, [line])


def start(script: str, path: Path, *more: str) -> subprocess.Popen[str]:
    """A program on the same storage, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), *more],
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


@contextmanager
def other_program(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def whole(storage: SQLiteStorage, batch: int) -> None:
    with other_program(storage.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert dict(storage.counts(batch)) == count_by_status(storage.jobs(batch))
