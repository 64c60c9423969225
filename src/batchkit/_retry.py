"""Whether to try again, and after how long: two decisions, each replaceable."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from batchkit._errors import UsageError
from batchkit._jobs import JobError

#: ``whether(error, retries) -> bool``: *retries* counts the repeats so far.
Whether = Callable[[JobError, int], bool]
#: ``how_long(retries, uniform) -> seconds``: *uniform* draws from 0 to 1.
HowLong = Callable[[int, Callable[[], float]], float]


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:
        raise UsageError(f"{attribute.name} is {value!r}: give a number that is 0 or more")


def if_retryable(error: JobError, retries: int) -> bool:
    """The default *whether*: repeat what the error itself calls retryable."""
    return error.retryable


@attrs.frozen(kw_only=True)
class Exponential:
    """Full jitter over exponential growth: a uniform draw from 0 to min(cap, base * 2**retries).

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        base: seconds that the first wait does not exceed.
        cap: seconds that no wait exceeds.
        jitter: ``False`` always waits the longest time, for tests and schedules.
    """

    base: float = attrs.field(default=1.0, validator=_not_negative)
    cap: float = attrs.field(default=60.0, validator=_not_negative)
    jitter: bool = True

    def __call__(self, retries: int, uniform: Callable[[], float]) -> float:
        longest = min(self.cap, self.base * 2.0 ** min(retries, 60))
        return longest * uniform() if self.jitter else longest


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a job is tried again after failures that cost nothing, or were billed as failed.

    A submission whose outcome is unknown is never repeated by this policy.

    Attributes:
        max_retries: repeats after the first attempt.
        whether: decides by error and number of repeats so far.
        how_long: seconds before the next attempt; a provider's Retry-After wins when it is longer.
    """

    max_retries: int = attrs.field(default=2, validator=_not_negative)
    whether: Whether = if_retryable
    how_long: HowLong = attrs.field(factory=Exponential)

    def delay(
        self,
        error: JobError,
        retries: int,
        uniform: Callable[[], float],
        retry_after: float | None = None,
    ) -> float | None:
        """Seconds until the next attempt, or ``None`` when there shall be none."""
        if retries >= self.max_retries or not self.whether(error, retries):
            return None
        return max(self.how_long(retries, uniform), retry_after or 0.0)


#: Waits between repeats of what is free: polls, downloads, uploads.
FREE_RETRY = Exponential(base=1.0, cap=60.0)


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a response asks to wait, or ``None``.

    Reads ``retry-after-ms`` (milliseconds, as OpenAI and Azure send it), then ``Retry-After`` as
    seconds or as an HTTP date (RFC 9110, section 10.2.3). Nonsense counts as absent, and a time
    past as no wait.

    Args:
        headers: with any spelling of the names.
        now: UTC seconds, to turn a date into a wait.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(lower.get(name, ""))
        if seconds is not None:
            return seconds * scale
    try:
        when = email.utils.parsedate_to_datetime(lower.get("retry-after", ""))
        # An HTTP date is in UTC, also where the server forgot to say so.
        utc = when if when.tzinfo is not None else when.replace(tzinfo=dt.UTC)
        return max(0.0, utc.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
