"""Both backends hold the contract, and the suite notices those that do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from batchkit import Batch, Handle, Job, JobStatus
from batchkit._config import Durability
from batchkit.storage import Change, Entry, MemoryStorage, Saved, SQLiteStorage, Storage
from batchkit.storage._memory_shelf import Shelf
from batchkit.testing import check_storage


def test_memory() -> None:
    check_storage(MemoryStorage)


def test_sqlite_in_memory() -> None:
    check_storage(lambda: SQLiteStorage(":memory:"))


@pytest.mark.parametrize("durability", get_args(Durability))
def test_sqlite_file(tmp_path: Path, durability: Durability) -> None:
    numbers = itertools.count()

    def make() -> Storage:
        return SQLiteStorage(tmp_path / f"{next(numbers)}.db", durability=durability)

    def reopen(storage: Storage) -> Storage:
        storage.close()
        return SQLiteStorage(storage.location, durability=durability)

    check_storage(make, reopen)


# -- the suite itself --------------------------------------------------------------------------


class ManyBatches(MemoryStorage):
    def open_batch(self, name: str, now: float) -> Batch:
        return super().open_batch(f"{name}{len(self.batches())}", now)


class SharedRunner(MemoryStorage):
    def acquire(self, batch_id: int) -> int:
        self.release(batch_id)
        return super().acquire(batch_id)


class OneEpoch(MemoryStorage):
    def acquire(self, batch_id: int) -> int:
        return min(1, super().acquire(batch_id))


class Backwards(MemoryStorage):
    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        return list(reversed(super().claim(batch_id, epoch, limit, now)))


class Impatient(MemoryStorage):
    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        return super().claim(batch_id, epoch, limit, now + 1e6)


class Generous(MemoryStorage):
    """Hands a job out again while its runner has not begun it."""

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        mine = [job for job in self.jobs(batch_id, {JobStatus.PENDING}) if job.epoch == epoch]
        return [*mine, *super().claim(batch_id, epoch, limit, now)][:limit]


class Unfenced(MemoryStorage):
    def save(self, changes: Sequence[Change]) -> Saved:
        for change in changes:
            found = self.get(change.job.id)
            change.job = change.job.evolve(epoch=found.epoch if found else 0)
        return super().save(changes)


class AllOrNothing(MemoryStorage):
    """One fenced change undoes its neighbours."""

    def save(self, changes: Sequence[Change]) -> Saved:
        stale = [c for c in changes if (job := self.get(c.job.id)) and job.epoch != c.job.epoch]
        return super().save(changes if not stale else [])


class Forgetful(MemoryStorage):
    """A fenced writer's journal lines are lost, and what the provider told it with them."""

    def save(self, changes: Sequence[Change]) -> Saved:
        for change in changes:
            job = self.get(change.job.id)
            if job is None or job.epoch != change.job.epoch:
                change.entries = ()
        return super().save(changes)


class PoliteSteer(MemoryStorage):
    """A person's change leaves the runner in charge."""

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        done = super().steer(job, was, entry)
        shelf, index = self._of_job[job.id]
        shelf.jobs[index] = shelf.jobs[index].evolve(epoch=job.epoch)
        return done


class BlindSteer(MemoryStorage):
    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        found = self.get(job.id)
        return super().steer(job, found.status if found else was, entry)


class LateSteer(MemoryStorage):
    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        found = self.get(job.id)
        return super().steer(job.evolve(attempt=found.attempt if found else 0), was, entry)


class WishesLost(MemoryStorage):
    def save(self, changes: Sequence[Change]) -> Saved:
        saved = super().save(changes)
        for change in changes:
            shelf, index = self._of_job[change.job.id]
            shelf.jobs[index] = shelf.jobs[index].evolve(cancel_requested_at=None)
        return saved


class DriftingCounts(MemoryStorage):
    def counts(self, batch_id: int) -> dict[JobStatus, int]:
        return {**super().counts(batch_id), JobStatus.FAILED: 1}


class NoEvidence(MemoryStorage):
    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        return None


class EndlessJournal(MemoryStorage):
    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return super().journal(batch_id, since)


class EagerPrune(MemoryStorage):
    def prune(self, before: float) -> int:
        return super().prune(float("inf"))


class RuthlessPrune(MemoryStorage):
    """Deletes what somebody runs."""

    def prune(self, before: float) -> int:
        for batch in self.batches():
            self.release(batch.id)
        return super().prune(before)


class Hoarder(MemoryStorage):
    """Keeps empty batches for ever."""

    def _clear(self, shelf: Shelf) -> int:
        return super()._clear(shelf) if shelf.jobs else 0


class Quiet(MemoryStorage):
    """Does not tell the runner that a job went."""

    def remove(self, job_id: int) -> bool:
        noted = self._noted
        done = super().remove(job_id)
        self._noted = noted
        return done


class NoRescue(MemoryStorage):
    def rescue(self, changes: Sequence[Change]) -> None:
        pass


class Timeless(MemoryStorage):
    """Rescued handles lose the time at which the provider gave them."""

    def rescue(self, changes: Sequence[Change]) -> None:
        for change in changes:
            change.entries = [entry._replace(at=0.0) for entry in change.entries]
        super().rescue(changes)


class Punctual(MemoryStorage):
    """Forgets who must wait again when the clock is set back."""

    def next_due(self, batch_id: int, now: float) -> float | None:
        queue, self._shelves[batch_id].queue = self._shelves[batch_id].queue, []
        due = super().next_due(batch_id, now)
        self._shelves[batch_id].queue = queue
        return due


class Careless(MemoryStorage):
    """Deletes what was submitted already."""

    def remove(self, job_id: int) -> bool:
        if job := self.get(job_id):
            shelf, index = self._of_job[job_id]
            shelf.jobs[index] = job.evolve(attempt=0)
        return super().remove(job_id)


class Free(MemoryStorage):
    def cost(self, batch_id: int) -> float | None:
        return super().cost(batch_id) or None


class Closable(MemoryStorage):
    """Closes once; the second time of each clause's own is forgiven, so that the others run."""

    closes = 0

    def close(self) -> None:
        self.closes += 1
        if self.closes == 2:
            raise RuntimeError("closed already")


class Racing(MemoryStorage):
    """Looks and takes in two steps, as a backend without transactions does."""

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        seen = list(self.jobs(batch_id, {JobStatus.PENDING}))[:limit]
        return [self._stamp(job, epoch) for job in seen if job.epoch != epoch]

    def _stamp(self, job: Job, epoch: int) -> Job:
        shelf, index = self._of_job[job.id]
        with self._lock:
            shelf.jobs[index] = job.evolve(epoch=epoch)
        return shelf.jobs[index]


class Drained(MemoryStorage):
    """What a dead runner had claimed stays with it."""

    def acquire(self, batch_id: int) -> int:
        shelf = self._shelves[batch_id]
        waiting = set(shelf.queue)
        epoch = super().acquire(batch_id)
        shelf.queue = sorted(waiting)
        return epoch


class DuplicateAdds(MemoryStorage):
    def add(self, batch_id: int, items: Sequence[Any], now: float) -> Sequence[tuple[int, bool]]:
        once = [attrs.evolve(item, identity=f"{item.identity}{id(item)}") for item in items]
        return super().add(batch_id, once, now)


MUTANTS: tuple[tuple[type[MemoryStorage], str], ...] = (
    (ManyBatches, "open_batch"),
    (DuplicateAdds, "add: ids"),
    (SharedRunner, "acquire: one runner"),
    (OneEpoch, "acquire: one runner"),
    (Drained, "acquire: what a dead runner"),
    (Backwards, "claim: by priority"),
    (Impatient, "claim, next_due"),
    (Generous, "claim: never"),
    (Racing, "claim: by priority"),
    (Unfenced, "save: a fenced change"),
    (AllOrNothing, "save: a fenced change"),
    (Forgetful, "evidence: what a fenced writer"),
    (PoliteSteer, "steer: only"),
    (BlindSteer, "steer: only"),
    (LateSteer, "steer: not from"),
    (WishesLost, "request_cancel"),
    (DriftingCounts, "counts: equal a recount"),
    (NoEvidence, "attempts: every submission"),
    (EndlessJournal, "append, journal"),
    (EagerPrune, "prune"),
    (RuthlessPrune, "prune: spares"),
    (Hoarder, "prune: spares"),
    (Quiet, "shared, location, changed"),
    (NoRescue, "rescue"),
    (Timeless, "rescue"),
    (Punctual, "claim, next_due"),
    (Careless, "remove"),
    (Free, "cost"),
    (Closable, "close"),
)


@pytest.mark.parametrize(
    ("mutant", "clause"), MUTANTS, ids=lambda case: getattr(case, "__name__", None)
)
def test_a_broken_storage_is_found(mutant: Callable[[], Storage], clause: str) -> None:
    with pytest.raises(AssertionError, match=f"(?m)^{clause}"):
        check_storage(mutant)


def test_a_storage_that_forgets_is_found() -> None:
    with pytest.raises(AssertionError, match=r"(?m)^reopen: everything is still there"):
        check_storage(MemoryStorage, lambda _: MemoryStorage())


class Deaf(MemoryStorage):
    def cancel_requests(self, batch_id: int) -> Collection[int]:
        raise KeyError("no such column")


def test_whatever_a_storage_raises_breaks_the_clause() -> None:
    with pytest.raises(AssertionError, match=r"(?m)^request_cancel: .*KeyError: 'no such column'"):
        check_storage(Deaf)


class Orphan(MemoryStorage):
    """Does not know which jobs are not there."""

    def attempts(self, job_id: int) -> Sequence[Any]:
        return []

    def get(self, job_id: int) -> Job | None:
        found = super().get(job_id)
        return None if found is None or found.attempt else found


def test_a_job_that_vanishes_is_told() -> None:
    with pytest.raises(AssertionError, match=r"JobNotFoundError.*nothing was raised") as caught:
        check_storage(Orphan)
    assert "is gone" in str(caught.value)
