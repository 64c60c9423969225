"""Waits between status queries."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import PollPolicy, UsageError

SECONDS = st.floats(0, 1e6)
POLICIES = st.builds(PollPolicy, first=SECONDS, factor=st.floats(1, 1e6), cap=SECONDS)
POLLS = st.integers(0, 100_000)


@given(POLICIES, POLLS, SECONDS)
def test_waits_grow_to_their_cap(policy: PollPolicy, polls: int, minimum: float) -> None:
    wait = policy.delay(polls, minimum=minimum)
    assert minimum <= wait <= max(minimum, policy.cap)
    assert wait <= policy.delay(polls + 1, minimum=minimum)


@given(POLICIES, POLLS, SECONDS, SECONDS)
def test_a_hint_wins_but_for_the_minimum(
    policy: PollPolicy, polls: int, minimum: float, hint: float
) -> None:
    assert policy.delay(polls, minimum=minimum, hint=hint) == max(minimum, hint)


@given(SECONDS, POLLS)
def test_fixed(seconds: float, polls: int) -> None:
    assert PollPolicy.fixed(seconds).delay(polls) == seconds


def test_the_first_waits() -> None:
    assert [PollPolicy().delay(n) for n in range(7)] == [2, 3, 4.5, 6.75, 10.125, 15, 15]


@pytest.mark.parametrize(
    "wrong", [{"first": -1}, {"cap": -0.1}, {"factor": 0.5}, {"factor": float("nan")}]
)
def test_what_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PollPolicy(**wrong)
