"""The reference storage: dictionaries. It forgets everything when the process ends."""

from __future__ import annotations

import heapq
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs

from batchkit._config import Batch, Control
from batchkit._errors import BatchBusyError, JobNotFoundError
from batchkit._events import JobSubmitted
from batchkit._jobs import IN_FLIGHT, Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage._failures import causes_of
from batchkit.storage._journal import attempts_from, handle_from, handles_in
from batchkit.storage._memory_shelf import Shelf, Shelves, is_over, kept_by_persons
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved

_PENDING = JobStatus.PENDING
_LIVE = IN_FLIGHT | {JobStatus.UNCERTAIN}


class MemoryStorage:
    """Keeps batches in memory, for tests and for work that nobody would repeat."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shelves = Shelves()
        self._of_job: dict[int, tuple[Shelf, int]] = {}
        self._last_id = self._last_batch = self._noted = 0
        # Two lists: a pair per line would be one more object for the collector to visit.
        self._log: list[Entry] = []
        self._log_batch: list[int] = []

    #: By other runners and views that hold the same object.
    shared = True
    location = "memory"

    def __repr__(self) -> str:
        return f"<MemoryStorage {len(self._shelves)} batches, {len(self._of_job)} jobs>"

    # -- batches ---------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        with self._lock:
            found = self.find_batch(name)
            if found is None:
                self._last_batch += 1
                uid = uuid.uuid4().hex
                found = Batch(id=self._last_batch, uid=uid, name=name, created=now)
                self._shelves[found.id] = Shelf(found)
            return found

    def find_batch(self, name: str) -> Batch | None:
        shelves = list(self._shelves.values())
        return next((shelf.batch for shelf in shelves if shelf.batch.name == name), None)

    def batches(self) -> Sequence[Batch]:
        with self._lock:
            return [shelf.batch for shelf in self._shelves.values()]

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        with self._lock:
            shelf = self._shelves[batch_id]
            shelf.batch = attrs.evolve(shelf.batch, **changes)
            self._noted += 1
            return shelf.batch

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        with self._lock:
            if only_from is not None and self._shelves[batch_id].batch.control is not only_from:
                return False
            self.update_batch(batch_id, control=control, control_reason=reason)
            if entry is not None:
                self.append(batch_id, [entry])
            return True

    def acquire(self, batch_id: int) -> int:
        with self._lock:
            shelf = self._shelves[batch_id]
            if shelf.busy:
                raise BatchBusyError(
                    f"another runner works on batch {shelf.batch.name!r}: wait for it, stop it, "
                    "or give this one another name"
                )
            shelf.busy = True
            shelf.epoch += 1
            shelf.requeue()
            return shelf.epoch

    def release(self, batch_id: int) -> None:
        if batch_id in self._shelves:
            self._shelves[batch_id].busy = False

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        with self._lock:
            return [self._add(self._shelves[batch_id], item, now) for item in items]

    def _add(self, shelf: Shelf, item: NewJob, now: float) -> tuple[int, bool]:
        known = shelf.by_identity.get(item.identity)
        if known is not None:
            return known, False
        self._last_id += 1
        job = Job(
            id=self._last_id,
            batch_id=shelf.batch.id,
            index=shelf.next_index,
            identity=item.identity,
            request=item.request,
            priority=item.priority,
            metadata=item.metadata,
            created=now,
        )
        shelf.next_index += 1
        shelf.jobs[job.index] = job
        self._of_job[job.id] = (shelf, job.index)
        shelf.by_identity[item.identity] = job.id
        shelf.counts[_PENDING] = shelf.counts.get(_PENDING, 0) + 1
        shelf.enqueue(job)
        self._noted += 1
        return job.id, True

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        with self._lock:
            shelf = self._shelves[batch_id]
            while shelf.later and shelf.later[0][0] <= now:
                index = heapq.heappop(shelf.later)[1]
                if index in shelf.jobs:
                    heapq.heappush(shelf.queue, (-shelf.jobs[index].priority, index))
            claimed: list[Job] = []
            while shelf.queue and len(claimed) < limit:
                priority, index = heapq.heappop(shelf.queue)
                job = shelf.jobs.get(index)
                if job is None or job.status is not _PENDING or job.epoch == epoch:
                    continue
                if -priority != job.priority:
                    continue
                if (job.not_before or 0.0) > now:
                    # The clock was set back since it became due.
                    heapq.heappush(shelf.later, (job.not_before or 0.0, index))
                    continue
                shelf.jobs[index] = job = job.evolve(epoch=epoch)
                claimed.append(job)
            return claimed

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        with self._lock:
            shelf = self._shelves[batch_id]
            found = []
            for job in list(shelf.jobs.values()):
                if job.status in _LIVE:
                    shelf.jobs[job.index] = stamped = job.evolve(epoch=epoch)
                    found.append(stamped)
            return found

    def next_due(self, batch_id: int, now: float) -> float | None:
        with self._lock:
            shelf = self._shelves[batch_id]
            # Those in the queue have waited, but the clock may have been set back since.
            waiting = (shelf.jobs.get(index) for _, index in (*shelf.later, *shelf.queue))
            due = [
                job.not_before
                for job in waiting
                if job is not None and job.status is _PENDING and (job.not_before or 0.0) > now
            ]
            return min(time for time in due if time is not None) if due else None

    def save(self, changes: Sequence[Change]) -> Saved:
        with self._lock:
            first = len(self._log) + 1
            fenced = set()
            for position, change in enumerate(changes):
                job = change.job
                for entry in change.entries:
                    self._note(self._shelves[job.batch_id], entry)
                stored = self.get(job.id)
                if stored is None or stored.epoch != job.epoch:
                    fenced.add(position)
                    continue
                shelf = self._shelves[job.batch_id]
                shelf.put(kept_by_persons(job, stored), stored.status)
            return Saved(frozenset(fenced), first)

    def rescue(self, changes: Sequence[Change]) -> None:
        with self._lock:
            for change in changes:
                self.append(change.job.batch_id, handles_in([change]))

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        with self._lock:
            stored = self.get(job.id)
            if stored is None or stored.status is not was or stored.attempt != job.attempt:
                return False
            shelf = self._shelves[job.batch_id]
            self._noted += 1
            shelf.put(job.evolve(epoch=stored.epoch if job.status is was else 0), was)
            if entry is not None:
                self._note(shelf, entry)
            return True

    def remove(self, job_id: int) -> bool:
        with self._lock:
            job = self.get(job_id)
            if job is None or job.attempt or job.status not in (_PENDING, JobStatus.PAUSED):
                return False
            shelf, _ = self._of_job.pop(job_id)
            del shelf.jobs[job.index], shelf.by_identity[job.identity]
            shelf.counts[job.status] -= 1
            shelf.note_wish(job.evolve(cancel_requested_at=None))
            self._noted += 1
            return True

    def request_cancel(self, job_id: int, now: float) -> None:
        with self._lock:
            job = self.get(job_id)
            if job is not None:
                shelf = self._shelves[job.batch_id]
                shelf.jobs[job.index] = asked = job.evolve(cancel_requested_at=now)
                shelf.note_wish(asked)
                self._noted += 1

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        with self._lock:
            wanted = self._shelves[batch_id].wanted_ended()
            return [id_ for id_ in wanted if (job := self.get(id_)) and job.status in _LIVE]

    def get(self, job_id: int) -> Job | None:
        with self._lock:
            found = self._of_job.get(job_id)
            return None if found is None else found[0].jobs[found[1]]

    def find(self, batch_id: int, identity: str) -> Job | None:
        job_id = self._shelves[batch_id].by_identity.get(identity)
        return None if job_id is None else self.get(job_id)

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        for job in list(self._shelves[batch_id].jobs.values()):
            if statuses is None or job.status in statuses:
                yield job

    def result(self, job_id: int) -> JobResult | None:
        job = self.get(job_id)
        return None if job is None else job.result

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        with self._lock:
            counts = self._shelves[batch_id].counts
            return {status: n for status, n in counts.items() if n}

    def cost(self, batch_id: int) -> float | None:
        costs = [job.cost for job in self.jobs(batch_id) if job.cost is not None]
        return sum(costs) if costs else None

    def failures(self, batch_id: int) -> Sequence[Failures]:
        return causes_of(self.jobs(batch_id, {JobStatus.FAILED, JobStatus.EXPIRED}))

    # -- journal ---------------------------------------------------------------------------

    def _note(self, shelf: Shelf, entry: Entry) -> None:
        self._log_batch.append(shelf.batch.id)
        self._log.append(entry)
        if entry.kind == JobSubmitted.kind:
            shelf.handles.setdefault(entry.job_id, []).append(entry)

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        with self._lock:
            first = len(self._log) + 1
            for entry in entries:
                self._note(self._shelves[batch_id], entry)
            self._noted += 1
            return first

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        found: list[Entry] = []
        for position in range(since, len(self._log)):
            if self._log_batch[position] == batch_id:
                entry = self._log[position]
                found.append(entry._replace(seq=position + 1))
                if len(found) == limit:
                    break
        return found

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        job = self.get(job_id)
        if job is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        shelf = self._of_job[job_id][0]
        lines = [entry for entry in self._log if entry.job_id == job_id]
        return attempts_from(lines, shelf.batch.uid, job.index)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        found = self._of_job.get(job_id)
        return None if found is None else handle_from(found[0].handles.get(job_id, []), attempt)

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self) -> object:
        return self._noted

    def prune(self, before: float) -> int:
        with self._lock:
            shelves = self._shelves.values()
            over = [shelf for shelf in shelves if not shelf.busy and is_over(shelf, before)]
            self._noted += bool(over)
            return sum(self._clear(shelf) for shelf in over)

    def _clear(self, shelf: Shelf) -> int:
        for job in shelf.jobs.values():
            del self._of_job[job.id]
        del self._shelves[shelf.batch.id]
        return len(shelf.jobs)

    def close(self) -> None:
        """Keeps everything: whoever holds this object may open it again."""
