"""Fixtures for programs that use batchkit: pytest finds them by the entry point ``batchkit``.

Nothing of ``batchkit`` is imported before a test asks for a fixture: what is loaded while pytest
starts is missing from a measurement of coverage, and every run of tests would wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from batchkit import BatchRunner
    from batchkit.testing import FakeClock, FakeProvider, FakeServer, LedgerReport

    AssertLedger = Callable[..., LedgerReport]


@pytest.fixture
def fake_clock() -> FakeClock:
    """Time that runs an hour in milliseconds; pass it to the runner as ``clock=``."""
    from batchkit.testing import FakeClock

    return FakeClock()


@pytest.fixture
def fake_provider(fake_clock: FakeClock) -> FakeProvider:
    """A provider in this process, on ``fake_clock``; ``FakeClient(fake_provider)`` talks to it."""
    from batchkit.testing import FakeProvider

    return FakeProvider(clock=fake_clock)


@pytest.fixture
def fake_server(fake_provider: FakeProvider) -> Iterator[FakeServer]:
    """``fake_provider`` behind HTTP: ``fake_server.url``, ``fake_server.client()``."""
    from batchkit.testing import FakeServer

    with FakeServer(fake_provider) as server:
        yield server


@pytest.fixture
def assert_ledger(fake_provider: FakeProvider) -> AssertLedger:
    """``assert_ledger(runner)``: nothing lost, nothing paid twice, both sides agree to the cent.

    It takes the batches that used ``fake_provider``, and ``allowed=[...]``, the items that a person
    allowed to be submitted again; it prints the report, which pytest shows when a test fails, and
    returns it.
    """

    def check(*batches: BatchRunner, allowed: tuple[str, ...] = ()) -> LedgerReport:
        __tracebackhide__ = True
        report = fake_provider.ledger.check(*batches, allowed=allowed)
        print(report)  # noqa: T201 - where pytest shows what a failed test printed
        report.raise_for_faults()
        return report

    return check
