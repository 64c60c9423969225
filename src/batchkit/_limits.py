"""How many submissions a provider allows in a time."""

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
