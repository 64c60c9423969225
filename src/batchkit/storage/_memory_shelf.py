"""One batch in memory: its jobs, and who of them goes next."""

from __future__ import annotations

import heapq

import attrs

from batchkit._config import Batch
from batchkit._jobs import TERMINAL, Job, JobStatus, count_by_status
from batchkit.storage._batch_errors import gone
from batchkit.storage.base import Entry


class Shelves(dict[int, "Shelf"]):
    """The batches by their ids."""

    def __missing__(self, batch_id: int) -> Shelf:
        raise gone(batch_id)


@attrs.define(eq=False)
class Shelf:
    """Everything of one batch."""

    batch: Batch
    epoch: int = 0
    busy: bool = False
    next_index: int = 0
    jobs: dict[int, Job] = attrs.field(factory=dict)
    by_identity: dict[str, int] = attrs.field(factory=dict)
    counts: dict[JobStatus, int] = attrs.field(factory=dict)
    # (-priority, index); entries that no longer hold are dropped when they surface.
    queue: list[tuple[int, int]] = attrs.field(factory=list)
    later: list[tuple[float, int]] = attrs.field(factory=list)
    # Ids of jobs that a person wants ended; ``None`` until somebody asks.
    wishes: set[int] | None = None
    # Attempts and evidence are read from the log; only handles are looked up often.
    handles: dict[int, list[Entry]] = attrs.field(factory=dict)

    def enqueue(self, job: Job) -> None:
        if job.not_before is None:
            heapq.heappush(self.queue, (-job.priority, job.index))
        else:
            heapq.heappush(self.later, (job.not_before, job.index))

    def requeue(self) -> None:
        """What a dead runner had claimed and not begun is free again."""
        self.queue, self.later = [], []
        for job in self.jobs.values():
            if job.status is JobStatus.PENDING:
                self.enqueue(job)

    def put(self, job: Job, was: JobStatus) -> None:
        self.jobs[job.index] = job
        if job.status is not was:
            self.counts[was] -= 1
            self.counts[job.status] = self.counts.get(job.status, 0) + 1
        if job.status is JobStatus.PENDING:
            self.enqueue(job)
        self.note_wish(job)

    def note_wish(self, job: Job) -> None:
        """Remembers whether a person wants this job ended, as long as it can be."""
        if self.wishes is None:
            return
        if job.cancel_requested_at is not None and not job.done:
            self.wishes.add(job.id)
        else:
            self.wishes.discard(job.id)

    def wanted_ended(self) -> set[int]:
        """Ids of jobs, not all of them in flight, that a person wants ended."""
        if self.wishes is None:
            self.wishes = set()
            for job in self.jobs.values():
                self.note_wish(job)
        return self.wishes


def kept_by_persons(job: Job, stored: Job) -> Job:
    """A runner's record with the fields that persons may have changed meanwhile."""
    if job.status is JobStatus.PENDING:
        job = job.evolve(epoch=0)
    changed = stored.cancel_requested_at is not None or stored.priority != job.priority
    if not changed and stored.metadata is job.metadata and stored.request is job.request:
        return job
    return job.evolve(
        priority=stored.priority,
        metadata=stored.metadata,
        request=stored.request,
        cancel_requested_at=stored.cancel_requested_at,
    )


def is_over(shelf: Shelf, before: float) -> bool:
    """Whether every job ended before that time, or there never was one and the batch is older."""
    if not shelf.jobs:
        return shelf.batch.created < before
    ended = all(status in TERMINAL for status in count_by_status(shelf.jobs.values()))
    return ended and max(job.completed or 0.0 for job in shelf.jobs.values()) < before
