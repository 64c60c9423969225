"""What the tests of the JSON storage share."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from batchkit._jobs import count_by_status
from batchkit.storage import JSONStorage, Storage
from batchkit.testing._check_storage_base import lasting

Facts = dict[str, object]


def facts(storage: Storage) -> Facts:
    """Everything that a storage tells of its batches."""
    found: Facts = {}
    for batch in storage.batches():
        jobs = list(storage.jobs(batch.id, results=True))
        found[batch.name] = (
            batch,
            [lasting(job) for job in jobs],
            dict(storage.counts(batch.id)),
            list(storage.journal(batch.id)),
            [storage.evidence(job.id, 1) for job in jobs],
        )
    return found


def read(path: Path) -> Facts:
    """The same, of a file that nobody has open."""
    with contextlib.closing(JSONStorage(path)) as storage:
        for batch in storage.batches():
            recount = count_by_status(storage.jobs(batch.id))
            assert dict(storage.counts(batch.id)) == recount
        return facts(storage)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Allows this process no file of more bytes: writes stop there, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def start(script: str, path: Path) -> subprocess.Popen[str]:
    """A program of its own with a path as its argument."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def word(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    """Lets it go on."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
