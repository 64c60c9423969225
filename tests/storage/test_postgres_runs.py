"""Whole batches on PostgreSQL, with a server that goes away in the middle and runners that die."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchBusyError, BatchRunner, Capabilities, JobStatus, StorageUnavailableError
from batchkit.storage import PostgresStorage
from batchkit.testing import AsyncFakeClient, FakeClient, FakeClock, FakeProvider
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus

SCENARIO = {
    "ant": "completed",
    "bee [busy]": "completed",
    "cat [flaky]": "completed",
    "dog [drop_after]": "uncertain",
    "elk [fail]": "failed",
    "fox [reject]": "failed",
    "gnu [blips]": "completed",
}


def fake_client(executor: str, provider: FakeProvider) -> object:
    # Threads must really be used, where an executor has them.
    capabilities = Capabilities(inline=executor != "threads", cancel="running")
    if executor in ("asyncio", "trio"):
        return AsyncFakeClient(provider, capabilities=capabilities)
    return FakeClient(provider, capabilities=capabilities)


def test_a_whole_batch(make: Make, executor: str, clock: FakeClock, tmp_path: Path) -> None:
    provider, storage = FakeProvider(), make()
    runner = BatchRunner(
        fake_client(executor, provider),
        storage=storage,
        executor=executor,
        clock=clock,
        delay=0,
        output=tmp_path / "videos",
    )
    runner.add_many(SCENARIO)
    summary = runner.run()
    found = {job.title: str(job.status) for job in storage.jobs(runner.batch.id)}
    assert found == SCENARIO
    assert provider.ledger.charged_twice() == ["cat"]
    assert summary.counts == {_S.COMPLETED: 4, _S.FAILED: 2, _S.UNCERTAIN: 1}
    assert sorted(job.title[:3] for job in runner.results()) == ["ant", "bee", "cat", "gnu"]
    runner.close()


# -- a server that goes away -------------------------------------------------------------------

ITEMS = [f"item {n}" for n in range(6)]


class Interrupted:
    """Does something in the middle of one submission."""

    def __init__(self, at: int, do: Callable[[], None]) -> None:
        self.left, self.do = at, do

    def __call__(self, operation: str) -> None:
        if operation == "submit":
            self.left -= 1
            if self.left == 0:
                self.do()


@pytest.fixture
def fragile(server: Server) -> Iterator[Server]:
    """The server; it runs again after the test."""
    yield server
    try:
        server.run("SELECT 1")
    except Exception:
        server.start()


def run(provider: FakeProvider, storage: PostgresStorage, before: Any = None) -> None:
    client = FakeClient(provider, before=before)
    with BatchRunner(client, storage=storage, delay=0, clock=FakeClock()) as runner:
        runner.add_many(ITEMS)
        runner.run()


def statuses(storage: PostgresStorage) -> Counter[JobStatus]:
    return Counter(job.status for job in storage.jobs(storage.batches()[0].id))


@pytest.mark.parametrize("at", [1, 4])
def test_a_server_that_stops_in_the_middle(
    make: Make, fragile: Server, tmp_path: Path, at: int
) -> None:
    provider, storage = FakeProvider(), make(timeout=0.5)
    with pytest.raises(StorageUnavailableError, match="start the server"):
        run(provider, storage, Interrupted(at, fragile.stop))
    [rescued] = tmp_path.glob("rescue*")
    assert "remote-" in rescued.read_text()
    fragile.start()
    # The same process, at once, although it could not give its lease back.
    run(provider, storage)
    assert list(tmp_path.glob("rescue*")) == []
    assert statuses(storage) == {_S.COMPLETED: len(ITEMS)}
    assert provider.ledger.charges == Counter(ITEMS)


@pytest.mark.parametrize("at", [1, 4])
def test_a_server_that_crashes_and_comes_back(make: Make, fragile: Server, at: int) -> None:
    provider, storage = FakeProvider(), make(durability="full")
    run(provider, storage, Interrupted(at, fragile.restart))
    assert statuses(storage) == {_S.COMPLETED: len(ITEMS)}
    assert dict(storage.counts(1)) == {_S.COMPLETED: len(ITEMS)}
    assert provider.ledger.charges == Counter(ITEMS)


def test_a_server_that_forgets_its_last_second(make: Make, fragile: Server) -> None:
    provider, storage = FakeProvider(), make(durability="normal")
    run(provider, storage, Interrupted(4, fragile.restart))
    # What was lost is done again by the next run, but for the paying part.
    run(provider, storage)
    assert statuses(storage) == {_S.COMPLETED: len(ITEMS)}
    assert dict(storage.counts(1)) == {_S.COMPLETED: len(ITEMS)}
    assert provider.ledger.charges == Counter(ITEMS)


def test_a_runner_that_lost_its_batch_leaves_it(make: Make, server: Server, schema: str) -> None:
    provider, late, other = FakeProvider(), make(), make()

    def take_over() -> None:
        server.run(f"UPDATE {schema}.leases SET expires_at = clock_timestamp()")
        other.acquire(1)

    with pytest.raises(BatchBusyError, match=r"taken over .* leave the batch to it"):
        run(provider, late, Interrupted(3, take_over))
    assert provider.ledger.submissions.total() == 3
    other.release(1)
    run(provider, other)
    # What the late one was told for its third job was found as evidence.
    assert statuses(other) == {_S.COMPLETED: len(ITEMS)}
    assert provider.ledger.charges == Counter(ITEMS)


# -- runners that die --------------------------------------------------------------------------

RUNNER = """
import os, sys, time
from batchkit import Accepted, BatchBusyError, BatchRunner, Finished, Handle
from batchkit import PollPolicy, RemoteState, RemoteStatus
from batchkit.storage import PostgresStorage

class Client:
    def submit(self, job):
        with open(sys.argv[2], "a") as ledger:
            ledger.write(f"{os.getpid()} {job.title}\\n")
        with open(sys.argv[2]) as ledger:
            lines = ledger.read().splitlines()
        # The first to submit gets no further than this before it is killed.
        time.sleep(600 if len(lines) > 10 and lines[0].startswith(f"{os.getpid()} ") else 0.01)
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle):
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(value=handle.id))

storage = PostgresStorage(sys.argv[1], lease_seconds=30)
options = {"delay": 0, "max_concurrent": 2, "poll": PollPolicy.fixed(0.05)}
while True:
    with BatchRunner(Client(), storage=storage, name="b", **options) as runner:
        try:
            runner.run()
        except BatchBusyError:
            time.sleep(0.05)
        else:
            break
"""


@pytest.mark.slow
def test_two_runners_at_once_and_the_death_of_one(
    make: Make, server: Server, schema: str, tmp_path: Path
) -> None:
    storage, ledger = make(), tmp_path / "ledger"
    titles = [f"job-{n}" for n in range(60)]
    with BatchRunner(print, storage=storage, name="b") as adding:
        adding.add_many(titles)
    command = [sys.executable, "-c", RUNNER, server.dsn(schema=schema), str(ledger)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    for _ in range(600):
        if ledger.exists() and len(ledger.read_text().splitlines()) > 10:
            break
        threading.Event().wait(0.05)
    first = int(ledger.read_text().split()[0])
    [dead] = [process for process in processes if process.pid == first]
    dead.kill()
    # Until somebody has asked for its end, it counts as alive.
    dead.wait()
    assert sorted(process.wait(40) for process in processes) == [-9, 0]
    sent = [line.split() for line in ledger.read_text().splitlines()]
    assert max(Counter(title for _, title in sent).values()) == 1
    assert len({pid for pid, _ in sent}) == 2
    found = statuses(storage)
    assert found[_S.COMPLETED] + found[_S.UNCERTAIN] == len(titles)
    # Only what was on its way when the first one died.
    assert found[_S.UNCERTAIN] <= 2
