"""Taking a batch and leaving it: one runner at a time, the right client, nothing left open."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchBusyError,
    BatchRunner,
    Capabilities,
    ClientMismatchError,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    RemoteStatus,
    StorageFullError,
    TranscribeVideo,
    UsageError,
)
from batchkit._batch_view import BatchView
from batchkit.storage import Entry, MemoryStorage, SQLiteStorage
from batchkit.testing import AsyncFakeClient, Crash, FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    moment, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        moment.wait(0.002)


class Gate:
    """A client whose submissions wait for the test."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def submit(self, job: Job) -> Accepted:
        self.entered.set()
        assert self.leave.wait(20)
        return Accepted(handle=Handle(id="h"))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.leave.set()


# -- one runner ------------------------------------------------------------------------------------


def test_a_second_runner_is_refused_until_the_first_has_left(
    gate: Gate, make_runner: MakeRunner, storage: Any
) -> None:
    first = make_runner(gate, storage=storage)
    first.add("a")
    handle = first.start()
    assert gate.entered.wait(10)
    second = make_runner(FakeClient(FakeProvider()), storage=storage)

    with pytest.raises(BatchBusyError, match="another runner"):
        second.run()
    gate.leave.set()
    assert handle.result(20).ok
    assert second.run().ok


def test_another_batch_of_the_storage_is_free(
    gate: Gate, make_runner: MakeRunner, storage: Any
) -> None:
    first = make_runner(gate, storage=storage)
    first.add("a")
    handle = first.start()
    assert gate.entered.wait(10)

    other = make_runner(FakeClient(FakeProvider()), storage=storage, name="other")
    other.add("b")
    assert other.run().ok
    gate.leave.set()
    handle.result(20)


HOLDER = """
import sys
from batchkit import BatchRunner
def work(request):
    print("running", flush=True)
    sys.stdin.readline()
runner = BatchRunner(work, storage=sys.argv[1], delay=0)
runner.add("a")
runner.run()
"""


def test_a_runner_in_another_process_is_refused_by_its_number(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    db = tmp_path / "batch.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(db)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        with make_runner(lambda request: None, storage=db) as runner:
            with pytest.raises(BatchBusyError, match=f"process {child.pid}"):
                runner.run()
            child.communicate("go\n", timeout=20)
            assert runner.run().ok


# -- the right client ------------------------------------------------------------------------------


def with_account(provider: FakeProvider, account: str, **more: Any) -> FakeClient:
    return FakeClient(provider, capabilities=Capabilities(inline=True, account=account, **more))


def left_in_flight(make_runner: MakeRunner, storage: Any, client: FakeClient) -> None:
    """A batch whose only job is at the provider."""
    runner = make_runner(client, storage=storage)

    def die(point: str) -> None:
        if point == "poll:before":
            raise Crash(point)

    runner.hook = die
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()


def test_jobs_in_flight_are_not_polled_with_another_account(
    make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()
    left_in_flight(make_runner, storage, with_account(provider, "mine"))

    with pytest.raises(ClientMismatchError, match=r"1 jobs in flight at .*@mine.*@yours"):
        make_runner(with_account(provider, "yours"), storage=storage).run()

    assert make_runner(with_account(provider, "mine"), storage=storage).run().ok
    assert provider.ledger.charges == {"a": 1}


def test_uncertain_jobs_belong_to_their_client_too(make_runner: MakeRunner) -> None:
    storage, provider = MemoryStorage(), FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add("a [drop_after]")
    first.run()

    with pytest.raises(ClientMismatchError):
        make_runner(with_account(provider, "yours"), storage=storage).run()


def test_pending_jobs_may_go_elsewhere_and_that_is_said(
    make_runner: MakeRunner, storage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add_many(["a", "b"])
    first.run(limit=1)

    assert make_runner(with_account(provider, "yours"), storage=storage).run().ok
    assert "its 1 pending jobs now go to" in caplog.text


def test_a_batch_that_is_done_may_be_run_with_anything(
    make_runner: MakeRunner, storage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider = FakeProvider()
    first = make_runner(with_account(provider, "mine"), storage=storage)
    first.add("a")
    first.run()

    assert make_runner(with_account(provider, "yours"), storage=storage).run().ok
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_free_client_does_not_inherit_paid_work(make_runner: MakeRunner) -> None:
    storage, provider = MemoryStorage(), FakeProvider()
    left_in_flight(make_runner, storage, with_account(provider, "mine"))

    free = with_account(provider, "yours", repeat="free")
    with pytest.raises(ClientMismatchError):
        make_runner(free, storage=storage).run()


# -- clients made for a run ------------------------------------------------------------------------


class Made:
    """Makes clients, and remembers which were closed."""

    def __init__(self, *, is_async: bool = False) -> None:
        self.provider = FakeProvider()
        self.base: Any = AsyncFakeClient if is_async else FakeClient
        self.made: list[Any] = []
        self.closed: list[Any] = []

    def __call__(self) -> Any:
        raise NotImplementedError

    def make(self) -> Any:
        world = self

        class Sync(FakeClient):
            def close(self) -> None:
                world.closed.append(self)

        class Async(AsyncFakeClient):
            async def aclose(self) -> None:
                world.closed.append(self)

            def close(self) -> None:
                raise AssertionError("aclose comes first")

        client = Async(self.provider) if self.base is AsyncFakeClient else Sync(self.provider)
        self.made.append(client)
        return client


@pytest.mark.parametrize("is_async", [False, True])
def test_each_run_makes_a_client_and_closes_it(
    is_async: bool, executor: str, make_runner: MakeRunner
) -> None:
    world = Made(is_async=is_async)
    runner = make_runner(world.make, executor=executor)
    for prompt in ("a", "b"):
        before = len(world.closed)
        runner.add(prompt)
        assert runner.run().ok
        assert world.closed[before:] == world.made[-1:]


def test_a_client_that_a_runner_made_to_look_at_is_closed_too(make_runner: MakeRunner) -> None:
    world = Made()
    with make_runner(world.make) as runner:
        runner.add("a")
        runner.run()

    assert sorted(map(id, world.closed)) == sorted(map(id, world.made))


def test_a_client_made_for_a_busy_batch_is_closed(make_runner: MakeRunner) -> None:
    world, storage = Made(), MemoryStorage()
    runner = make_runner(world.make, storage=storage)
    storage.acquire(runner.batch.id)

    with pytest.raises(BatchBusyError):
        runner.run()

    assert world.made[1:] == world.closed


@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_is_closed_when_a_run_is_stopped_now(
    is_async: bool, executor: str, make_runner: MakeRunner
) -> None:
    world = Made(is_async=is_async)
    runner = make_runner(world.make, executor=executor)
    runner.add("a")
    runner.hook = lambda point: runner.stop(now=True) if point == "poll:before" else None

    runner.run()

    until(lambda: bool(world.closed), 5)
    assert world.closed == world.made[-1:]


def test_a_client_is_closed_when_a_run_fails(executor: str, make_runner: MakeRunner) -> None:
    class Full(MemoryStorage):
        def save(self, changes: Any) -> Any:
            raise StorageFullError("full")

    world = Made()
    runner = make_runner(world.make, executor=executor, storage=Full())
    runner.add("a")
    with pytest.raises(StorageFullError):
        runner.run()

    until(lambda: bool(world.closed), 5)
    assert world.closed == world.made[-1:]


def test_a_bad_farewell_undoes_nothing(
    executor: str, make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Rude(FakeClient):
        def close(self) -> None:
            raise RuntimeError("already closed")

    def make() -> Rude:
        return Rude(FakeProvider())

    runner = make_runner(make, executor=executor)
    runner.add("a")

    assert runner.run().ok
    assert "closing the client failed: already closed" in caplog.text


def test_a_client_that_was_given_is_not_closed(make_runner: MakeRunner) -> None:
    world = Made()
    runner = make_runner(world.make())
    runner.add("a")

    assert runner.run().ok
    assert world.closed == []


# -- the checks before -----------------------------------------------------------------------------


def test_a_runner_without_a_client_cannot_run(make_runner: MakeRunner) -> None:
    with pytest.raises(UsageError, match="this runner has no client"):
        make_runner(None).run()


def test_a_negative_limit_is_refused_and_zero_starts_nothing(make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider))
    runner.add("a")

    with pytest.raises(UsageError, match="limit is -1: give a number that is 0 or more"):
        runner.run(limit=-1)
    assert runner.run(limit=0).counts == {JobStatus.PENDING: 1}
    assert provider.ledger.submissions == {}
    assert runner.run().ok


def test_the_limit_counts_submissions(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(["a [busy]", "b"])

    assert runner.run(limit=1).counts == {JobStatus.PENDING: 2}
    assert runner.run(limit=2).counts == {JobStatus.COMPLETED: 2}


def test_a_folder_that_cannot_work_leaves_the_batch_free(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    provider, storage = FakeProvider(), MemoryStorage()
    (tmp_path / "out").write_text("a file, not a folder")
    runner = make_runner(FakeClient(provider), storage=storage, output=tmp_path / "out")
    runner.add("a")

    with pytest.raises(StorageFullError):
        runner.run()
    (tmp_path / "out").unlink()

    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1}


def test_a_pause_by_batchkit_is_lifted_by_the_next_run(
    make_runner: MakeRunner, storage: Any
) -> None:
    faults = [AuthenticationError("the key is wrong")]

    def before(operation: str) -> None:
        if faults:
            raise faults.pop()

    runner = make_runner(FakeClient(FakeProvider(), before=before), storage=storage)
    runner.add("a")
    assert runner.run().paused == "the key is wrong"

    summary = runner.run()

    assert summary.ok
    assert summary.paused is None


def test_a_pause_by_a_person_is_not(make_runner: MakeRunner, storage: Any) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.pause()

    assert runner.run().paused == ""
    assert runner.counts() == {JobStatus.PAUSED: 1}


def test_a_stop_of_the_last_run_does_not_stop_the_next(
    make_runner: MakeRunner, storage: Any
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.stop()

    assert runner.run().ok


def test_a_stop_leaves_a_paused_batch_paused(make_runner: MakeRunner, storage: Any) -> None:
    runner = make_runner(FakeClient(FakeProvider()), storage=storage)
    runner.add("a")
    runner.pause()
    runner.stop()

    assert runner.run().paused == ""
    runner.resume()
    assert runner.run().ok


# -- what a view refuses ---------------------------------------------------------------------------


def test_a_job_of_another_batch_is_not_there(make_runner: MakeRunner) -> None:
    storage = MemoryStorage()
    mine = make_runner(lambda request: None, storage=storage)
    other = make_runner(lambda request: None, storage=storage, name="other")
    job = other.add("a")

    with pytest.raises(LookupError):
        mine.job(job)
    with pytest.raises(LookupError):
        mine.remove(job)
    assert other.counts() == {JobStatus.PENDING: 1}


def test_what_waits_and_what_is_uncertain_can_be_listed(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(["a [drop_after]", "b [reject]"])
    assert len(list(runner.pending())) == 2
    runner.run()

    assert [job.title for job in runner.uncertain()] == ["a [drop_after]"]
    assert [job.title for job in runner.jobs("failed")] == ["b [reject]"]
    assert "a.db" not in repr(runner)
    assert "1 uncertain" in repr(runner)
    assert "<b>default</b>" in runner._repr_html_()


def test_why_names_the_fault_and_the_remedy(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    jobs = [runner.add(prompt) for prompt in ("a [reject]", "b [drop_after]", "c [busy]", "d")]
    held = runner.add("e")
    runner.hold(held)
    runner.max_concurrent = 10
    runner.config = runner.config.replace(max_retries=0)
    runner.run()

    said = [runner.why(job) for job in [*jobs, held]]

    assert "the prompt is not allowed" in said[0]
    assert "check the connection, then retry" in said[2]
    assert len(set(said)) == 5


def test_an_uncertain_job_can_be_resolved_both_ways(make_runner: MakeRunner, storage: Any) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), storage=storage)
    found, lost = runner.add("a [drop_after]"), runner.add("b [drop_before]")
    runner.run()
    (remote,) = provider.jobs

    assert runner.resolve(found, Handle(id=remote))
    assert runner.resolve(lost, "not accepted")
    assert not runner.resolve(lost, "not accepted")

    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1, "b": 1}


def test_an_uncertain_job_is_submitted_again_only_when_told_so(make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider))
    job = runner.add("a [drop_before]")
    runner.run()

    assert not runner.retry(job)
    assert runner.retry(job, resubmit=True)
    assert runner.run().ok


def test_only_what_has_not_begun_can_be_prioritized(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.run()

    assert not runner.prioritize(job, 5)
    assert not runner.cancel(job)
    assert not runner.retry(job)


def test_prune_refuses_the_future_and_deletes_the_past(make_runner: MakeRunner, clock: Any) -> None:
    storage = MemoryStorage()
    old = make_runner(FakeClient(FakeProvider()), storage=storage, name="old")
    old.add_many(["a", "b"])
    old.run()
    clock.advance(86400 * 40)
    runner = make_runner(FakeClient(FakeProvider()), storage=storage, name="new")

    with pytest.raises(UsageError, match="older_than is negative"):
        runner.prune(-1)
    assert runner.prune(86400 * 30) == 2
    assert [batch.name for batch in storage.batches()] == ["new"]


def test_lines_of_removed_jobs_are_passed_over(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.hold(job)
    runner.release(job)
    runner.remove(job)

    assert list(runner.events()) == []


def test_a_line_of_a_newer_version_is_passed_over(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.storage.append(job.batch_id, [Entry("from_the_future", 0.0, job.id)])
    runner.hold(job)

    assert [event.kind for event in runner.events()] == ["held"]


def test_an_async_client_of_a_run_that_cannot_begin_is_closed(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    world = Made(is_async=True)
    (tmp_path / "out").write_text("a file, not a folder")
    runner = make_runner(world.make, output=tmp_path / "out")
    before = len(world.closed)
    with pytest.raises(StorageFullError):
        runner.run()

    assert world.closed[before:] == world.made[-1:]


def test_a_factory_that_fails_leaves_the_batch_free(make_runner: MakeRunner) -> None:
    working = [True, False, True]

    def make() -> FakeClient:
        if not working.pop(0):
            raise RuntimeError("no route to the key store")
        return FakeClient(FakeProvider())

    runner = make_runner(make)
    runner.add("a")
    with pytest.raises(RuntimeError, match="no route"):
        runner.run()

    assert runner.run().ok


def test_a_storage_without_a_batch_has_nothing_to_open(tmp_path: Path) -> None:
    SQLiteStorage(tmp_path / "batch.db").close()

    with pytest.raises(UsageError, match="has no batch yet"):
        BatchRunner.open(tmp_path / "batch.db")


def test_a_webhook_without_a_run_is_harmless(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.wake(job)
    runner.wake(job.id)

    assert runner.run().ok


def test_what_is_added_may_have_defaults(make_runner: MakeRunner, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt,duration\na,3\nb,\n")
    (tmp_path / "talk.mp4").write_bytes(b"x")
    runner = make_runner(lambda request: None)
    ready = GenerateVideo(prompt="ready")

    runner.add_many([{"prompt": "c", "duration": 9}, "d", ready], duration=5)
    runner.add_prompts(tmp_path / "prompts.csv", duration=5)
    runner.add_files(tmp_path / "talk.mp4")
    with pytest.raises(UsageError, match="int is not a prompt, a mapping or a request"):
        runner.add_many([12], duration=5)

    requests = [job.request for job in runner.jobs()]
    durations = [getattr(request, "duration", None) for request in requests]
    assert durations == [9, 5, None, 3, 5, None]
    assert requests[5] == TranscribeVideo(source=str(tmp_path / "talk.mp4"))


def test_a_request_may_have_a_key_of_its_own(make_runner: MakeRunner) -> None:
    # BUG: _batch_adding.py add() wraps the request as {"request": ...}, which sources.to_request
    # does not know: "prompt is missing: a generate request needs it".
    runner = make_runner(lambda request: None)
    ready = GenerateVideo(prompt="ready")

    first = runner.add(ready, key="mine")
    same = runner.add(ready, key="mine")
    other = runner.add(ready, key="yours")

    assert (first.request, first.identity) == (ready, "key:mine")
    assert first.id == same.id != other.id


def test_a_batch_can_be_asked_without_a_runner(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    done, waiting = runner.add("a"), runner.add("b")
    runner.run(limit=1)
    view = BatchView(runner.storage, runner.batch, runner.clock)

    assert view.why(done) == "Concluído"
    assert "ninguém executa" in view.why(waiting)
    view.pause()
    assert view.counts() == {JobStatus.COMPLETED: 1, JobStatus.PAUSED: 1}


def test_the_concurrency_is_the_batchs_own(make_runner: MakeRunner) -> None:
    storage = MemoryStorage()
    one, other = (make_runner(FakeClient(FakeProvider()), storage=storage) for _ in range(2))

    one.max_concurrent = 7

    assert (one.max_concurrent, other.max_concurrent) == (7, 7)
    with pytest.raises(UsageError, match="max_concurrent is 0"):
        one.max_concurrent = 0
