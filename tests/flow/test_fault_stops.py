"""What a run does when a person, the client or the host breaks it off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from fault_kit import AsyncGate, Faulty, Gate, at_acceptance

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchRunner,
    Capabilities,
    Finished,
    Job,
    JobStatus,
    StorageFullError,
    report_progress,
)
from batchkit._config import Control
from batchkit.testing import FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.leave.set()


# -- persons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hold", "cancel"])
def test_a_person_wins_against_a_runner_that_has_just_claimed(
    how: str, executor: str, make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()

    class Prepares(FakeClient):
        def prepare(self, job: Job) -> dict[str, object]:
            if job.title == "a":
                assert runner.hold(job) if how == "hold" else runner.cancel(job)
            return {}

    runner = make_runner(Prepares(provider), executor=executor, storage=storage)
    runner.add_many(["a", "b"])
    runner.run()

    expected = JobStatus.PAUSED if how == "hold" else JobStatus.CANCELED
    assert [job.status for job in runner.jobs()] == [expected, JobStatus.COMPLETED]
    assert provider.ledger.submissions == {"b": 1}


def test_stopping_now_waits_for_submissions_on_their_way(
    gate: Gate, make_runner: MakeRunner
) -> None:
    runner = make_runner(gate, max_concurrent=2)
    runner.add_many(["a", "b", "c"])
    handle = runner.start()
    until(lambda: len(gate.entered) == 2)

    runner.stop(now=True)
    until(lambda: runner._engine is not None and not runner._engine.dispatcher.open)
    assert not handle.done()
    gate.leave.set()
    handle.result(20)

    statuses = [str(job.status) for job in runner.jobs()]
    assert statuses == ["processing", "processing", "pending"]
    assert runner.run().ok
    assert sorted(gate.entered) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["sequential", "threads"])
def test_stopping_now_leaves_local_work_for_the_next_run(
    name: str, make_runner: MakeRunner
) -> None:
    class Local:
        capabilities = Capabilities(repeat="free", sync_result=True, local=True)
        leave = True

        def submit(self, job: Job) -> Finished:
            if self.leave:
                assert runner._engine is not None
                # As a signal handler does, in the middle of the work.
                runner._engine.dispatcher.stop(Control.ABORTING, "interrupted")
                report_progress(0.5)
            return Finished()

    client = Local()
    runner = make_runner(client, executor=name)
    job = runner.add("a")
    runner.run()

    assert runner.job(job).error is None
    assert not runner.job(job).done
    client.leave = False
    assert runner.run().ok


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_giving_up_is_a_crash_that_the_next_run_recovers_from(
    raised: type[BaseException], executor: str, make_runner: MakeRunner, storage: Any
) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), executor=executor, storage=storage)
    runner.add_many(["a", "b"])

    def hook(point: str) -> None:
        if point == "poll:before":
            raise raised

    runner.hook = hook
    with pytest.raises(raised):
        runner.run()
    runner.hook = None

    assert not runner.active()
    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1, "b": 1}


@pytest.mark.parametrize("capabilities", [Capabilities(), Capabilities(inline=True)])
@pytest.mark.parametrize("name", ["sequential", "threads", "asyncio", "trio"])
def test_a_client_that_exits_leaves_its_own_job_uncertain(
    capabilities: Capabilities, name: str, make_runner: MakeRunner
) -> None:
    class Exits(FakeClient):
        def submit(self, job: Job) -> Accepted:
            super().submit(job)
            raise SystemExit("the client calls sys.exit()")

    provider = FakeProvider()
    runner = make_runner(Exits(provider, capabilities=capabilities), executor=name)
    job = runner.add("a")

    runner.run()

    assert runner.job(job).status is JobStatus.UNCERTAIN
    assert provider.ledger.charges == {"a": 1}


def test_an_exiting_client_does_not_lose_its_neighbours_handle(make_runner: MakeRunner) -> None:
    storage = Faulty()

    class Second(FakeClient):
        def submit(self, job: Job) -> Accepted:
            if job.title == "b":
                raise SystemExit
            return super().submit(job)

    provider = FakeProvider()
    runner = make_runner(Second(provider), storage=storage)
    runner.add_many(["a", "b"])

    runner.run()
    assert [str(job.status) for job in runner.jobs()] == ["completed", "uncertain"]


# -- the host --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["threads", "asyncio"])
def test_a_cancelled_hosts_run_is_told_to_have_ended(
    backend: str, name: str, make_runner: MakeRunner
) -> None:
    client = AsyncGate() if name == "asyncio" else Gate()
    runner = make_runner(client, executor=name)
    runner.add("a")

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(runner.run_async)
                while not client.entered:
                    await anyio.lowlevel.checkpoint()
                client.leave.set()
                scope.cancel()

    anyio.run(main, backend=backend)

    assert [event.kind for event in runner.events()][-1] == "batch_finished"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_storage_that_fails_while_a_cancelled_host_leaves(
    backend: str, make_runner: MakeRunner
) -> None:
    storage, client = Faulty(), AsyncGate()
    storage.refuses = at_acceptance
    runner = make_runner(client, executor="asyncio", storage=storage)
    runner.add("a")

    async def main() -> None:
        with anyio.CancelScope() as scope:
            waiting = anyio.Event()

            async def cancel() -> None:
                while not client.entered:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
                client.leave.set()
                waiting.set()

            async with anyio.create_task_group() as group:
                group.start_soon(cancel)
                try:
                    await runner.run_async()
                except StorageFullError:
                    raised.append("bare")
                except ExceptionGroup as wrapped:
                    raised.append(type(wrapped).__name__)

    raised: list[str] = []
    anyio.run(main, backend=backend)

    assert [change.job.title for change in storage.rescued] == ["a"]
    assert raised == ["bare"]


@pytest.mark.parametrize("name", ["threads", "sequential", "asyncio"])
def test_a_cancelled_task_of_the_host_leaves_when_what_was_sent_is_recorded(
    name: str, gate: Gate, make_runner: MakeRunner
) -> None:
    client = AsyncGate() if name == "asyncio" else gate
    runner = make_runner(client, executor=name, max_concurrent=2)
    runner.add_many(["a", "b"])

    async def main() -> None:
        # asyncio's own cancel, which no scope of anyio holds off.
        task = asyncio.create_task(runner.run_async())
        while not client.entered:
            await anyio.lowlevel.checkpoint()
        task.cancel()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        gone.append(task.done())
        client.leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    gone: list[bool] = []
    asyncio.run(main())

    assert gone == [False]
    sent = [job for job in runner.jobs() if job.title in client.entered]
    assert [str(job.status) for job in sent] == ["processing"] * len(sent)
    assert [event.kind for event in runner.events()][-1] == "batch_finished"
    assert runner.run().ok
    assert sorted(client.entered) == ["a", "b"]


def test_a_pause_does_not_overrule_a_person_who_stops(
    executor: str, make_runner: MakeRunner, storage: Any
) -> None:
    class Stops(FakeClient):
        def submit(self, job: Job) -> Accepted:
            # From another process, in the moment in which the key is found to be wrong.
            other.stop()
            raise AuthenticationError("wrong key")

    runner = make_runner(Stops(FakeProvider()), executor=executor, storage=storage)
    other = make_runner(None, storage=storage)
    runner.add("a")

    summary = runner.run()

    assert runner.batch.control is Control.DRAINING
    assert (summary.paused, summary.stopped) == (None, "stopped")
    assert summary.counts == {JobStatus.PENDING: 1}
