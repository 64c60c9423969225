"""When the next submission may leave: a rate, a minimum delay, and what a provider asked for."""

from __future__ import annotations

import math
import re

import attrs

from batchkit._errors import UsageError

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0}
_UNITS |= {"m": 60.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}


@attrs.frozen
class RateLimit:
    """At most *count* submissions in any *seconds*.

    Attributes:
        count: how many.
        seconds: in which time.
    """

    count: int
    seconds: float

    def __attrs_post_init__(self) -> None:
        if not (self.count >= 1 and 0 < self.seconds < math.inf):
            raise UsageError(
                f"rate limit {self} lets nothing through: allow 1 or more in some time, and "
                'write it as "30/min" or "2/s"'
            )

    @classmethod
    def parse(cls, spec: str | RateLimit) -> RateLimit:
        """From ``"30/min"``, ``"2/s"``, ``"1000/day"``, ``"5/10s"``.

        Raises:
            UsageError: it is not written so.
        """
        if isinstance(spec, RateLimit):
            return spec
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*", str(spec).lower())
        if found is None or found[3] not in _UNITS:
            raise UsageError(
                f'rate limit {spec!r} is not understood: write it as "30/min" or "2/s"'
            )
        return cls(int(found[1]), float(found[2] or 1) * _UNITS[found[3]])

    def __str__(self) -> str:
        names = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}
        # Not :g, which would write a month as 2.592e+06.
        plain = f"{self.seconds:.9f}".rstrip("0").rstrip(".")
        return f"{self.count}/{names.get(self.seconds) or f'{plain}s'}"


class Pacer:
    """Says when submissions may leave. It decides; somebody else waits.

    The rate is a sliding window kept exactly: the times of the last *count* departures. Times are
    monotonic seconds.
    """

    def __init__(self, rate: RateLimit | None = None, delay: float = 0.0) -> None:
        self.rate, self.delay = rate, delay
        self._departures: list[float] = []
        self._last = -math.inf
        #: Nobody leaves before that.
        self.resting_until = -math.inf

    def ready_at(self) -> float:
        """The earliest time at which one more may leave."""
        earliest = max(self._last + self.delay, self.resting_until)
        if self.rate is not None and len(self._departures) >= self.rate.count:
            earliest = max(earliest, self._departures[-self.rate.count] + self.rate.seconds)
        return earliest

    def room(self, now: float, wanted: int) -> int:
        """How many of *wanted* may leave at once."""
        if self.ready_at() > now:
            return 0
        if self.delay > 0:
            return min(1, wanted)
        if self.rate is None:
            return wanted
        recent = sum(1 for t in self._departures if t > now - self.rate.seconds)
        return min(wanted, self.rate.count - recent)

    def left(self, now: float, count: int = 1) -> None:
        """Notes that *count* submissions left."""
        self._last = now
        if self.rate is not None:
            self._departures.extend([now] * count)
            del self._departures[: -self.rate.count]

    def cool_down(self, until: float) -> None:
        """Nobody leaves before *until*: one refusal slows everybody who shares the quota."""
        self.resting_until = max(self.resting_until, until)
