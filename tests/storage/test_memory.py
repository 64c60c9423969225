"""What the memory storage does beside the contract that every backend holds."""

from __future__ import annotations

import time

import pytest
from sqlite_help import NOW, begin, new

from batchkit import JobStatus, StorageError
from batchkit.storage import Change, MemoryStorage

_S = JobStatus


def seconds_of(storage: MemoryStorage, batch: int, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        assert len(storage.cancel_requests(batch)) == 1
    return time.process_time() - start


def test_wishes_are_found_without_a_look_at_every_job() -> None:
    took = []
    for jobs in (100, 20_000):
        storage = MemoryStorage()
        batch, _, [job, *_] = begin(storage, *(f"job {n}" for n in range(jobs)))
        storage.save([Change(job.to(_S.SUBMITTING), job)])
        storage.request_cancel(job.id, NOW)
        took.append(min(seconds_of(storage, batch, 100) for _ in range(5)))
    assert took[1] < 20 * took[0]


def test_wishes_follow_what_becomes_of_a_job() -> None:
    storage = MemoryStorage()
    batch, epoch, [a, b] = begin(storage, "a", "b")
    storage.save([Change(job.to(_S.SUBMITTING, attempt=1), job) for job in (a, b)])
    assert storage.cancel_requests(batch) == []
    for job in (a, b):
        storage.request_cancel(job.id, NOW)
    assert set(storage.cancel_requests(batch)) == {a.id, b.id}
    [sent, _] = storage.in_flight(batch, epoch)
    storage.save([Change(sent.to(_S.FAILED), sent)])
    assert storage.cancel_requests(batch) == [b.id]
    failed = storage.get(a.id)
    assert failed is not None
    storage.steer(failed.to(_S.PENDING), _S.FAILED, None)
    [again] = storage.claim(batch, epoch, 1, NOW)
    storage.save([Change(again.to(_S.SUBMITTING), again)])
    assert set(storage.cancel_requests(batch)) == {a.id, b.id}, "the wish still stands"


def test_a_removed_job_has_no_wish() -> None:
    storage = MemoryStorage()
    batch, _, [job] = begin(storage, "a")
    storage.cancel_requests(batch)
    storage.request_cancel(job.id, NOW)
    assert storage.remove(job.id)
    assert storage.cancel_requests(batch) == []


def test_a_batch_that_was_pruned_meanwhile() -> None:
    storage = MemoryStorage()
    batch = storage.open_batch("b", NOW).id
    storage.prune(NOW + 1)
    with pytest.raises(StorageError, match=r"was pruned .* open it again"):
        storage.add(batch, [new("a")], NOW)
    storage.release(batch)
