"""What the clauses of :func:`check_storage` share: a batch with a runner, saves, requirements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchkit._jobs import TERMINAL, Job, JobStatus, count_by_status
from batchkit._requests import GenerateVideo, Request, dump_request
from batchkit._results import JobResult
from batchkit.storage.base import Change, Entry, NewJob, Saved, Storage

Clause = Callable[[Storage], None]

NOW = 1_800_000_000.25
_S = JobStatus
#: The longest way of a job, step by step.
WHOLE_WAY = (_S.SUBMITTING, _S.PROCESSING, _S.COLLECTING, _S.COMPLETED)
UNICODE = "ação 🎬 \u2028\u0085 \u202eنص\u202c '\";--\\"


def require(condition: object, message: str) -> None:
    """``assert`` that ``python -O`` keeps."""
    if not condition:
        raise AssertionError(message)


def equal(found: object, wanted: object, what: str) -> None:
    """Requires two values to be equal, and shows both when they are not."""
    require(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def new_job(identity: str, request: Request | None = None, **fields: Any) -> NewJob:
    """A job to add."""
    asked = request or GenerateVideo(prompt=identity)
    return NewJob(identity=identity, request=asked, stored=dump_request(asked), **fields)


def begin(storage: Storage, *items: NewJob | str) -> tuple[int, int]:
    """A batch with these items and a runner: its id and the runner's epoch."""
    batch = storage.open_batch("conformance", NOW).id
    made = [item if isinstance(item, NewJob) else new_job(item) for item in items]
    storage.add(batch, made, NOW)
    return batch, storage.acquire(batch)


def stored(storage: Storage, job_id: int) -> Job:
    """The job as the storage has it."""
    found = storage.get(job_id)
    if found is None:
        raise AssertionError(f"job {job_id} is gone")
    return found


def put(storage: Storage, after: Job, before: Job, *entries: Entry, result: bool = False) -> Saved:
    """Saves one change."""
    return storage.save([Change(after, before, entries, result=result)])


def advance(storage: Storage, job: Job, *statuses: JobStatus, **changes: Any) -> Job:
    """Saves one step after the other; *changes* are part of each."""
    for status in statuses:
        after = job.to(status, **changes)
        saved = put(storage, after, job, result=after.result is not job.result)
        require(not saved.fenced, f"the owner's save to {status} was fenced")
        job = after
    return job


def claimed(storage: Storage, batch: int, epoch: int, now: float = NOW) -> list[str]:
    """Identities of all that can be claimed, in order."""
    return [job.identity for job in storage.claim(batch, epoch, 1000, now)]


def counts_hold(storage: Storage, batch: int, after: str) -> None:
    """Requires the counters to equal a recount."""
    recount = count_by_status(storage.jobs(batch))
    equal(dict(storage.counts(batch)), recount, f"counts after {after}")


def lasting(job: Job) -> Job:
    """The part of a record that a storage has to keep; the rest is a runner's memory."""
    return job.evolve(progress=None, poll_errors=0, poll_errors_since=None, epoch=0)


def ended(storage: Storage, name: str, at: float) -> int:
    """A batch whose two jobs ended at a time."""
    batch = storage.open_batch(name, NOW).id
    storage.add(batch, [new_job("x"), new_job("y")], NOW)
    epoch = storage.acquire(batch)
    for job in storage.claim(batch, epoch, 2, NOW):
        advance(storage, job, *WHOLE_WAY[:3])
        last = stored(storage, job.id)
        done = last.to(_S.COMPLETED, completed=at, result=JobResult(text=name))
        put(storage, done, last, result=True)
    require(set(storage.counts(batch)) <= TERMINAL, "not every job has ended")
    storage.release(batch)
    return batch
