"""Scripts are read as they are written, and chance is the same again for the same seed."""

from __future__ import annotations

import logging
import math
import random
import re
from pathlib import Path

import pytest

from batchkit import UsageError
from batchkit.testing import FAULTS, SCRIPTS, SEEDED, FakeProvider
from batchkit.testing._draws import Draw
from batchkit.testing._faults import read_word
from batchkit.testing._plan import Plan


def read(written: str) -> list[tuple[str, str, str]]:
    return [(operation, word.name, word.arg) for operation, word in read_word(written)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("busy", [("submit", "busy", "")]),
        ("poll:503", [("poll", "503", "")]),
        ("429:date", [("submit", "429", "date")]),
        ("late:5", [("submit", "late", "5")]),
        ("late:0.5", [("submit", "late", "0.5")]),
        ("webhook:late:0.5", [("webhook", "late", "0.5")]),
        ("fetch:cut*2", [("fetch", "cut", "")] * 2),
        ("unseen:4", [("submit", "unseen", "4")]),
        ("500_after", [("submit", "500_after", "")]),
        ("nonsense", []),
        ("poll:nonsense", []),
        ("poll:corrupt", []),
        ("fetch:slow", []),
        ("4k!", []),
    ],
)
def test_a_word_of_a_script(written: str, meant: list[tuple[str, str, str]]) -> None:
    assert read(written) == meant


def test_what_a_prompt_can_script_is_in_the_catalogue() -> None:
    assert set(SCRIPTS) < set(FAULTS)
    assert {"ok", "busy", "drop_after", "lost", "reset", "500_after"} <= set(SCRIPTS)
    assert not {"corrupt", "blind", "missing"} & set(SCRIPTS)


def test_a_prompt_may_hold_brackets_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    provider = FakeProvider()
    with caplog.at_level(logging.WARNING, "batchkit.testing"):
        provider.submit("um gato [4k] azul", "k")

    assert provider.ledger.charges == {"um gato": 1}
    assert "which is no fault" in caplog.text


def test_a_script_of_a_test_has_to_be_right() -> None:
    provider = FakeProvider()
    with pytest.raises(UsageError, match="'bussy' is no fault"):
        provider.script("cat", "bussy")
    with pytest.raises(UsageError, match="is no fault"):
        provider.script_next("poll:reject")


def plan_of(plan: Plan, order: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in order:
        word = plan.next("poll", item)
        found.setdefault(item, []).append(word.name if word else "")
    return found


def test_the_order_of_requests_does_not_change_what_befalls_them() -> None:
    order = ["ant", "bee", "cat"] * 50
    shuffled = list(order)
    random.Random(1).shuffle(shuffled)

    assert plan_of(Plan(7, 0.5), order) == plan_of(Plan(7, 0.5), shuffled)
    assert plan_of(Plan(7, 0.5), order) != plan_of(Plan(8, 0.5), order)


def test_a_rate_is_a_share() -> None:
    plan = Plan(1, 0.2)
    hit = sum(plan.next("submit", f"item {number}") is not None for number in range(2000))

    assert 300 < hit < 500


def test_rates_and_faults_by_operation() -> None:
    plan = Plan(1, {"poll": 1.0}, {"poll": ["503", "late:0.5"]})
    words = [plan.next("poll", str(number)) for number in range(50)]

    assert plan.next("submit", "cat") is None
    assert {word.name for word in words if word} == {"503", "late"}
    assert {word.number(9.0) for word in words if word} == {9.0, 0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": {"pol": 1.0}}, "no operation 'pol'"),
        ({"faults": {"poll": ["oops"]}}, "poll has no fault 'oops': choose from reset"),
        ({"faults": {"job": ["reset"]}}, "job has no fault 'reset'"),
    ],
)
def test_a_plan_that_cannot_work_says_why(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(1, **options)  # type: ignore[arg-type]


def test_a_script_goes_before_chance() -> None:
    plan = Plan(1, 1.0)
    plan.script("cat", "poll:404", "ok")
    plan.script_next("poll:500")
    names = [word.name if word else "" for word in (plan.next("poll", "cat") for _ in range(2))]

    assert names == ["404", "500"]
    word = plan.next("submit", "cat")
    assert word is not None
    assert word.name == "ok", "a script can say that nothing goes wrong"


def test_every_seeded_fault_exists() -> None:
    Plan(1, 1.0, SEEDED)
    assert not {"401", "lost", "blind"} & {word for words in SEEDED.values() for word in words}


# -- distributions -------------------------------------------------------------------------------


def test_distributions_by_name() -> None:
    rng = random.Random(1)
    fixed, uniform, skewed = (
        [Draw.parse(spec)(rng) for _ in range(500)]
        for spec in (2.5, "uniform:1,5", "lognormal:30,0.5")
    )

    assert set(fixed) == {2.5}
    assert all(1 <= number <= 5 for number in uniform)
    assert max(uniform) - min(uniform) > 3
    assert 25 < sorted(skewed)[250] < 36
    assert all(0 < number < math.inf for number in skewed)


@pytest.mark.parametrize("spec", ["", "fixed", "uniform:1", "gauss:1,2", "fixed:-1", "fixed:inf"])
def test_what_is_no_distribution(spec: str) -> None:
    with pytest.raises(UsageError, match="is no distribution: write fixed:2"):
        Draw.parse(spec)


def test_prices_and_durations_are_the_same_again() -> None:
    def made(seed: int) -> list[tuple[int, float | None]]:
        provider = FakeProvider(seed=seed, price="uniform:0.05,2", duration="lognormal:30,0.5")
        for number in range(20):
            provider.submit(f"item {number}", f"key of this run {id(provider)}-{number}")
        return [(job.cents, job.seconds) for job in provider.jobs.values()]

    assert made(1) == made(1) != made(2)


def test_every_fault_is_in_the_table_for_users() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "testing.md").read_text("utf-8")
    words = re.findall(r"`([\w:.]+)`", page)
    written = {part for word in words for part in word.split(":")}

    assert set(FAULTS) - written == set()
