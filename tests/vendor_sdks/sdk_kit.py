"""What the tests of several SDKs need: time that passes as an SDK sleeps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from batchkit.testing import FakeClock

KEY = "key-of-a-fake"


def slept_on(clock: FakeClock) -> Any:
    """A module ``time`` for one module of an SDK: its pauses move *clock* on, and nobody waits."""
    return SimpleNamespace(sleep=clock.advance, time=clock.time, monotonic=clock.monotonic)
