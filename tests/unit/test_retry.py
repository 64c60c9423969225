"""Whether and when to try again."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import ErrorKind, Exponential, JobError, RetryPolicy, UsageError, parse_retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
UNIT = st.floats(0, 1)
SECONDS = st.floats(0, 1e6)
RETRYABLE = JobError(kind=ErrorKind.NETWORK, message="busy", retryable=True)
FINAL = JobError(kind=ErrorKind.INVALID_INPUT, message="no")


def at(moment: float) -> str:
    return email.utils.formatdate(moment, usegmt=True)


@given(SECONDS, SECONDS, st.integers(0, 10_000), UNIT)
def test_jitter_stays_in_its_bounds(base: float, cap: float, retries: int, draw: float) -> None:
    longest = Exponential(base=base, cap=cap, jitter=False)(retries, lambda: draw)
    waited = Exponential(base=base, cap=cap)(retries, lambda: draw)
    assert 0 <= waited <= longest <= cap
    assert longest == min(cap, base * 2.0 ** min(retries, 60))


@given(SECONDS, SECONDS, st.integers(0, 200))
def test_waits_do_not_shrink(base: float, cap: float, retries: int) -> None:
    waits = Exponential(base=base, cap=cap, jitter=False)
    assert waits(retries, lambda: 1.0) <= waits(retries + 1, lambda: 1.0)


@pytest.mark.parametrize("value", [-1, float("nan")])
def test_times_are_not_negative(value: float) -> None:
    with pytest.raises(UsageError, match=r"base is .*: give a number that is 0 or more"):
        Exponential(base=value)
    with pytest.raises(UsageError, match="cap is"):
        Exponential(cap=value)
    with pytest.raises(UsageError, match="max_retries is"):
        RetryPolicy(max_retries=value)  # type: ignore[arg-type]


def test_what_is_not_retryable_is_not_repeated() -> None:
    assert RetryPolicy().delay(FINAL, 0, lambda: 1.0) is None


@given(st.integers(0, 5), st.integers(0, 5), UNIT)
def test_retries_are_counted(most: int, retries: int, draw: float) -> None:
    wait = RetryPolicy(max_retries=most).delay(RETRYABLE, retries, lambda: draw)
    assert (wait is None) == (retries >= most)


@given(st.none() | SECONDS, SECONDS)
def test_the_provider_is_not_undercut(asked: float | None, ours: float) -> None:
    policy = RetryPolicy(how_long=lambda _retries, _uniform: ours)
    assert policy.delay(RETRYABLE, 0, lambda: 1.0, asked) == max(ours, asked or 0.0)


def test_both_decisions_can_be_replaced() -> None:
    seen: list[tuple[str, int]] = []

    def whether(error: JobError, retries: int) -> bool:
        seen.append((error.message, retries))
        return retries < 1

    policy = RetryPolicy(max_retries=9, whether=whether, how_long=lambda n, _: n + 5.0)
    assert [policy.delay(FINAL, n, lambda: 0.0) for n in (0, 1)] == [5.0, None]
    assert seen == [("no", 0), ("no", 1)]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"RETRY-AFTER": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"Retry-After": at(NOW + 30)}, 30.0),
        ({"Retry-After": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 09:00:30 -0300"}, 30.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "later"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Mon, 01 Jan 2020 00:00:00 +99999999999999999999"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait: float | None) -> None:
    assert parse_retry_after(headers, NOW) == wait


@pytest.fixture(params=["UTC0", "BRT3", "XST-9"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("date", ["Sun Mar  1 12:00:30 2026", "Sun, 01 Mar 2026 12:00:30 -0000"])
def test_dates_without_a_zone_are_utc(date: str) -> None:
    """RFC 9110, section 5.6.7: recipients accept asctime dates, which are always UTC."""
    assert parse_retry_after({"Retry-After": date}, NOW) == 30.0


def test_times_past_ask_for_nothing() -> None:
    assert not parse_retry_after({"Retry-After": at(NOW - 30)}, NOW)


@given(st.dictionaries(st.sampled_from(["Retry-After", "retry-after-ms"]), st.text()))
def test_no_header_stops_a_client(headers: dict[str, str]) -> None:
    wait = parse_retry_after(headers, NOW)
    assert wait is None or wait >= 0


@given(st.integers(0, 10**9), st.integers(-(10**12), 10**12), st.integers(0, 10**20))
def test_no_date_stops_a_client(year: int, zone: int, day: int) -> None:
    date = f"Mon, {day} Jan {year} 00:00:00 {zone:+05d}"
    wait = parse_retry_after({"Retry-After": date}, NOW)
    assert wait is None or wait >= 0
