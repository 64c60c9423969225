"""The same operations, in any order, in memory and on PostgreSQL: they never disagree."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test
from test_storage_agreement import NAMES, Agreement

from batchkit.storage import MemoryStorage
from postgres_server import Make

pytest_plugins = ["postgres_fixtures"]
_numbers = itertools.count()


def test_agreement(make: Make) -> None:
    class Pair(Agreement):
        def __init__(self) -> None:
            super().__init__()
            self.storages.pop().close()
            self.storages = [MemoryStorage(), make(schema=f"agreement{next(_numbers)}")]

        @rule(name=st.sampled_from(NAMES))
        def release(self, name: str) -> None:
            """What a runner held when it left is fenced here as soon as the next one came."""
            super().release(name)
            self.held = [held for held in self.held if held.name != name]

    run_state_machine_as_test(
        Pair, settings=settings(max_examples=15, stateful_step_count=30, deadline=None)
    )
