"""What the contract of a storage says of saves, persons and numbers, as clauses."""

from __future__ import annotations

from typing import Any

from batchkit._events import JobHeld, JobSubmitted, JobSubmitting
from batchkit._jobs import ErrorKind, Handle, JobError, JobStatus
from batchkit._requests import GenerateVideo
from batchkit.storage.base import Change, Entry, Failures, Storage
from batchkit.testing._check_storage_base import (
    NOW,
    Clause,
    advance,
    begin,
    claimed,
    counts_hold,
    equal,
    lasting,
    new_job,
    put,
    require,
    stored,
)

_S = JobStatus


def _fencing(storage: Storage) -> None:
    """save: a fenced change does not undo its neighbours, and its journal lines are kept"""
    batch, epoch = begin(storage, *"abc")
    jobs = storage.claim(batch, epoch, 3, NOW)
    storage.steer(jobs[1].to(_S.PAUSED), _S.PENDING, None)
    lines = [Entry(JobSubmitting.kind, NOW, job.id, 1) for job in jobs]
    saved = storage.save(
        [Change(j.to(_S.SUBMITTING, attempt=1), j, [e]) for j, e in zip(jobs, lines, strict=True)]
    )
    equal(saved.fenced, {1}, "fenced positions")
    found = [job.status for job in storage.jobs(batch)]
    equal(found, [_S.SUBMITTING, _S.PAUSED, _S.SUBMITTING], "statuses")
    kept = storage.journal(batch, saved.first_seq - 1)
    equal([entry.job_id for entry in kept], [job.id for job in jobs], "journal lines")
    counts_hold(storage, batch, "a partly fenced save")


def _fenced_evidence(storage: Storage) -> None:
    """evidence: what a fenced writer was told by the provider is kept"""
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    storage.steer(job.to(_S.PAUSED), _S.PENDING, None)
    line = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": "paid", "data": {"é": 1}}})
    late = job.to(_S.SUBMITTING).to(_S.PROCESSING)
    equal(put(storage, late, job, line).fenced, {0}, "fenced")
    equal(storage.evidence(job.id, 1), Handle(id="paid", data={"é": 1}), "evidence")


def _of_persons(storage: Storage) -> None:
    """save: does not write priority, metadata, request or cancel_requested_at"""
    batch, epoch = begin(storage, new_job("a", priority=1, metadata={"k": 1}))
    [job] = storage.claim(batch, epoch, 1, NOW)
    meddling: dict[str, Any] = {"priority": 9, "metadata": {}, "cancel_requested_at": NOW}
    meddling["request"] = GenerateVideo(prompt="other")
    put(storage, job.to(_S.SUBMITTING, **meddling), job)
    found = stored(storage, job.id)
    equal((found.priority, dict(found.metadata)), (1, {"k": 1}), "priority and metadata")
    equal((found.request, found.cancel_requested_at), (job.request, None), "request and wish")


def _steer(storage: Storage) -> None:
    """steer: only from the status that the person saw; fences the runner; writes their facts"""
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    line = Entry(JobHeld.kind, NOW, job.id)
    require(not storage.steer(job.to(_S.PAUSED), _S.FAILED, line), "steer from another status")
    equal(list(storage.journal(batch)), [], "journal after a steer that failed")
    held = job.to(_S.PAUSED, priority=4, metadata={"é": [1]})
    require(storage.steer(held, _S.PENDING, line), "steer")
    found = stored(storage, job.id)
    equal((found.status, found.priority, found.metadata), (_S.PAUSED, 4, {"é": [1]}), "record")
    equal([entry.kind for entry in storage.journal(batch)], [JobHeld.kind], "journal")
    equal(put(storage, job.to(_S.SUBMITTING), job).fenced, {0}, "save of the runner")
    counts_hold(storage, batch, "a steer")


def _steer_late(storage: Storage) -> None:
    """steer: not from an attempt that is over, whose key would be used again"""
    batch, epoch = begin(storage, "a")
    [seen] = storage.claim(batch, epoch, 1, NOW)
    advance(storage, seen, _S.SUBMITTING, _S.PENDING, attempt=1)
    require(not storage.steer(seen.evolve(priority=5), _S.PENDING, None), "steer")
    equal(stored(storage, seen.id).attempt, 1, "attempt")


def _remove(storage: Storage) -> None:
    """remove: only what was never submitted; its runner is fenced, the others go on"""
    batch, epoch = begin(storage, *"abcd")
    [gone, busy] = storage.claim(batch, epoch, 2, NOW)
    advance(storage, busy, _S.SUBMITTING, _S.PENDING, attempt=1)
    require(not storage.remove(busy.id), "a job that was submitted is removed")
    require(storage.remove(gone.id), "a claimed job that was not submitted is not removed")
    require(not storage.remove(gone.id), "a job is removed twice")
    equal(put(storage, gone.to(_S.SUBMITTING), gone).fenced, {0}, "save of its runner")
    require(not storage.steer(gone.to(_S.PAUSED), _S.PENDING, None), "a removed job is steered")
    waiting = storage.find(batch, "c")
    require(waiting is not None and storage.remove(waiting.id), "a waiting job is not removed")
    equal(claimed(storage, batch, epoch), ["b", "d"], "claims after removals")
    counts_hold(storage, batch, "removals")
    require(storage.add(batch, [new_job("a")], NOW)[0][1], "a removed item cannot come back")
    storage.claim(batch, epoch, 1, NOW)
    late = put(storage, gone.to(_S.SUBMITTING), gone)
    equal(late.fenced, {0}, "save of the removed job, after its item came back")


def _cancel_requests(storage: Storage) -> None:
    """request_cancel: outlives the runner's saves, and is told while the job is in flight"""
    batch, epoch = begin(storage, *"abc")
    jobs = storage.claim(batch, epoch, 3, NOW)
    running = advance(storage, jobs[0], _S.SUBMITTING)
    doubtful = advance(storage, jobs[1], _S.SUBMITTING, _S.UNCERTAIN)
    for job in jobs:
        storage.request_cancel(job.id, NOW + 1)
    wanted = {running.id, doubtful.id}
    equal(set(storage.cancel_requests(batch)), wanted, "requests")
    running = advance(storage, running, _S.PROCESSING)
    equal(set(storage.cancel_requests(batch)), wanted, "requests after a save")
    equal(stored(storage, running.id).cancel_requested_at, NOW + 1, "time of the request")
    advance(storage, running, _S.CANCELED)
    equal(set(storage.cancel_requests(batch)), {doubtful.id}, "requests after the end")


def _two_steps(storage: Storage) -> None:
    """save: two steps of one job in one save"""
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    sent = job.to(_S.SUBMITTING, attempt=1)
    taken = sent.to(_S.PROCESSING, handle=Handle(id="h"))
    saved = storage.save([Change(sent, job), Change(taken, sent)])
    equal(saved.fenced, frozenset(), "fenced")
    equal(lasting(stored(storage, job.id)), lasting(taken), "record")
    counts_hold(storage, batch, "two steps at once")


# -- numbers -----------------------------------------------------------------------------------


def _counts(storage: Storage) -> None:
    """counts: equal a recount after whatever happens"""
    batch, epoch = begin(storage, *(f"job {n}" for n in range(30)))
    counts_hold(storage, batch, "add")
    for turn in range(5):
        jobs = storage.claim(batch, epoch, 5, NOW)
        storage.save([Change(job.to(_S.SUBMITTING, attempt=1), job) for job in jobs])
        counts_hold(storage, batch, "a group of saves")
        mixed = [_S.PENDING, _S.PROCESSING, _S.UNCERTAIN, _S.FAILED, _S.CANCELED]
        live = [job.to(_S.SUBMITTING, attempt=1) for job in jobs]
        storage.save([Change(j.to(s), j) for j, s in zip(live, mixed, strict=False)])
        counts_hold(storage, batch, f"mixed saves, turn {turn}")
    failed = next(storage.jobs(batch, {_S.FAILED}))
    storage.steer(failed.to(_S.PENDING), _S.FAILED, None)
    counts_hold(storage, batch, "a retry")
    require(0 not in storage.counts(batch).values(), "counts show statuses without a job")


def _cost(storage: Storage) -> None:
    """cost: the sum of what was told; None when nothing was; zero is told"""
    batch, epoch = begin(storage, *"abc")
    jobs = storage.claim(batch, epoch, 3, NOW)
    equal(storage.cost(batch), None, "before anything is told")
    first = advance(storage, jobs[0], _S.SUBMITTING, cost=0.0)
    equal(storage.cost(batch), 0.0, "zero")
    advance(storage, first, _S.PROCESSING, cost=0.5)
    advance(storage, jobs[1], _S.SUBMITTING, _S.PROCESSING, _S.COLLECTING, cost=0.25)
    equal(storage.cost(batch), 0.75, "sum")


def _failures(storage: Storage) -> None:
    """failures: by cause, the most frequent first"""
    batch, epoch = begin(storage, *"abcdef")
    jobs = storage.claim(batch, epoch, 6, NOW)
    busy = JobError(kind=ErrorKind.NETWORK, message="busy", remedy="wait")
    refused = JobError(kind=ErrorKind.INVALID_INPUT, message="no")
    for job, error in zip(jobs, (refused, busy, busy, None), strict=False):
        advance(storage, job, _S.FAILED, error=error)
    advance(storage, jobs[4], _S.COLLECTING, _S.EXPIRED, error=busy)
    wanted = [
        Failures("network", "busy", "wait", 3, jobs[1].id),
        Failures("invalid_input", "no", None, 1, jobs[0].id),
        Failures("failed", "", None, 1, jobs[3].id),
    ]
    equal(list(storage.failures(batch)), wanted, "causes")


SAVE_CLAUSES: tuple[Clause, ...] = (
    _fencing,
    _fenced_evidence,
    _of_persons,
    _steer,
    _steer_late,
    _remove,
    _cancel_requests,
    _two_steps,
    _counts,
    _cost,
    _failures,
)
