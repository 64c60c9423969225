"""A storage that fails where it is told to, clients that wait for the test, and a held clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

import anyio

from batchkit import (
    Accepted,
    Capabilities,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    RemoteStatus,
    StorageFullError,
)
from batchkit.storage import Change, Entry, MemoryStorage, SQLiteStorage
from batchkit.storage.base import Saved
from batchkit.testing import FakeClock

FULL = StorageFullError("the disk is full")


class Faulty(MemoryStorage):
    """Memory that fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: Callable[[Change], bool] = lambda change: False
        self.broken: set[str] = set()
        self.rescued: list[Change] = []
        self.rescue_error: Exception | None = None
        self.hit = threading.Event()

    def save(self, changes: Sequence[Change]) -> Saved:
        if any(self.refuses(change) for change in changes):
            raise FULL
        return super().save(changes)

    def rescue(self, changes: Sequence[Change]) -> None:
        if self.rescue_error is not None:
            raise self.rescue_error
        self.rescued += [change for change in changes if change.job.handle is not None]
        for change in changes:
            self.append(change.job.batch_id, change.entries)

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        self._check("append")
        return super().append(batch_id, entries)

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        self._check("claim")
        return super().claim(batch_id, epoch, limit, now)

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        self._check("counts")
        return super().counts(batch_id)

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        self._check("cancel_requests")
        return super().cancel_requests(batch_id)

    def _check(self, what: str) -> None:
        if what in self.broken:
            self.hit.set()
            raise FULL


class FaultyFile(SQLiteStorage):
    """A database that cannot write a handle, for as long as it is told so."""

    full = False

    def save(self, changes: Sequence[Change]) -> Saved:
        if self.full and any(change.job.handle is not None for change in changes):
            raise FULL
        return super().save(changes)


def at_acceptance(change: Change) -> bool:
    return change.job.status is JobStatus.PROCESSING


class Gate:
    """A client whose submissions wait for the test, each in a thread."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.leave = threading.Event()
        self.done = False
        self.polls = 0

    def submit(self, job: Job) -> Accepted:
        self.entered.append(job.title)
        assert self.leave.wait(20)
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        self.polls += 1
        return RemoteStatus(state=RemoteState.SUCCEEDED)


class AsyncGate(Gate):
    """The same, awaited."""

    async def submit(self, job: Job) -> Accepted:  # type: ignore[override]
        self.entered.append(job.title)
        while not self.leave.is_set():
            await anyio.lowlevel.checkpoint()
        return Accepted(handle=Handle(id=job.title))


class HeldClock(FakeClock):
    """Time that moves only when the test says so."""

    def skip(self, seconds: float | None) -> bool:
        return False
