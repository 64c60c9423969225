"""Processes that fight for one batch, and die: their histories have one order that explains them.

Each process writes down what it was told, with the clock that all processes share. The history is
right if the ownerships can be put in a row: they do not overlap, their epochs rise, each job is
handed to one owner of an epoch, and what one owner has begun no later owner begins again.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlite_help import NOW, go, new, start, whole, word

from batchkit import JobStatus
from batchkit.storage import SQLiteStorage

_S = JobStatus

#: Runs the batch with children that leave it or are killed at random points, until it is done.
FIGHTER = """
import json, os, random, signal, sys, time
from batchkit import BatchBusyError, JobStatus as S
from batchkit.storage import Change, SQLiteStorage

path, seed = sys.argv[1], int(sys.argv[2])
log = os.open(f"{path}.{seed}.history", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def own(storage, batch, draw):
    epoch = storage.acquire(batch)
    def tell(what, jobs=()):
        line = [time.monotonic_ns(), os.getpid(), epoch, what, [job.id for job in jobs]]
        os.write(log, (json.dumps(line) + "\\n").encode())
    def perhaps_die():
        if draw.random() < 0.08:
            tell("dies")
            os.kill(os.getpid(), signal.SIGKILL)
    def save(before, status):
        storage.save([Change(job.to(status), job) for job in before])
        tell(str(status), before)
        perhaps_die()
        return [job.to(status) for job in before]
    tell("owns")
    perhaps_die()
    save(storage.in_flight(batch, epoch), S.FAILED)
    for turn in range(draw.randint(1, 4)):
        jobs = storage.claim(batch, epoch, draw.randint(1, 3), 1.0)
        tell("claims", jobs)
        perhaps_die()
        save(save(jobs, S.SUBMITTING), S.FAILED)
    # The last claim is left to whoever comes next.
    tell("claims", storage.claim(batch, epoch, 1, 1.0))
    tell("leaves")
    storage.release(batch)

def fight(draw):
    storage = SQLiteStorage(path, timeout=30)
    batch = storage.open_batch("b", 1.0).id
    while set(storage.counts(batch)) != {S.FAILED}:
        try:
            own(storage, batch, draw)
        except BatchBusyError:
            os.sched_yield()
    storage.close()
    os._exit(0)

print("ready", flush=True)
sys.stdin.readline()
for life in range(10_000):
    child = os.fork()
    if child == 0:
        fight(random.Random(f"{seed} {life}"))
    if os.waitpid(child, 0)[1] == 0:
        break
"""


class Line(NamedTuple):
    """What one process was told."""

    at: int
    process: int
    epoch: int
    what: str
    jobs: list[int]


def history(path: Path) -> list[Line]:
    files = path.parent.glob("*.history")
    lines = [Line(*json.loads(line)) for file in files for line in file.read_text().splitlines()]
    return sorted(lines)


def ownerships(lines: list[Line]) -> Iterator[tuple[Line, Line]]:
    """The first and the last line of each, in the order in which they began."""
    found: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        found.setdefault((line.process, line.epoch), []).append(line)
    for own in found.values():
        assert own[0].what == "owns"
        assert own[-1].what in ("leaves", "dies")
        yield own[0], own[-1]


def check_order(lines: list[Line]) -> None:
    """One owner at a time, each with a higher epoch than all before it."""
    for (_, last), (first, _) in itertools.pairwise(ownerships(lines)):
        assert last.at < first.at, "two owners at once"
        assert last.epoch < first.epoch, "an epoch that does not rise"


def check_jobs(lines: list[Line], jobs: set[int]) -> None:
    """Each job goes to one owner of an epoch, begins once and ends once."""
    told: dict[str, list[tuple[int, int]]] = {}
    for line in lines:
        told.setdefault(line.what, []).extend((line.epoch, job) for job in line.jobs)
    assert max(Counter(told["claims"]).values()) == 1, "a job is handed to an epoch twice"
    begun = {job: epoch for epoch, job in told["submitting"]}
    assert sorted(job for _, job in told["submitting"]) == sorted(jobs), "not begun once each"
    assert sorted(job for _, job in told["failed"]) == sorted(jobs), "not ended once each"
    for epoch, job in told["claims"]:
        assert epoch <= begun[job], "a job is claimed after somebody has begun it"
    for epoch, job in told["failed"]:
        assert epoch >= begun[job], "a job ended before it was begun"


def check(lines: list[Line], jobs: set[int]) -> None:
    check_jobs(lines, jobs)
    check_order(lines)


def fight(path: Path, processes: int, jobs: int) -> list[Line]:
    with closing(SQLiteStorage(path)) as storage:
        batch = storage.open_batch("b", NOW).id
        storage.add(batch, [new(f"{n}") for n in range(jobs)], NOW)
    fighters = [start(FIGHTER, path, str(seed)) for seed in range(processes)]
    assert [word(fighter) for fighter in fighters] == ["ready"] * processes
    for fighter in fighters:
        go(fighter)
    for fighter in fighters:
        fighter.communicate()
        assert fighter.returncode == 0
    with closing(SQLiteStorage(path)) as storage:
        assert dict(storage.counts(batch)) == {_S.FAILED: jobs}
        whole(storage, batch)
        lines = history(path)
        check(lines, {job.id for job in storage.jobs(batch)})
        assert storage.acquire(batch) == 1 + max(line.epoch for line in lines)
    return lines


def test_processes_that_fight_for_a_batch(tmp_path: Path) -> None:
    lines = fight(tmp_path / "batch.db", processes=3, jobs=60)
    assert len({line.process for line in lines}) > 3
    assert {"dies", "leaves"} <= {line.what for line in lines}


@pytest.mark.slow
def test_many_processes_that_fight_for_a_batch(tmp_path: Path) -> None:
    fight(tmp_path / "batch.db", processes=8, jobs=600)


# -- the judge itself --------------------------------------------------------------------------

A = [Line(1, 1, 1, "owns", []), Line(2, 1, 1, "claims", [7]), Line(3, 1, 1, "submitting", [7])]
A += [Line(4, 1, 1, "failed", [7]), Line(5, 1, 1, "leaves", [])]


def test_a_history_that_is_right() -> None:
    lines = [*A, Line(6, 2, 2, "owns", []), Line(7, 2, 2, "leaves", [])]
    check(lines, {7})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([Line(3, 2, 2, "owns", []), Line(9, 2, 2, "leaves", [])], "two owners at once"),
        ([Line(6, 2, 1, "owns", []), Line(9, 2, 1, "leaves", [])], "does not rise"),
        ([Line(4, 1, 1, "claims", [7])], "handed to an epoch twice"),
        ([Line(7, 2, 2, "claims", [7])], "after somebody has begun it"),
        ([Line(7, 2, 2, "submitting", [7])], "not begun once"),
        ([Line(7, 2, 2, "failed", [7])], "not ended once"),
    ],
)
def test_a_history_that_is_wrong(wrong: list[Line], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(sorted([*A, *wrong]), {7})
