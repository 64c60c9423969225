"""Stands in front of any storage: lets its writes fail, and shows the judge what was written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from sim_judge import handle_of, handles_in
from sim_world import World

from batchkit import (
    Handle,
    Job,
    JobStatus,
    StorageError,
    StorageFullError,
    StorageLockedError,
)
from batchkit._config import Batch, Control
from batchkit.storage import Change, Entry, NewJob, Storage
from batchkit.storage.base import Saved
from batchkit.testing import Crash

T = TypeVar("T")
FAULTS = (StorageLockedError, StorageFullError, StorageError)
#: A paused batch may claim that long: the time between two looks.
LOOKS = 0.25


class SimStorage:
    """Everything that is not a fault or a look goes straight through.

    Args:
        world: whose chance and judge.
        inner: the storage under test.
        faulty: writes may fail; those of a person do not.
    """

    def __init__(self, world: World, inner: Storage, *, faulty: bool = True) -> None:
        self.world, self.inner, self._faulty = world, inner, faulty
        self._judge = world.judge

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    # -- faults ----------------------------------------------------------------------------

    def _do(self, name: str, work: Callable[[], T]) -> T:
        if not self._faulty:
            return work()
        world = self.world
        if world.draw("storage crash"):
            if world.rng.random() < 0.5:
                work()
            world.note(f"CRASH in {name}")
            raise Crash(name)
        self._fail("storage before", name)
        done = work()
        self._fail("storage after", name)
        return done

    def _fail(self, kind: str, name: str) -> None:
        if self.world.draw(kind):
            self.world.note(f"{kind}: {name} fails")
            raise self.world.rng.choice(FAULTS)(f"{kind} {name}")

    # -- batches ---------------------------------------------------------------------------

    def find_batch(self, name: str) -> Batch | None:
        return self._do("find_batch", lambda: self.inner.find_batch(name))

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        def work() -> bool:
            done = self.inner.set_control(batch_id, control, reason, entry, only_from=only_from)
            if done:
                self.world.controlled(control)
                self.world.note(f"  batch: {control} {reason}")
            return done

        return self._do("set_control", work)

    def acquire(self, batch_id: int) -> int:
        self._fail("storage before", "acquire")
        epoch = self.inner.acquire(batch_id)
        if self.world.rescued and not self.world.has_rescue_file:
            self.inner.append(batch_id, self.world.rescued)
        for entry in self.world.rescued:
            known = self.inner.evidence(entry.job_id, entry.attempt)
            self._judge.require(known is not None, f"{entry} was rescued, and is no evidence")
        self.world.rescued = []
        return epoch

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        added = self.inner.add(batch_id, items, now)
        for item, (job_id, new) in zip(items, added, strict=True):
            if new:
                self._judge.status[job_id] = JobStatus.PENDING
                self._judge.items[job_id] = item.request.title.partition(" [")[0]
        return added

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        # A server tells of changes in its own time.
        at_once = "://" not in self.world.plan.storage
        paused = self.world.paused_for()
        self._judge.require(not (at_once and paused > LOOKS), f"claims, though paused {paused}")
        jobs = self._do("claim", lambda: self.inner.claim(batch_id, epoch, limit, now))
        for job in jobs:
            self._judge.require(job.status is JobStatus.PENDING, f"{job!r} was claimed")
        return jobs

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        return self._do("in_flight", lambda: self.inner.in_flight(batch_id, epoch))

    def save(self, changes: Sequence[Change]) -> Saved:
        for change in changes:
            self._judge.saving(change)
        return self._do("save", lambda: self._save(changes))

    def _save(self, changes: Sequence[Change]) -> Saved:
        saved = self.inner.save(changes)
        self._journalled(changes, saved.first_seq)
        for position, change in enumerate(changes):
            self._judge.wrote(handles_in(change.entries))
            if position in saved.fenced:
                self.world.note(f"  job {change.job.id}: fenced, {change.job.status} is not stored")
                self.world.tally["fenced"] += 1
                self._judge.odd.add(change.job.id)
                continue
            self._judge.wrote(handle_of(change.job))
            self._judge.saved(change)
            if change.job.status is JobStatus.COMPLETED:
                self.world.delivered(change.job)
        return saved

    def _journalled(self, changes: Sequence[Change], first: int) -> None:
        """The journal has every line of a save, in order, wherever its state went."""
        wanted = [(e.kind, e.job_id, e.attempt) for c in changes for e in c.entries]
        if not wanted:
            return
        lines = self.inner.journal(changes[0].job.batch_id, first - 1, len(wanted))
        found = [(e.kind, e.job_id, e.attempt) for e in lines]
        self._judge.require(found == wanted, f"the journal has {found}, not {wanted}")

    def rescue(self, changes: Sequence[Change]) -> None:
        world = self.world
        entries = [entry for change in changes for entry in change.entries]
        if self._faulty and world.draw("rescue"):
            self._judge.died()
            raise OSError("the disk refuses the rescue file too")
        self.inner.rescue(changes)
        kept = [entry for entry in entries if handles_in([entry])]
        world.rescued += kept
        world.note(f"rescued: {handles_in(kept)}")
        self._judge.wrote(handles_in(kept))
        self._judge.odd.update(entry.job_id for entry in kept)

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        done = self.inner.steer(job, was, entry)
        if done:
            self._judge.steered(job, was)
            self._judge.wrote(handle_of(job))
        return done

    def remove(self, job_id: int) -> bool:
        gone = self.inner.remove(job_id)
        if gone:
            del self._judge.status[job_id]
        return gone

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        return self._do("cancel_requests", lambda: self.inner.cancel_requests(batch_id))

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        return self._do("counts", lambda: self.inner.counts(batch_id))

    # -- journal ---------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        def work() -> int:
            first = self.inner.append(batch_id, entries)
            if late := handles_in(entries):
                self.world.tally["late answers"] += 1
                self._judge.wrote(late)
                self._judge.odd.update(entry.job_id for entry in entries)
            return first

        return self._do("append", work)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        return self._do("evidence", lambda: self.inner.evidence(job_id, attempt))
