"""What the tests of the SQLite storage share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchkit import (
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
)
from batchkit._events import JobSubmitted
from batchkit._jobs import count_by_status
from batchkit._requests import dump_request
from batchkit.storage import Change, NewJob, SQLiteStorage, Storage

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


def accepted(job: Job, handle: Handle) -> Change:
    sent = job.evolve(status=_S.SUBMITTING, attempt=1)
    return Change(sent.to(_S.PROCESSING, handle=handle), sent, told=[JobSubmitted])


@contextmanager
def other_program(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def whole(storage: SQLiteStorage, batch: int) -> None:
    with other_program(storage.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert dict(storage.counts(batch)) == count_by_status(storage.jobs(batch))
