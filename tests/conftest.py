"""Fixtures that every behavioural test shares: all executors, all storages, a clock that jumps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchRunner
from batchkit.storage import JSONStorage, MemoryStorage, SQLiteStorage, Storage
from batchkit.testing import FakeClock
from telling_kit import Tell

try:
    import hypothesis
except ImportError:  # of the core alone, nothing is drawn
    pass
else:
    # How long an example takes says how busy the machine is, and nothing of what is tested.
    hypothesis.settings.register_profile(
        "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tests")

EXECUTORS = ("sequential", "threads", "asyncio", "trio")
STORAGES = ("memory", "sqlite", "json")

MakeRunner = Callable[..., BatchRunner]
_TOLD = "told"


@pytest.fixture(scope="session", autouse=True)
def hear_interrupts() -> None:
    """A shell starts background jobs deaf to SIGINT, and they would pass that on to the programs
    that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def speak_no_language() -> Iterator[None]:
    """What people see follows the environment; tests say themselves which language they mean."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BATCHKIT_LANG", "LC_ALL", "LC_MESSAGES"):
            patch.delenv(name, raising=False)
        patch.setenv("LANG", "C.UTF-8")
        yield


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made: Storage
    match request.param:
        case "memory":
            made = MemoryStorage()
        case "sqlite":
            made = SQLiteStorage(tmp_path / "batch.db")
        case _:
            made = JSONStorage(tmp_path / "batch.json")
    yield made
    made.close()


@pytest.fixture
def make_runner(clock: FakeClock) -> MakeRunner:
    """A runner in memory, on the fake clock, without delays, unless the test says otherwise."""

    def make(client: object, **options: Any) -> BatchRunner:
        defaults: dict[str, Any] = {"storage": MemoryStorage(), "clock": clock, "delay": 0}
        return BatchRunner(client, **{**defaults, **options})

    return make


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Notes what a test has counted; the end of the run shows it, also when it was in parts."""

    def note(text: str) -> None:
        record_property(_TOLD, text)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests have counted."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    told = [
        f"{report.nodeid.partition('[')[0]}: {text}"
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, text in report.user_properties
        if name == _TOLD
    ]
    if told:
        terminalreporter.section("counted")
        terminalreporter.write("\n".join(told) + "\n")
