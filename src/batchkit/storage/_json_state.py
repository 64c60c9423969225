"""What a session file says, in memory: the reference storage, which tells what was changed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from batchkit._codec import dumps
from batchkit._config import Batch
from batchkit._jobs import Job, JobStatus
from batchkit.storage._json_records import (
    UnknownFieldError,
    fields_of,
    load_batch,
    load_entry,
    load_fields,
    new_job,
    plain_batch,
    plain_entry,
)
from batchkit.storage._memory_shelf import Shelf, is_over
from batchkit.storage.base import Entry, NewJob
from batchkit.storage.memory import MemoryStorage

#: One line of a file: what became true together.
Line = dict[str, Any]

#: What a line may tell of.
_KINDS = frozenset({"batches", "jobs", "gone", "pruned", "journal", "seq"})
#: Journal lines of one line of a snapshot.
_RUN = 50
#: Stands for journal lines of batches that were pruned: the numbers of the others must not change.
_GAP = Entry("", 0.0)
#: What a host's program may still hold, and change, after it handed it over.
_MUTABLE = frozenset({"metadata", "prepared", "result", "handle"})


class _Jobs(dict[int, Job]):
    """The jobs of a batch by index; remembers how each stood before it was first changed."""

    def __init__(self, batch_id: int, before: dict[tuple[int, int], Job | None]) -> None:
        super().__init__()
        self._batch_id, self._before = batch_id, before

    def __setitem__(self, index: int, job: Job) -> None:
        self._before.setdefault((self._batch_id, index), self.get(index))
        super().__setitem__(index, job)

    def __delitem__(self, index: int) -> None:
        self._before.setdefault((self._batch_id, index), self[index])
        super().__delitem__(index)


class State(MemoryStorage):
    """Operations are those of the reference; :meth:`changes` says what the last of them did."""

    def __init__(self) -> None:
        super().__init__()
        # As they were written: a class that knows fewer fields must not lose the others.
        self._requests: dict[int, Any] = {}
        self._before: dict[tuple[int, int], Job | None] = {}
        self._batches: dict[int, None] = {}
        self._pruned: list[int] = []
        self._told = 0

    # -- operations ------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        """As the contract says."""
        batch = super().open_batch(name, now)
        shelf = self._shelves[batch.id]
        if not isinstance(shelf.jobs, _Jobs):
            shelf.jobs = _Jobs(batch.id, self._before)
            self._batches[batch.id] = None
        return batch

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        """As the contract says."""
        self._batches[batch_id] = None
        return super().update_batch(batch_id, **changes)

    def acquire(self, batch_id: int) -> int:
        """The next epoch; that there is no other runner is for the caller to know."""
        self._shelves[batch_id].busy = False
        self._batches[batch_id] = None
        return super().acquire(batch_id)

    @property
    def ids(self) -> set[int]:
        """Every batch that is there."""
        return set(self._shelves)

    def over(self, before: float) -> set[int]:
        """Batches that may be pruned."""
        return {n for n, shelf in self._shelves.items() if is_over(shelf, before)}

    def delete(self, batch_ids: Collection[int]) -> int:
        """Deletes batches with everything that is theirs; returns how many jobs went."""
        self._noted += bool(batch_ids)
        return sum(self._clear(self._shelves[batch_id]) for batch_id in batch_ids)

    def handles_of(self, job_id: int) -> list[Entry]:
        """The journal lines of a job that hold a handle."""
        found = self._of_job.get(job_id)
        return [] if found is None else found[0].handles.get(job_id, [])

    def name_of(self, batch_id: int) -> str:
        """The name of a batch."""
        return self._shelves[batch_id].batch.name

    def _add(self, shelf: Shelf, item: NewJob, now: float) -> tuple[int, bool]:
        job_id, new = super()._add(shelf, item, now)
        if new:
            self._requests[job_id] = json.loads(item.stored)
        return job_id, new

    def _clear(self, shelf: Shelf) -> int:
        self._pruned.append(shelf.batch.id)
        for job in shelf.jobs.values():
            del self._requests[job.id]
        return super()._clear(shelf)

    # -- what was changed ------------------------------------------------------------------

    def changes(self) -> Line:
        """What was changed since the last call, for one line; empty when nothing was."""
        line: Line = {
            "batches": [self._batch(self._shelves[n]) for n in self._batches if n in self._shelves],
            **self._changed_jobs(),
            "journal": self._lines(self._told, len(self._log)),
            "pruned": list(self._pruned),
        }
        if line["journal"]:
            line["seq"] = self._told + 1
        self._seen()
        return {name: value for name, value in line.items() if value}

    def _seen(self) -> None:
        self._before.clear()
        self._batches.clear()
        self._pruned.clear()
        self._told = len(self._log)

    @property
    def changed_anything(self) -> bool:
        """Whether :meth:`changes` would say anything."""
        return bool(self._before or self._batches or self._pruned or self._told < len(self._log))

    def _changed_jobs(self) -> Line:
        jobs: list[Line] = []
        gone: list[int] = []
        for (batch_id, index), before in self._before.items():
            shelf = self._shelves.get(batch_id)
            job = None if shelf is None else shelf.jobs.get(index)
            if job is None:
                if shelf is not None and before is not None:
                    self._requests.pop(before.id)
                    gone.append(before.id)
            elif before is None:
                jobs.append(self._job(job))
            elif fields := fields_of(job, before):
                jobs.append({"id": job.id, **fields})
        return {"jobs": jobs, "gone": gone}

    def _batch(self, shelf: Shelf) -> Line:
        place = {"epoch": shelf.epoch, "next_index": shelf.next_index}
        return {**plain_batch(shelf.batch), **place}

    def _job(self, job: Job) -> Line:
        known = {"id": job.id, "batch": job.batch_id, "request": self._requests[job.id]}
        return {**known, **fields_of(job)}

    def _lines(self, first: int, last: int) -> list[Line]:
        pairs = zip(self._log_batch[first:last], self._log[first:last], strict=True)
        return [plain_entry(batch_id, entry) for batch_id, entry in pairs]

    def snapshot(self) -> Iterator[Line]:
        """Everything, as the lines of a fresh file after its header."""
        for shelf in self._shelves.values():
            yield {"batches": [self._batch(shelf)]}
            for job in shelf.jobs.values():
                yield {"jobs": [self._job(job)]}
        start = 0
        for kept, run in itertools.groupby(self._log_batch, self._shelves.__contains__):
            end = start + sum(1 for _ in run)
            for first in range(start, end, _RUN) if kept else ():
                lines = self._lines(first, min(first + _RUN, end))
                yield {"seq": first + 1, "journal": lines}
            start = end
        # The next number, also when the last lines were those of a batch that is gone.
        yield {"seq": len(self._log) + 1}

    def numbers(self) -> dict[str, int]:
        """The last ids that were given out; none of them is used twice."""
        return {"job": self._last_id, "batch": self._last_batch}

    # -- what a file says ------------------------------------------------------------------

    def start_at(self, header: Mapping[str, Any]) -> None:
        """Takes up what the first line of a file says."""
        numbers = header["last"]
        self._last_id, self._last_batch = numbers["job"], numbers["batch"]

    def apply(self, line: Mapping[str, Any]) -> None:
        """Makes true what a line says.

        Raises:
            UnknownFieldError: it says more than this version understands.
        """
        if unknown := line.keys() - _KINDS:
            raise UnknownFieldError(f"a line has {min(unknown)!r}")
        for record in line.get("batches", ()):
            self._apply_batch(record)
        for record in line.get("jobs", ()):
            self._apply_job(record)
        for job_id in line.get("gone", ()):
            del self._requests[job_id]
            self.remove(job_id)
        if "seq" in line:
            self.skip_to(line["seq"])
        for record in line.get("journal", ()):
            self._note(self._shelves[record["batch"]], load_entry(record))
        for batch_id in line.get("pruned", ()):
            self._clear(self._shelves[batch_id])
        self._seen()

    def skip_to(self, seq: int) -> None:
        """The next journal line gets this number."""
        missing = seq - 1 - len(self._log)
        if missing < 0:
            raise ValueError(f"journal line {seq} is here already")
        self._log += [_GAP] * missing
        self._log_batch += [0] * missing
        self._told = len(self._log)

    def _apply_batch(self, record: Mapping[str, Any]) -> None:
        fields = dict(record)
        epoch, next_index = fields.pop("epoch"), fields.pop("next_index")
        batch = load_batch(fields)
        shelf = self._shelves.get(batch.id)
        if shelf is None:
            shelf = Shelf(batch, jobs=_Jobs(batch.id, self._before))
            self._shelves[batch.id] = shelf
            self._last_batch = max(self._last_batch, batch.id)
        acquired = shelf.epoch != epoch
        shelf.batch, shelf.epoch, shelf.next_index = batch, epoch, next_index
        if acquired:
            shelf.requeue()

    def _apply_job(self, record: Mapping[str, Any]) -> None:
        fields = dict(record)
        job_id = fields.pop("id")
        if "batch" in fields:
            self._apply_new(job_id, fields)
            return
        shelf, index = self._of_job[job_id]
        job = shelf.jobs[index]
        shelf.put(job.evolve(**load_fields(fields)), job.status)

    def _apply_new(self, job_id: int, fields: dict[str, Any]) -> None:
        shelf = self._shelves[fields.pop("batch")]
        self._requests[job_id] = request = fields.pop("request")
        job = new_job(job_id, shelf.batch.id, request, fields)
        shelf.jobs[job.index] = job
        shelf.counts[job.status] = shelf.counts.get(job.status, 0) + 1
        shelf.by_identity[job.identity] = job_id
        shelf.next_index = max(shelf.next_index, job.index + 1)
        if job.status is JobStatus.PENDING:
            shelf.enqueue(job)
        self._of_job[job_id] = (shelf, job.index)
        self._last_id = max(self._last_id, job_id)

    def settle(self, line: Line) -> None:
        """After a line was written: what this process reads is what every other will read."""
        for record in line.get("jobs", ()):
            found = {name: record[name] for name in _MUTABLE & record.keys()}
            if found:
                shelf, index = self._of_job[record["id"]]
                copied = load_fields(json.loads(dumps(found)))
                shelf.jobs[index] = shelf.jobs[index].evolve(**copied)
        self._before.clear()
