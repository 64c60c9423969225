"""Dies at every point of interest, recovers, and lets the provider's ledger judge."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from batchkit import BatchRunner, Capabilities, JobStatus
from batchkit.storage import MemoryStorage, SQLiteStorage, Storage
from batchkit.testing import (
    AsyncFakeClient,
    Crash,
    CrashAt,
    FakeClient,
    FakeClock,
    FakeProvider,
)
from telling_kit import Tell

SCENARIO = (
    "ant",
    "bee",
    "cat [busy]",
    "dog [flaky]",
    "elk [drop_after]",
    "fox [drop_before]",
    "gnu [fail]",
    "hen [reject]",
    "ibis [blips]",
    "jay [limit]",
    "kiwi [expire]",
)
#: What the provider may bill for each item: one job, and one more where it failed and said "again".
ALLOWED = Counter({"dog": 2, "fox": 0, "hen": 0}) + Counter(
    dict.fromkeys(("ant", "bee", "cat", "elk", "gnu", "ibis", "jay", "kiwi"), 1)
)
#: How a job may end when nothing dies; a crash may also leave it UNCERTAIN.
ENDS = {
    "ant": "completed",
    "bee": "completed",
    "cat": "completed",
    "dog": "completed",
    "elk": "uncertain",
    "fox": "uncertain",
    "gnu": "failed",
    "hen": "failed",
    "ibis": "completed",
    "jay": "completed",
    "kiwi": "expired",
}

MakeStorage = Callable[[], Storage]


class World:
    """What survives a crash: the provider, the clock, the disk."""

    def __init__(self, executor: str, kind: str, folder: Path) -> None:
        self.executor, self.kind, self.folder = executor, kind, folder
        self.provider, self.clock = FakeProvider(polls=2), FakeClock()
        self.memory = MemoryStorage()
        folder.mkdir(parents=True)

    def client(self) -> object:
        # Threads must really be used, where an executor has them.
        capabilities = Capabilities(inline=self.executor != "threads", cancel="running")
        if self.executor in ("asyncio", "trio"):
            return AsyncFakeClient(self.provider, capabilities=capabilities)
        return FakeClient(self.provider, capabilities=capabilities)

    def run(self, hook: CrashAt) -> None:
        storage: Storage = self.memory
        if self.kind == "sqlite":
            storage = SQLiteStorage(self.folder / "batch.db", durability="off")
        runner = BatchRunner(
            self.client(),
            storage=storage,
            executor=self.executor,
            clock=self.clock,
            rng=random.Random(7),
            hook=hook,
            delay=0,
            output=str(self.folder / "out"),
        )
        try:
            runner.add_many(SCENARIO)
            runner.run()
        finally:
            self.left = {job.title.partition(" [")[0]: job for job in runner.jobs()}
            storage.close()

    def judge(self, point: str) -> None:
        """The promises, seen from the provider's side."""
        ledger = self.provider.ledger
        for item, charges in ledger.charges.items():
            assert charges <= ALLOWED[item], f"{item} was billed {charges} times, died at {point}"
        for item, job in self.left.items():
            fits = job.status in (ENDS[item], JobStatus.UNCERTAIN)
            assert fits, f"{item} ended {job.status}, died at {point}"
        for remote in self.provider.jobs.values():
            job = self.left[remote.item]
            # A job whose handle reached us is not forgotten; one that was never told is listed.
            assert job.done or job.status is JobStatus.UNCERTAIN, f"{remote.item} lost at {point}"
        self.judge_files(point)

    def judge_files(self, point: str) -> None:
        for item, job in self.left.items():
            if job.status is not JobStatus.COMPLETED:
                continue
            found = list((self.folder / "out").glob(f"*-{item}*.mp4"))
            assert len(found) == 1, f"{item} is completed with {len(found)} files, died at {point}"
            assert found[0].read_bytes().startswith(f"video of {item}".encode())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.timeout(300)
def test_every_point_of_death_recovers(
    executor: str, kind: str, tmp_path: Path, tell: Tell
) -> None:
    whole = CrashAt(0)
    world = World(executor, kind, tmp_path / "whole")
    world.run(whole)
    world.judge("no point")
    assert {item: str(job.status) for item, job in world.left.items()} == ENDS
    held = Counter[str]()
    every = range(1, len(whole.passed) + 1)
    if kind == "sqlite" and not os.environ.get("BATCHKIT_EVERY_DEATH"):
        # Real processes die at each of them on SQLite: see tests/crash.
        every = every[::4]
    for point in every:
        held += die_at(point, World(executor, kind, tmp_path / str(point)))
    points, more = len(every), held["more"]
    tell(f"{executor} on {kind}: {points} points of death, {more} held more")


def die_at(point: int, world: World) -> Counter[str]:
    hook = CrashAt(point)
    try:
        world.run(hook)
    except Crash as crash:
        world.run(CrashAt(0))
        world.judge(f"{point} ({crash})")
    uncertain = sum(job.status is JobStatus.UNCERTAIN for job in world.left.values())
    return Counter({"more": int(uncertain > 2)})


def test_a_second_death_during_recovery(executor: str, tmp_path: Path) -> None:
    points = CrashAt(0)
    World(executor, "sqlite", tmp_path / "count").run(points)
    first = points.passed.index("submit:after") + 1
    for second in range(1, 12):
        world = World(executor, "sqlite", tmp_path / str(second))
        for hook in (CrashAt(first), CrashAt(second)):
            with pytest.raises(Crash):
                world.run(hook)
        world.run(CrashAt(0))
        world.judge(f"{first} and {second}")
