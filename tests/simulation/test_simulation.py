"""Seeds of the simulation; a failure says how to play its seed again."""

from __future__ import annotations

from collections import Counter

import pytest
from sim_loop import SimulationError, simulate
from sim_plan import STORAGES, Mode
from sim_shelf import MemoryShelf

#: Seeds of each block; all of them together take about 20 seconds.
BLOCK, BLOCKS = 50, 6


@pytest.mark.parametrize("mode", ["safety", "liveness"])
@pytest.mark.parametrize(
    "block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, BLOCKS))]
)
def test_no_promise_is_broken(mode: Mode, block: int) -> None:
    tally = Counter[str]()
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        tally += simulate(seed, mode)
    # A simulation in which nothing happens finds nothing.
    happened = ("crashes", "storage errors", "charges", "completed", "acts", "submit after")
    assert all(tally[what] > BLOCK / 20 for what in happened), tally


@pytest.mark.parametrize("storage", sorted(set(STORAGES)))
def test_every_storage_is_simulated(storage: str) -> None:
    for seed in range(1000, 1020):
        simulate(seed, "liveness", storage)


def test_a_seed_says_the_same_twice() -> None:
    assert [simulate(seed, "safety") for seed in range(5)] == [
        simulate(seed, "safety") for seed in range(5)
    ]


def test_a_broken_promise_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryShelf, "write", lambda *args: ())
    with pytest.raises(SimulationError) as caught:
        [simulate(seed, "liveness", "memory") for seed in range(20)]
    first, *_, last = str(caught.value).splitlines()
    assert "is completed, and has 0 results" in first
    assert last.startswith("again: python -m tests.simulation.run --seed ")
