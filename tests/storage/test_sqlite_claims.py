"""What a claim of the SQLite storage costs while many jobs wait, and whom it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlite_help import NOW, begin, new

from batchkit import Job, JobStatus
from batchkit.storage import Change, SQLiteStorage

_S = JobStatus


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(tmp_path / "batch.db")) as made:
        yield made


def send_back(storage: SQLiteStorage, jobs: list[Job], wait: Callable[[int], float]) -> None:
    sent = [job.to(_S.SUBMITTING) for job in jobs]
    storage.save([Change(after, job) for after, job in zip(sent, jobs, strict=True)])
    storage.save([Change(j.to(_S.PENDING, not_before=NOW + wait(j.index)), j) for j in sent])


def many_wait(storage: SQLiteStorage, name: str, count: int) -> tuple[int, int]:
    """A batch of jobs that wait for 100 seconds and more, every one longer than the one before."""
    batch = storage.open_batch(name, NOW).id
    storage.add(batch, [new(f"{n}") for n in range(count)], NOW)
    epoch = storage.acquire(batch)
    send_back(storage, list(storage.claim(batch, epoch, count, NOW)), lambda n: 100.0 + n)
    return batch, epoch


def steps(storage: SQLiteStorage, do: Callable[[], object]) -> int:
    """Instructions that SQLite's machine executes."""
    seen = 0

    def count() -> int:
        nonlocal seen
        seen += 1
        return 0

    with storage._reading() as db:
        db.set_progress_handler(count, 1)
    do()
    with storage._reading() as db:
        db.set_progress_handler(None, 1)
    return seen


@pytest.mark.parametrize(
    "do",
    [
        lambda storage, batch, epoch: storage.claim(batch, epoch, 3, NOW + 50),
        lambda storage, batch, epoch: storage.claim(batch, epoch, 3, NOW + 100),
        lambda storage, batch, epoch: storage.next_due(batch, NOW + 50),
    ],
    ids=["none is due", "one is due", "next_due"],
)
def test_those_that_wait_cost_nothing(
    storage: SQLiteStorage, do: Callable[[SQLiteStorage, int, int], object]
) -> None:
    taken = []
    for count in (20, 2000):
        batch, epoch = many_wait(storage, f"{count} jobs", count)
        taken.append(steps(storage, partial(do, storage, batch, epoch)))
    assert taken[1] < 2 * taken[0]


def test_those_that_became_due_cost_once(storage: SQLiteStorage) -> None:
    taken = []
    for count in (20, 2000):
        batch, epoch = many_wait(storage, f"{count} jobs", count)
        assert len(storage.claim(batch, epoch, 1, NOW + 1e6)) == 1
        taken.append(steps(storage, partial(storage.claim, batch, epoch, 3, NOW + 1e6)))
    assert taken[1] < 2 * taken[0]


def claimed(storage: SQLiteStorage, batch: int, epoch: int, now: float) -> list[str]:
    return [job.identity for job in storage.claim(batch, epoch, 100, now)]


def test_a_job_that_waits_again_for_the_same_time(storage: SQLiteStorage) -> None:
    batch, epoch, jobs = begin(storage, "a", "b")
    send_back(storage, jobs, lambda n: 10.0)
    again = list(storage.claim(batch, epoch, 100, NOW + 10))
    assert [job.identity for job in again] == ["a", "b"]
    send_back(storage, again, lambda n: 10.0 + 5 * n)
    assert claimed(storage, batch, epoch, NOW + 10) == ["a"]
    assert storage.next_due(batch, NOW + 10) == NOW + 15


def test_a_clock_that_is_set_back_and_forth(storage: SQLiteStorage) -> None:
    batch, epoch, jobs = begin(storage, "a", "b", "c")
    send_back(storage, jobs, lambda n: 10.0 * (3 - n))
    assert len(storage.claim(batch, epoch, 1, NOW + 35)) == 1
    assert storage.next_due(batch, NOW) == NOW + 10
    assert claimed(storage, batch, epoch, NOW) == []
    assert storage.next_due(batch, NOW) == NOW + 10
    assert claimed(storage, batch, epoch, NOW + 12) == ["c"]
    assert claimed(storage, batch, epoch, NOW + 20) == ["b"]


def test_a_person_lets_a_job_go_that_waits(storage: SQLiteStorage) -> None:
    batch, epoch, jobs = begin(storage, "a")
    send_back(storage, jobs, lambda n: 10.0)
    assert claimed(storage, batch, epoch, NOW) == []
    waiting = storage.get(jobs[0].id)
    assert waiting is not None
    assert storage.steer(waiting.evolve(not_before=None), _S.PENDING, None)
    assert claimed(storage, batch, epoch, NOW) == ["a"]
