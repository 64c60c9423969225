"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """Time as the operating system tells it."""

    def time(self) -> float:
        """UTC seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def skip(self, seconds: float | None) -> bool:
        """A real clock cannot be moved."""
        return False
