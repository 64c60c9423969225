"""batchkit's own column of the comparison: nothing is paid twice, and nothing is lost."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reliability"

SCENARIOS = ("kill", "window", "drop", "blips", "callback")
#: Jobs that nobody but the provider can know of: they wait for a person, unless there is a key.
HELD = {"window": 3, "drop": 3}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("scenarios")


def test_every_scenario_is_tried(scenarios: Any) -> None:
    assert set(scenarios.SCENARIOS) == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_paid_twice_or_lost(name: str, scenarios: Any, tmp_path: Path) -> None:
    found = scenarios.play(scenarios.BATCHKIT, name, tmp_path / name, python=sys.executable)
    assert (found.twice, found.lost, found.failed) == (0, 0, 0)
    assert found.aborted == ""
    assert found.held == HELD.get(name, 0)
    assert found.done == scenarios.JOBS - found.held
    assert found.in_flight == (scenarios.CONCURRENCY if name == "kill" else 0)


@pytest.mark.parametrize("name", HELD)
def test_with_keys_nothing_is_held_either(name: str, scenarios: Any, tmp_path: Path) -> None:
    tool, place = scenarios.BATCHKIT, tmp_path / name
    found = scenarios.play(tool, name, place, python=sys.executable, keys=True)
    assert (found.twice, found.lost, found.held, found.done) == (0, 0, 0, scenarios.JOBS)


def test_the_judge_sees_a_second_payment(
    scenarios: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    (tmp_path / "resubmits.py").write_text(
        "from _work import HTTP, report, task\n"
        "told = task()\n"
        "done = [prompt for prompt in told.prompts if HTTP(told).whole(prompt)]\n"
        "report(done[1:])\n"
    )
    tool = scenarios.Tool("a loop", "none", str(tmp_path / "resubmits.py"))
    found = scenarios.play(tool, "callback", tmp_path / "loop", python=sys.executable)
    assert (found.twice, found.lost) == (scenarios.JOBS, 1)
