"""Real processes that really die, at every point; others recover, and the ledger judges."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from crash_kit import SCENARIO, STORAGES, World, Zygote, never, some_disk
from crash_zygote import BUSY, DIED

from telling_kit import Tell

pytest_plugins = ["postgres_fixtures"]
#: Points of death of each executor and storage in the default run.
SAMPLE = 4
#: Points that the slow run plays on other storages than SQLite, and second deaths on each;
#: ``nox -s crash`` plays all of them.
ELSEWHERE, SECONDS = 25, 10
#: What a test says of its deaths; "held more": beyond those that the provider itself left unclear.
TOLD = ("points", "deaths", "recoveries", "held more", "charges", "double charges", "lost")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.fixture
def disk() -> Iterator[Path]:
    with some_disk() as made:
        yield made


@pytest.fixture(params=[*STORAGES, "postgres"])
def storage_spec(request: pytest.FixtureRequest) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("server").dsn())
    return str(request.param)


@pytest.fixture(params=STORAGES[:2])
def file_spec(request: pytest.FixtureRequest) -> str:
    """Files in clear; the other storages are under test where a process dies once."""
    return str(request.param)


def chosen_of(points: Sequence[int], storage: str, executor: str, most: int) -> list[int]:
    """All of them on SQLite, and everywhere when that is asked for; else a seeded sample."""
    if storage == STORAGES[0] or os.environ.get("BATCHKIT_EVERY_DEATH"):
        return list(points)
    return sorted(random.Random(executor).sample(points, most))


def whole(world: World) -> list[str]:
    """The points of a run in which nobody dies, and a look at how it ended."""
    assert world.run() == 0
    never(world.judge(), "no point")
    points: list[str] = world.report()["points"]
    assert len(points) > 10 * len(SCENARIO)
    return points


def die_and_recover(world: World, *deaths: int) -> Counter[str]:
    """Dies at these points, each in its own process, then lets one run to its end."""
    tally = Counter(points=1)
    for point in deaths:
        code = world.run(dies_at=point)
        assert code in (0, DIED)
        tally["deaths"] += code == DIED
    assert world.run() == 0
    tally += world.judge()
    tally["recoveries"] += 1
    tally["held more"] += tally.pop("held") - 2
    never(tally, f"{deaths} under {world.executor}")
    return tally


def all_of(
    zygote: Zygote, executor: str, storage: str, disk: Path, deaths: Iterable[tuple[int, ...]]
) -> str:
    """Plays each of *deaths*; says in numbers what happened."""
    tally, begun = Counter[str](), time.perf_counter()
    for points in deaths:
        name = "-".join(map(str, points))
        tally += die_and_recover(World(zygote, executor, storage, disk / name), *points)
    numbers = ", ".join(f"{tally[what]} {what}" for what in TOLD)
    return f"{executor} on {_shown(storage)}: {numbers}, {time.perf_counter() - begun:.1f} s"


def _shown(storage: str) -> str:
    return storage.partition(":")[0].replace("{folder}/", "")


def test_a_sample_of_deaths(zygote: Zygote, executor: str, storage_spec: str, disk: Path) -> None:
    points = whole(World(zygote, executor, storage_spec, disk / "whole"))
    chosen = random.Random(executor).sample(range(1, len(points) + 1), SAMPLE)
    all_of(zygote, executor, storage_spec, disk, [(point,) for point in chosen])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_point_of_death(
    zygote: Zygote,
    executor: str,
    storage_spec: str,
    disk: Path,
    tell: Tell,
) -> None:
    points = whole(World(zygote, executor, storage_spec, disk / "whole"))
    every = range(1, len(points) + 1)
    chosen = chosen_of(every, storage_spec, executor, ELSEWHERE)
    told = all_of(zygote, executor, storage_spec, disk, [(point,) for point in chosen])
    tell(told)


@pytest.mark.parametrize("first", ["save:before", "submit:after", "artifact:before-rename"])
def test_a_second_death_in_the_recovery(
    zygote: Zygote, executor: str, file_spec: str, disk: Path, first: str
) -> None:
    points = whole(World(zygote, executor, file_spec, disk / "whole"))
    # In the middle, where some are done, some run, and some wait.
    places = [number for number, point in enumerate(points, 1) if point == first]
    middle = places[len(places) // 2]
    # Every recovery has more points than these, whatever the scheduler had finished before.
    seconds = random.Random(first).sample(range(1, 12), 2)
    told = all_of(zygote, executor, file_spec, disk, [(middle, n) for n in seconds])
    assert " 4 deaths" in told


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_second_deaths_after_a_payment(
    zygote: Zygote,
    executor: str,
    storage_spec: str,
    disk: Path,
    tell: Tell,
) -> None:
    points = whole(World(zygote, executor, storage_spec, disk / "whole"))
    first = 1 + points.index("submit:after")
    seconds: Sequence[int] = range(1, len(points))
    if not os.environ.get("BATCHKIT_EVERY_DEATH"):
        seconds = sorted(random.Random(executor).sample(seconds, SECONDS))
    told = all_of(zygote, executor, storage_spec, disk, [(first, n) for n in seconds])
    tell(f"twice: {told}")


@pytest.mark.parametrize("point", ["submit:before", "submit:after", "poll:before", "save:before"])
def test_a_second_runner_is_refused(
    zygote: Zygote, executor: str, file_spec: str, disk: Path, point: str
) -> None:
    world = World(zygote, executor, file_spec, disk / "two", prompts=("ant",))
    first = world.start_and_hold(point)
    before = world.provider.lines()

    assert world.run() == BUSY
    assert world.provider.lines() == before

    world.go_on()
    assert zygote.wait(first) == 0
    assert world.provider.charges() == {"ant": 1}


@pytest.mark.parametrize("point", ["submit:before", "submit:after", "poll:before", "save:before"])
def test_a_killed_runner_makes_room_for_the_next(
    zygote: Zygote, executor: str, file_spec: str, disk: Path, point: str
) -> None:
    world = World(zygote, executor, file_spec, disk / "next", prompts=("ant", "bee"))
    assert zygote.kill(world.start_and_hold(point)) == -9

    assert world.run() == 0

    tally = world.judge()
    never(tally, point)
    assert tally["held"] <= 2
