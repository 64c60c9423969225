"""What the contract of a storage says of jobs, as clauses that :func:`check_storage` runs.

The docstring of a clause is its name in messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batchkit._jobs import ErrorKind, Handle, JobError, JobStatus
from batchkit._requests import GenerateVideo, OpaqueRequest
from batchkit._results import Artifact, JobResult, Output, Segment, Transcript, Word
from batchkit.storage.base import Storage
from batchkit.testing._check_storage_base import (
    NOW,
    UNICODE,
    WHOLE_WAY,
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


# -- adding and reading ------------------------------------------------------------------------


def _add_reports(storage: Storage) -> None:
    """add: ids in order, and what was new"""
    batch = storage.open_batch("conformance", NOW).id
    first = storage.add(batch, [new_job("a"), new_job("b"), new_job("a")], NOW)
    equal([new for _, new in first], [True, True, False], "new")
    equal(first[2][0], first[0][0], "id of a repeated item")
    again = storage.add(batch, [new_job("c"), new_job("b")], NOW + 1)
    equal([new for _, new in again], [True, False], "new, the second time")
    equal(again[1][0], first[1][0], "id of a known item")
    equal([job.index for job in storage.jobs(batch)], [0, 1, 2], "indices")
    other = storage.open_batch("other", NOW).id
    require(storage.add(other, [new_job("a")], NOW)[0][1], "an identity is of its batch only")


def _add_keeps(storage: Storage) -> None:
    """add: the record is kept as it was given"""
    opaque = OpaqueRequest(stored_kind="of-a-plugin", data={"deep": [1, {"x": None}]})
    metadata = {"série": UNICODE, "n": [1, 2.5, None, True]}
    video = GenerateVideo(prompt=UNICODE, duration=5.0, seed=7, params={"p": [1]})
    items = [
        new_job(UNICODE, video, priority=-3, metadata=metadata),
        new_job("opaque", opaque),
    ]
    batch, _ = begin(storage, *items)
    for index, (job, item) in enumerate(zip(storage.jobs(batch), items, strict=True)):
        equal((job.batch_id, job.index), (batch, index), "place")
        equal((job.identity, job.request), (item.identity, item.request), "request")
        equal((job.priority, dict(job.metadata)), (item.priority, dict(item.metadata)), "facts")
        equal((job.status, job.attempt, job.created), (_S.PENDING, 0, NOW), "state")


def _reading(storage: Storage) -> None:
    """get, find, jobs, result: what is there, in order, and None for what is not"""
    batch, epoch = begin(storage, *(f"job {n}" for n in range(1203)))
    require(storage.get(10**9) is None, "get finds a job that is not there")
    require(storage.find(batch, "?") is None, "find finds a job that is not there")
    require(storage.result(10**9) is None, "result finds a job that is not there")
    found = storage.find(batch, "job 7")
    require(found is not None and found.index == 7, "find does not find by identity")
    equal([job.index for job in storage.jobs(batch)], list(range(1203)), "order of jobs")
    first = storage.claim(batch, epoch, 2, NOW)
    advance(storage, first[1], _S.SUBMITTING)
    advance(storage, first[0], _S.FAILED)
    picked = storage.jobs(batch, {_S.SUBMITTING, _S.FAILED})
    equal([job.index for job in picked], [0, 1], "jobs of two statuses")
    equal(list(storage.jobs(batch, set())), [], "jobs of no status")


def _state_round_trip(storage: Storage) -> None:
    """save: every field of a record comes back"""
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    handle = Handle(id=UNICODE, data={"url": "https://x/?a=1&b", "n": {"deep": [None, 0.1]}})
    error = JobError(
        kind=ErrorKind.NETWORK, message=UNICODE, code="E1", remedy="wait", retryable=True
    )
    values: dict[str, Any] = {
        "handle": handle,
        "error": error,
        "prepared": {"file": "id", "é": [1]},
    }
    times = {"started": NOW + 0.1, "completed": NOW + 9, "not_before": NOW + 3, "deadline": NOW + 4}
    job = advance(storage, job, _S.SUBMITTING, attempt=2, retries=1, cost=0.25, **values, **times)
    equal(lasting(stored(storage, job.id)), lasting(job), "record")


def _results(storage: Storage) -> None:
    """save: a result comes back whole, on its own and with its job"""
    batch, epoch = begin(storage, "a", "b")
    said = Segment(start=0.0, end=1.5, text="olá", words=(Word(start=0.1, end=0.2, text="olá"),))
    speech = Transcript(text=UNICODE, language="pt", duration=1.5, segments=(said,))
    outputs = (
        Output(data=bytes(range(256)), media_type="video/mp4", size=256, role="main"),
        Output(url="https://x/?sig=1", sha256="00", expires=NOW),
        Output(transcript=speech),
        Output(ref="r", path="/tmp/ação.mp4"),  # noqa: S108 - a name, nothing is written there
    )
    files = (Artifact(path=Path("out/ação.mp4"), size=3, sha256="ab", role="main"),)
    value = {"list": [1, 2.5, None, {"é": True}]}
    result = JobResult(
        outputs=outputs, artifacts=files, text="t", transcript=speech, value=value, raw={"id": "é"}
    )
    [job, _] = storage.claim(batch, epoch, 2, NOW)
    advance(storage, job, _S.COLLECTING, result=result)
    equal(storage.result(job.id), result, "result")
    equal(stored(storage, job.id).result, result, "result of get")
    with_results = [each.result for each in storage.jobs(batch, results=True)]
    equal(with_results, [result, None], "results of jobs")
    equal([each.result for each in storage.in_flight(batch, epoch)], [result], "in_flight")


# -- claims ------------------------------------------------------------------------------------


def _claim_order(storage: Storage) -> None:
    """claim: by priority, then by index, no more than asked for"""
    items = [new_job(name, priority=p) for name, p in zip("abcde", (0, 5, 0, 5, -1), strict=True)]
    batch, epoch = begin(storage, *items)
    first = storage.claim(batch, epoch, 3, NOW)
    equal([job.identity for job in first], ["b", "d", "a"], "order")
    equal({job.epoch for job in first}, {epoch}, "epoch of claimed jobs")
    equal({stored(storage, job.id).epoch for job in first}, {epoch}, "epoch of stored jobs")
    equal(claimed(storage, batch, epoch), ["c", "e"], "the rest")


def _claim_once(storage: Storage) -> None:
    """claim: never hands a job to one epoch twice"""
    batch, epoch = begin(storage, "a", "b")
    equal(claimed(storage, batch, epoch), ["a", "b"], "first claim")
    equal(claimed(storage, batch, epoch), [], "second claim")
    storage.add(batch, [new_job("c")], NOW)
    equal(claimed(storage, batch, epoch), ["c"], "claim after an addition")


def _claim_waits(storage: Storage) -> None:
    """claim, next_due: not_before is respected, also when the clock is set back"""
    batch, epoch = begin(storage, "a", "b", "c")
    for wait, job in zip((5.0, 9.0, 7.0), storage.claim(batch, epoch, 3, NOW), strict=True):
        advance(storage, job, _S.SUBMITTING, _S.PENDING, not_before=NOW + wait)
    equal(storage.next_due(batch, NOW), NOW + 5, "next due")
    equal(storage.next_due(batch, NOW + 8), NOW + 9, "next that must still wait")
    equal(claimed(storage, batch, epoch, NOW + 4.9), [], "too early")
    equal([job.identity for job in storage.claim(batch, epoch, 1, NOW + 8)], ["a"], "due")
    equal(storage.next_due(batch, NOW + 6), NOW + 7, "next due after the clock was set back")
    equal(claimed(storage, batch, epoch, NOW + 6), [], "after the clock was set back")
    equal(claimed(storage, batch, epoch, NOW + 9), ["b", "c"], "due at that very second")
    equal(storage.next_due(batch, NOW + 9), None, "nothing waits any more")


def _claim_again(storage: Storage) -> None:
    """claim: a job saved back as PENDING, or let go by a person, is handed out again"""
    batch, epoch = begin(storage, "a", "b")
    [back, held] = storage.claim(batch, epoch, 2, NOW)
    advance(storage, back, _S.SUBMITTING, _S.PENDING)
    equal(claimed(storage, batch, epoch), ["a"], "saved back")
    require(storage.steer(held.to(_S.PAUSED), _S.PENDING, None), "steer to PAUSED")
    equal(claimed(storage, batch, epoch), [], "a held job")
    paused = stored(storage, held.id)
    require(storage.steer(paused.to(_S.PENDING), _S.PAUSED, None), "steer to PENDING")
    equal(claimed(storage, batch, epoch), ["b"], "let go")


def _dead_epoch(storage: Storage) -> None:
    """acquire: what a dead runner had claimed goes to the next one, and the dead one is fenced"""
    batch, dead = begin(storage, "a", "b")
    old = storage.claim(batch, dead, 1, NOW)[0]
    storage.release(batch)
    alive = storage.acquire(batch)
    equal(claimed(storage, batch, alive), ["a", "b"], "claims of the next runner")
    late = put(storage, old.to(_S.SUBMITTING, attempt=1), old)
    equal(late.fenced, {0}, "save of the dead runner")
    equal(stored(storage, old.id).status, _S.PENDING, "status after it")
    counts_hold(storage, batch, "a fenced save")


def _in_flight(storage: Storage) -> None:
    """in_flight: exactly the live jobs, stamped with the new epoch"""
    batch, dead = begin(storage, *"abcdefg")
    jobs = storage.claim(batch, dead, 7, NOW)
    for job, steps in zip(jobs, range(5), strict=False):
        advance(storage, job, *WHOLE_WAY[:steps])
    advance(storage, jobs[5], _S.SUBMITTING, _S.UNCERTAIN)
    storage.release(batch)
    alive = storage.acquire(batch)
    found = storage.in_flight(batch, alive)
    equal(sorted(job.identity for job in found), ["b", "c", "d", "f"], "jobs")
    equal({job.epoch for job in found}, {alive}, "epochs")
    equal({stored(storage, job.id).epoch for job in found}, {alive}, "stored epochs")
    advance(storage, next(job for job in found if job.identity == "b"), _S.PROCESSING)


JOB_CLAUSES: tuple[Clause, ...] = (
    _add_reports,
    _add_keeps,
    _reading,
    _state_round_trip,
    _results,
    _claim_order,
    _claim_once,
    _claim_waits,
    _claim_again,
    _dead_epoch,
    _in_flight,
)
