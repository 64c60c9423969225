"""Who holds a batch on PostgreSQL, and what becomes of a runner that lost its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchBusyError, Handle, Job, JobStatus, StorageError
from batchkit._events import JobSubmitted, JobSubmitting
from batchkit.storage import Change, Entry, PostgresStorage, Saved
from batchkit.storage._postgres_owner import this_machine
from batchkit.testing._check_storage_base import NOW, advance, begin, claimed, put, stored
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus
#: A lease that nobody renews while a test runs.
LONG = 3600.0


class World:
    """Two storages on one schema, and what the database may do to a lease."""

    def __init__(self, make: Make, server: Server, schema: str) -> None:
        self.server, self.schema = server, schema
        self.old, self.new = [make(lease_seconds=LONG, timeout=60) for _ in range(2)]

    def expire(self) -> None:
        """As if its owner had not been heard of for longer than the lease."""
        self.run("UPDATE {s}.leases SET expires_at = clock_timestamp() - interval '1 second'")

    def lease(self, column: str) -> object:
        return self.run(f"SELECT {column} FROM {{s}}.leases")[0][0]

    def run(self, statement: str) -> list[tuple[object, ...]]:
        return self.server.run(statement.replace("{s}", self.schema))


@pytest.fixture
def world(make: Make, server: Server, schema: str) -> World:
    return World(make, server, schema)


def intent(job: Job) -> Change:
    line = Entry(JobSubmitting.kind, NOW, job.id, 1)
    return Change(job.to(_S.SUBMITTING, attempt=1), job, [line], power_safe=True)


def eventually(is_so: Callable[[], object]) -> None:
    for _ in range(300):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen within 15 seconds")


# -- taking and giving -------------------------------------------------------------------------


def test_a_second_runner_is_told_who_has_it(world: World) -> None:
    batch, epoch = begin(world.old, "a")
    who = (
        rf"process {os.getpid()} on {socket.gethostname()}\) works on .*'conformance'.*3[56]\d\d s"
    )
    for storage in (world.new, world.old):
        with pytest.raises(BatchBusyError, match=who):
            storage.acquire(batch)
    world.new.release(batch)
    assert world.lease("count(*)") == 1
    world.old.release(batch)
    assert world.new.acquire(batch) == epoch + 1
    world.new.close()
    assert world.old.acquire(batch) == epoch + 2


def test_a_lease_that_ran_out_goes_to_the_next(world: World) -> None:
    batch, epoch = begin(world.old, "a")
    world.expire()
    assert world.new.acquire(batch) == epoch + 1
    # The late one cannot give away what is not its own any more.
    world.old.release(batch)
    with pytest.raises(BatchBusyError):
        world.old.acquire(batch)


def test_only_one_of_many_gets_it(make: Make) -> None:
    storages = [make() for _ in range(6)]
    batch = storages[0].open_batch("b", NOW).id
    start, got, busy = threading.Barrier(6), list[int](), list[str]()

    def take(storage: PostgresStorage) -> None:
        start.wait()
        try:
            got.append(storage.acquire(batch))
        except BatchBusyError as exc:
            busy.append(str(exc))

    threads = [threading.Thread(target=take, args=(storage,)) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got, len(busy)) == ([1], 5)


def test_a_lease_is_not_taken_away_in_the_moment_in_which_it_was_given(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make(rescue=tmp_path / "of-the-second.jsonl")
    batch, take = first.open_batch("b", NOW).id, first._take

    def and_another_comes(*asked: Any) -> Any:
        found = take(*asked)
        with pytest.raises(BatchBusyError):
            second.acquire(batch)
        return found

    monkeypatch.setattr(first, "_take", and_another_comes)
    assert first.acquire(batch) == 1


def test_the_thread_renews_the_lease(make: Make, world: World) -> None:
    storage = make(lease_seconds=LONG)
    storage._keeper._period = 0.2
    begin(storage, "a")
    for _ in range(3):
        before = world.lease("expires_at")
        eventually(lambda before=before: world.lease("expires_at") != before)  # type: ignore[misc]
    with pytest.raises(BatchBusyError):
        world.new.acquire(1)


def test_a_save_renews_the_lease_when_the_thread_does_not(make: Make, world: World) -> None:
    storage = make(lease_seconds=1)
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    storage._keeper.close()
    eventually(lambda: storage._keeper.is_late)
    before = world.lease("expires_at")
    assert not put(storage, job.to(_S.SUBMITTING), job).fenced
    assert world.lease("expires_at") != before


# -- a runner that lost its batch --------------------------------------------------------------


def test_an_intent_that_comes_too_late_is_fenced(world: World) -> None:
    batch, epoch = begin(world.old, "a", "b")
    [job, other] = world.old.claim(batch, epoch, 2, NOW)
    world.expire()
    alive = world.new.acquire(batch)
    saved = world.old.save([intent(job), intent(other)])
    assert saved.fenced == {0, 1}
    assert [job.status for job in world.new.jobs(batch)] == [_S.PENDING] * 2
    # The journal keeps what was tried, and the jobs go to whoever has the batch.
    assert [line.kind for line in world.new.journal(batch)] == [JobSubmitting.kind] * 2
    assert claimed(world.new, batch, alive) == ["a", "b"]
    assert dict(world.new.counts(batch)) == {_S.PENDING: 2}


def test_everything_else_that_comes_too_late(world: World) -> None:
    batch, epoch = begin(world.old, "a", "b", "c")
    [running, _] = world.old.claim(batch, epoch, 2, NOW)
    running = advance(world.old, running, _S.SUBMITTING, attempt=1)
    world.expire()
    world.new.acquire(batch)
    late = f"taken over by process {os.getpid()} on {socket.gethostname()}.*leave the batch to it"
    with pytest.raises(BatchBusyError, match=late):
        world.old.claim(batch, epoch, 1, NOW)
    with pytest.raises(BatchBusyError, match=late):
        world.old.in_flight(batch, epoch)
    # What the provider told the late one is evidence for the other.
    line = Entry(JobSubmitted.kind, NOW, running.id, 1, {"handle": {"id": "paid"}})
    assert put(world.old, running.to(_S.PROCESSING), running, line).fenced == {0}
    assert stored(world.new, running.id).status is _S.SUBMITTING
    assert world.new.evidence(running.id, 1) == Handle(id="paid")
    world.new.release(batch)
    with pytest.raises(BatchBusyError, match="another runner, which has left again"):
        world.old.claim(batch, epoch, 1, NOW)


def test_a_lease_that_ran_out_without_anybody_to_take_it_harms_nothing(world: World) -> None:
    batch, epoch = begin(world.old, "a")
    world.expire()
    [job] = world.old.claim(batch, epoch, 1, NOW)
    assert not world.old.save([intent(job)]).fenced


def test_a_save_that_waits_for_the_next_runner_is_fenced(world: World) -> None:
    batch, epoch = begin(world.old, "a")
    [job] = world.old.claim(batch, epoch, 1, NOW)
    saved: list[Saved] = []
    with world.server.connect() as other, other.transaction():
        # The next runner, in the middle of taking over.
        other.execute(f"UPDATE {world.schema}.heads SET epoch = epoch + 1".encode())
        saver = threading.Thread(target=lambda: saved.append(world.old.save([intent(job)])))
        saver.start()
        eventually(lambda: world.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
        assert not saved
    saver.join()
    assert saved[0].fenced == {0}
    assert stored(world.new, job.id).status is _S.PENDING


def test_a_takeover_waits_for_a_save_and_sees_it(world: World) -> None:
    batch, epoch = begin(world.old, "a")
    [job] = world.old.claim(batch, epoch, 1, NOW)
    world.expire()
    saved, found = list[Saved](), list[Job]()

    def take_over() -> None:
        found.extend(world.new.in_flight(batch, world.new.acquire(batch)))

    with world.server.connect() as other, other.transaction():
        # Holds the save up after it has written the job, before it writes the line.
        other.execute(f"LOCK TABLE {world.schema}.journal IN SHARE MODE".encode())
        saver = threading.Thread(target=lambda: saved.append(world.old.save([intent(job)])))
        saver.start()
        eventually(lambda: world.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
        taker = threading.Thread(target=take_over)
        taker.start()
        eventually(lambda: len(world.run("SELECT 1 FROM pg_locks WHERE NOT granted")) > 1)
    saver.join()
    taker.join()
    assert not saved[0].fenced
    assert [(each.id, each.status) for each in found] == [(job.id, _S.SUBMITTING)]


# -- deaths ------------------------------------------------------------------------------------

OWNER = """
import os, sys
from batchkit import JobStatus as S
from batchkit.storage import Change, PostgresStorage
storage = PostgresStorage(sys.argv[1], lease_seconds=float(sys.argv[2]))
batch = storage.open_batch("conformance", 1.0).id
[job] = storage.claim(batch, storage.acquire(batch), 1, 2e9)
print("ready", flush=True)
sys.stdin.readline()
saved = storage.save([Change(job.to(S.SUBMITTING, attempt=1), job)])
print(sorted(saved.fenced), flush=True)
"""


def start_owner(world: World, lease_seconds: float) -> subprocess.Popen[str]:
    batch, _ = begin(world.old, "a")
    world.old.release(batch)
    dsn = world.server.dsn(schema=world.schema)
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, dsn, str(lease_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def is_free(storage: PostgresStorage, batch: int) -> bool:
    try:
        return storage.acquire(batch) > 0
    except BatchBusyError:
        return False


@pytest.mark.skipif(not this_machine(), reason="this system does not tell its boots apart")
def test_a_killed_runner_on_this_machine_frees_its_batch_at_once(world: World) -> None:
    with start_owner(world, LONG) as process:
        with pytest.raises(BatchBusyError, match=f"process {process.pid} on"):
            world.new.acquire(1)
        process.kill()
        process.wait()
        epoch = world.new.acquire(1)
        assert claimed(world.new, 1, epoch) == ["a"]


def test_a_killed_runner_elsewhere_frees_its_batch_with_its_lease(world: World) -> None:
    with start_owner(world, LONG) as process:
        world.run("UPDATE {s}.leases SET machine = 'another', host = 'far'")
        process.kill()
        process.wait()
        with pytest.raises(BatchBusyError, match=f"process {process.pid} on far"):
            world.new.acquire(1)
        world.expire()
        assert is_free(world.new, 1)


def test_a_runner_that_slept_wakes_up_fenced(world: World) -> None:
    with start_owner(world, 1) as process:
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: is_free(world.new, 1))
        os.kill(process.pid, signal.SIGCONT)
        assert process.communicate("go\n")[0] == "[0]\n"
    assert [job.status for job in world.new.jobs(1)] == [_S.PENDING]


def test_a_batch_that_could_not_be_given_back_is_free_for_this_process(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch, _ = begin(world.old, "a")

    def away(*statements: object) -> None:
        raise StorageError("the server is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.old, "_commit", away)
        world.old.release(batch)
    assert "a lease was not given back, and ends in 3600 s: the server is away" in caplog.text
    if this_machine():
        assert world.new.acquire(batch) > 0
