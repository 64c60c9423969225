"""A clock that runs an hour in milliseconds."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class FakeClock:
    """Time that moves only when nothing else can happen.

    An executor that would wait moves the clock on instead, once no call is under way.

    Attributes:
        now: UTC seconds.
        ticks: monotonic seconds.
    """

    now: float = 1_800_000_000.0
    ticks: float = 1000.0

    def time(self) -> float:
        """UTC seconds."""
        return self.now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.ticks

    def skip(self, seconds: float | None) -> bool:
        """Moves on to the next thing that is due; there has to be one."""
        if seconds is None:
            return False
        self.advance(seconds)
        return True

    def advance(self, seconds: float) -> None:
        """Moves on by *seconds*."""
        # Sums of floats fall short of what was asked for: a microsecond more makes up for it.
        self.now += seconds + 1e-6
        self.ticks += seconds + 1e-6
