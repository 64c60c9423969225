"""Rates: in any window at most so many, whatever the submissions do."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import RateLimit, UsageError
from batchkit._pacer import Pacer, shared_quota

#: Multiples of an eighth: sums of them are exact.
STEPS = st.integers(0, 40).map(lambda n: n / 8)
WHOLE = st.integers(1, 10**6)


@pytest.mark.parametrize(
    ("spec", "count", "seconds"),
    [
        ("30/min", 30, 60),
        ("2/s", 2, 1),
        (" 1000 / Day ", 1000, 86400),
        ("5/10s", 5, 10),
        ("1/0.5h", 1, 1800),
        ("7/m", 7, 60),
        ("3/2.5 sec", 3, 2.5),
    ],
)
def test_parse(spec: str, count: int, seconds: float) -> None:
    assert RateLimit.parse(spec) == RateLimit(count, seconds)


@pytest.mark.parametrize(
    "spec", ["", "30", "0/s", "-1/s", "30/fortnight", "x/s", "1.5/s", "5/.s", "5/0s", "5/0.0min"]
)
def test_what_is_not_a_rate(spec: str) -> None:
    with pytest.raises(UsageError, match='write it as "30/min" or "2/s"'):
        RateLimit.parse(spec)


@pytest.mark.parametrize(("count", "seconds"), [(0, 1.0), (1, 0.0), (-1, 1.0), (1, -1.0)])
def test_limits_that_let_nothing_through(count: int, seconds: float) -> None:
    with pytest.raises(UsageError):
        RateLimit(count, seconds)


def test_parse_takes_a_rate_too() -> None:
    rate = RateLimit(3, 60)
    assert RateLimit.parse(rate) is rate


@given(WHOLE, WHOLE.map(float) | st.sampled_from([0.5, 1.0, 60.0, 3600.0, 86400.0, 2592000.0]))
def test_a_rate_reads_back(count: int, seconds: float) -> None:
    rate = RateLimit(count, seconds)
    assert RateLimit.parse(str(rate)) == rate


@pytest.mark.parametrize("spec", ["30/min", "2/s", "1000/day", "5/h", "5/10s", "1000/30d"])
def test_a_rate_reads_back_as_it_was_written(spec: str) -> None:
    rate = RateLimit.parse(spec)
    assert RateLimit.parse(str(rate)) == rate


def departures(pacer: Pacer, turns: list[tuple[float, int]]) -> list[float]:
    """When they left, for turns of (time passed, how many would go)."""
    now, left = 1000.0, list[float]()
    for passed, wanted in turns:
        now += passed
        ready = pacer.ready_at() <= now
        room = pacer.take(now, wanted)
        assert 0 <= room <= wanted
        assert room == 0 or ready
        left += [now] * room
    return left


TURNS = st.lists(st.tuples(STEPS, st.integers(1, 9)), max_size=60)


@given(st.integers(1, 6), STEPS.filter(bool), TURNS)
def test_no_window_holds_more_than_the_limit(
    count: int, seconds: float, turns: list[tuple[float, int]]
) -> None:
    left = departures(Pacer(RateLimit(count, seconds)), turns)
    for start in left:
        assert sum(1 for t in left if start <= t < start + seconds) <= count


@given(st.integers(1, 6), STEPS.filter(bool), TURNS)
def test_nobody_waits_longer_than_the_limit_asks(
    count: int, seconds: float, turns: list[tuple[float, int]]
) -> None:
    pacer = Pacer(RateLimit(count, seconds))
    left = departures(pacer, turns)
    now = max([1000.0, *left])
    assert pacer.ready_at() <= now + seconds
    at = max(now, pacer.ready_at())
    assert pacer.take(at, 1) == 1


@given(STEPS.filter(bool), TURNS, st.none() | st.integers(1, 4))
def test_delay_keeps_them_apart(
    delay: float, turns: list[tuple[float, int]], count: int | None
) -> None:
    rate = None if count is None else RateLimit(count, 2.0)
    left = departures(Pacer(rate, delay), turns)
    assert all(b - a >= delay for a, b in itertools.pairwise(left))


def test_without_limits_everybody_goes() -> None:
    pacer = Pacer()
    assert pacer.take(5.0, 100) == 100
    assert pacer.take(5.0, 1000) == 1000


@given(STEPS, STEPS)
def test_cool_down(first: float, second: float) -> None:
    pacer = Pacer(RateLimit(5, 1.0))
    pacer.cool_down(1000 + first)
    pacer.cool_down(1000 + second)
    until = 1000 + max(first, second)
    assert pacer.ready_at() == until
    assert (pacer.take(until - 0.125, 3), pacer.take(until, 3)) == (0, 3)


def test_what_nobody_used_is_given_back() -> None:
    pacer = Pacer(RateLimit(3, 10.0))
    assert pacer.take(1000.0, 3) == 3
    pacer.give_back(3, 2)
    assert pacer.take(1000.0, 5) == 2
    pacer.give_back(2, 0)
    assert pacer.take(1000.0, 1) == 0


def test_a_delay_does_not_count_from_a_departure_that_was_none() -> None:
    pacer = Pacer(delay=5.0)
    assert pacer.take(1000.0, 1) == 1
    assert pacer.take(1006.0, 1) == 1
    pacer.give_back(1, 1)
    assert pacer.ready_at() == 1005.0


def test_runs_that_use_one_key_share_its_limits() -> None:
    one, other = (Pacer(RateLimit(2, 10.0), quota=shared_quota("provider:key")) for _ in range(2))
    assert (one.take(1000.0, 5), other.take(1000.0, 5)) == (2, 0)
    other.cool_down(1060.0)
    assert one.ready_at() == 1060.0
    assert Pacer(RateLimit(2, 10.0), quota=shared_quota("provider:other")).take(1000.0, 5) == 2
    assert Pacer(RateLimit(2, 10.0), quota=shared_quota("")).take(1000.0, 5) == 2


def test_limits_of_different_strictness_look_back_far_enough() -> None:
    quota = shared_quota("provider:mixed")
    strict, loose = Pacer(RateLimit(1, 10.0), quota=quota), Pacer(RateLimit(4, 10.0), quota=quota)
    assert loose.take(1000.0, 3) == 3
    assert strict.take(1000.0, 1) == 0
    assert loose.take(1000.0, 3) == 1
