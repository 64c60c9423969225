"""One batch in memory: its jobs, and who of them goes next."""

from __future__ import annotations

import heapq

import attrs

from batchkit._config import Batch
from batchkit._jobs import TERMINAL, Job, JobStatus, count_by_status
from batchkit.storage.base import Entry


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
    ended = all(status in TERMINAL for status in count_by_status(shelf.jobs.values()))
    return (
        ended
        and bool(shelf.jobs)
        and max(job.completed or 0.0 for job in shelf.jobs.values()) < before
    )
