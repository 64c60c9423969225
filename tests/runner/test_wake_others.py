"""A webhook that reaches another process than the one that runs the batch."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchResumed, BatchRunner, Job, JobHinted, JobStatus, JobSubmitted, PollPolicy
from batchkit._dispatch import MOST_LINES
from batchkit._handle import BatchHandle
from batchkit._hint_sender import MOST_A_MINUTE
from batchkit.storage import EncryptedStorage, MemoryStorage, SQLiteStorage, Storage, generate_key
from batchkit.storage.base import Entry
from batchkit.testing import Crash, FakeClient, FakeClock, FakeProvider, FakeServer
from waiting_kit import until

pytest_plugins = ["postgres_fixtures"]
#: Seconds that a job takes at the provider.
DURATION = 60.0
#: What a page in another process does with a webhook.
PAGE = """
import sys
from batchkit import BatchRunner
with BatchRunner.open(sys.argv[1]) as batch:
    print(*(batch.wake(handle_id=name) for name in sys.argv[2:]))
"""


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    # Its time stands still until the test moves it; that of the runner is real.
    with FakeServer(duration=DURATION, clock=FakeClock()) as made:
        yield made


@pytest.fixture(params=["batch.db", "batch.jsonl", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        schema = request.getfixturevalue("schema")
        return str(request.getfixturevalue("server").dsn(schema=schema))
    return str(tmp_path / request.param)


Start = Callable[..., tuple[BatchHandle, Job]]


@pytest.fixture
def start(fake: FakeServer) -> Iterator[Start]:
    """Starts a batch of one job that is polled every hour; returns once it is accepted."""
    started: list[BatchHandle] = []

    def begin(where: str | Storage, executor: str = "threads") -> tuple[BatchHandle, Job]:
        runner = BatchRunner(
            fake.client(), storage=where, executor=executor, poll=PollPolicy.fixed(3600), delay=0
        )
        job, accepted = runner.add("a cat"), threading.Event()
        runner.on(JobSubmitted)(lambda event: accepted.set())
        handle = runner.start()
        started.append(handle)
        assert accepted.wait(20)
        until(lambda: runner.job(job).status is JobStatus.PROCESSING)
        return handle, job

    yield begin
    for handle in started:
        handle.stop(now=True)
        handle.result(20)
        handle.runner.close()
        # A storage that was given is not its runner's to close.
        handle.runner.storage.close()


def webhooks(where: str, *handles: str) -> list[bool]:
    """What waking them from another process answers."""
    words = [sys.executable, "-c", PAGE, where, *handles]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=50).stdout
    return [word == "True" for word in told.split()]


def pass_time(fake: FakeServer) -> None:
    clock = fake.provider.clock
    assert isinstance(clock, FakeClock)
    clock.advance(DURATION + 1)


def test_the_one_that_runs_the_batch_polls_it(where: str, start: Start, fake: FakeServer) -> None:
    handle, job = start(where)
    pass_time(fake)

    assert webhooks(where, "remote-1", "remote-2") == [True, False]
    assert handle.result(20).ok
    assert fake.provider.jobs["remote-1"].polls == 1
    # That it was hinted belongs to no submission, and changes none.
    (attempt,) = handle.runner.attempts(job)
    assert attempt.outcome == "completed"
    hints = [event for event in handle.runner.events() if isinstance(event, JobHinted)]
    assert [hint.job.id for hint in hints] == [job.id]


def test_every_executor_hears_it(
    executor: str, start: Start, fake: FakeServer, tmp_path: Path
) -> None:
    where = str(tmp_path / "batch.db")
    handle, job = start(where, executor)
    pass_time(fake)
    with BatchRunner.open(where) as page:
        assert page.wake(job)
        assert handle.result(20).ok
        assert not page.wake(job)
    assert fake.provider.jobs["remote-1"].polls == 1


def test_a_long_journal_does_not_hide_it(start: Start, fake: FakeServer, tmp_path: Path) -> None:
    where = str(tmp_path / "batch.db")
    handle, job = start(where)
    pass_time(fake)
    with BatchRunner.open(where) as page:
        lines = [Entry(BatchResumed.kind, 0.0)] * (2 * MOST_LINES)
        page.storage.append(page.batch.id, lines)
        assert page.wake(job)
    assert handle.result(20).ok
    assert fake.provider.jobs["remote-1"].polls == 1


def test_one_that_comes_too_early_does_not_swallow_the_next(
    start: Start, fake: FakeServer, tmp_path: Path
) -> None:
    where = str(tmp_path / "batch.db")
    handle, _ = start(where)
    job = fake.provider.jobs["remote-1"]
    with BatchRunner.open(where) as page:
        assert page.wake(handle_id="remote-1")
        until(lambda: job.polls == 1)
        pass_time(fake)
        assert page.wake(handle_id="remote-1")
    assert handle.result(20).ok
    assert job.polls == 2


def test_a_flood_leaves_some_lines_a_minute(start: Start, fake: FakeServer, tmp_path: Path) -> None:
    where = str(tmp_path / "batch.db")
    handle, job = start(where)
    clock = FakeClock()
    with BatchRunner.open(where, clock=clock) as page:
        for _ in range(200):
            assert page.wake(handle_id="remote-1")
            clock.advance(0.5)
        assert not page.wake(job.id + 1)
        hints = [event for event in page.events() if isinstance(event, JobHinted)]
        assert len(hints) == 2 * MOST_A_MINUTE
        pass_time(fake)
        handle.wake(job)
        assert handle.result(20).ok
        assert not page.wake(handle_id="remote-1")


def test_through_an_encrypted_storage(start: Start, fake: FakeServer, tmp_path: Path) -> None:
    key, path = generate_key(), tmp_path / "batch.db"
    handle, _ = start(EncryptedStorage(SQLiteStorage(path), key=key))
    pass_time(fake)
    page = EncryptedStorage(SQLiteStorage(path), key=key)
    assert BatchRunner.open(page).wake(handle_id="remote-1")
    assert handle.result(20).ok
    page.close()


def test_through_the_very_storage_of_the_run(
    start: Start, fake: FakeServer, tmp_path: Path
) -> None:
    shared = SQLiteStorage(tmp_path / "batch.db")
    handle, _ = start(shared)
    pass_time(fake)
    assert BatchRunner.open(shared).wake(handle_id="remote-1")
    assert handle.result(20).ok


def test_a_job_of_another_batch_is_not_woken(
    start: Start, fake: FakeServer, tmp_path: Path
) -> None:
    where = str(tmp_path / "batch.db")
    handle, job = start(where)
    with BatchRunner(name="another", storage=where) as page:
        assert not page.wake(job)
        assert not page.wake(handle_id="remote-1")
    pass_time(fake)
    handle.wake(job)
    assert handle.result(20).ok


def dies_at(point: str) -> Callable[[str], None]:
    def hook(reached: str) -> None:
        if reached == point:
            raise Crash(point)

    return hook


@pytest.mark.parametrize("storage", [MemoryStorage, SQLiteStorage])
def test_what_was_heard_before_a_run_costs_no_query(
    storage: Callable[..., MemoryStorage | SQLiteStorage], tmp_path: Path
) -> None:
    clock = FakeClock()
    provider = FakeProvider(duration=DURATION, clock=clock)
    kept = storage() if storage is MemoryStorage else storage(tmp_path / "batch.db")
    options: dict[str, Any] = {
        "storage": kept,
        "clock": clock,
        "delay": 0,
        "executor": "sequential",
    }
    first = BatchRunner(FakeClient(provider), hook=dies_at("poll:before"), **options)
    job = first.add("a cat")
    with pytest.raises(Crash):
        first.run()
    runner = BatchRunner(FakeClient(provider), **options)
    assert runner.job(job).status is JobStatus.PROCESSING

    assert runner.wake(job)
    clock.advance(DURATION + 1)
    assert runner.run().ok
    assert provider.jobs["remote-1"].polls == 1
    kept.close()
