"""What every executor keeps to: the rules that make one pipeline sound under all of them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    FlowError,
    Handle,
    Job,
    JobStatus,
    JobUncertain,
    RemoteState,
    RemoteStatus,
    UsageError,
)
from batchkit._scheduler import Scheduler
from batchkit.executors import AnyioExecutor, SequentialExecutor, ThreadsExecutor, make_executor
from batchkit.storage import MemoryStorage
from batchkit.testing import AsyncFakeClient, FakeClient, FakeClock, FakeProvider

MakeRunner = Callable[..., BatchRunner]
PAID_FUNCTION = Capabilities(sync_result=True)


def statuses(runner: BatchRunner) -> list[str]:
    return [str(job.status) for job in runner.jobs()]


@pytest.mark.parametrize("make", [FakeClient, AsyncFakeClient])
def test_sync_and_async_clients_work_under_every_executor(
    executor: str, make: Any, make_runner: MakeRunner
) -> None:
    provider = FakeProvider()
    client = make(provider, capabilities=Capabilities())
    runner = make_runner(client, executor=executor)
    runner.add_many(["a", "b", "c [busy]"])

    summary = runner.run()

    assert summary.ok
    assert provider.ledger.charges == {"a": 1, "b": 1, "c": 1}


@pytest.mark.slow
def test_a_thousand_prompts_end_the_same_everywhere(make_runner: MakeRunner, tmp_path: Any) -> None:
    words = ["", " [busy]", " [flaky]", " [fail]", " [reject]", " [drop_after]", " [blips]"]
    prompts = [f"item {i}{words[i % len(words)]}" for i in range(1000)]
    records = set()
    for executor in ("sequential", "threads", "asyncio", "trio"):
        for storage in ("memory", str(tmp_path / f"{executor}.db")):
            runner = make_runner(
                FakeClient(FakeProvider()), executor=executor, storage=storage, max_concurrent=50
            )
            runner.add_many(prompts)
            runner.run()
            records.add(tuple((j.title, j.status, j.cost) for j in runner.jobs()))
            runner.close()

    assert len(records) == 1


@pytest.mark.parametrize("name", ["threads", "asyncio"])
def test_fifty_blocking_calls_really_run_at_once(name: str, make_runner: MakeRunner) -> None:
    # Passes only when all fifty calls are inside at the same time; benchmarks/ has the figure.
    everybody = threading.Barrier(50, timeout=20)
    runner = make_runner(
        lambda request: everybody.wait(), executor=name, max_concurrent=50, clock=None
    )
    runner.add_many(f"p{i}" for i in range(50))

    assert runner.run().ok


@pytest.mark.slow
def test_ten_thousand_jobs_in_flight_need_eight_threads(make_runner: MakeRunner) -> None:
    provider = FakeProvider(polls=2)
    used, in_flight_at_first_poll = set[int](), list[int]()

    def note(operation: str) -> None:
        used.add(threading.get_ident())
        if operation == "poll" and not in_flight_at_first_poll:
            in_flight_at_first_poll.append(len(provider.jobs))

    client = FakeClient(provider, capabilities=Capabilities(), before=note)
    runner = make_runner(client, executor="threads", max_concurrent=10_000)
    runner.add_many(f"p{i}" for i in range(10_000))

    assert runner.run().ok
    assert {*in_flight_at_first_poll} == {10_000}
    assert len(used) <= 8


def test_concurrency_is_never_exceeded(executor: str, make_runner: MakeRunner) -> None:
    lock, running, most = threading.Lock(), [0], [0]

    async def work(request: object) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        await anyio.lowlevel.checkpoint()
        with lock:
            running[0] -= 1

    runner = make_runner(work, executor=executor, max_concurrent=4)
    runner.add_many(f"p{i}" for i in range(40))
    runner.run()

    assert most[0] <= (1 if executor == "sequential" else 4)


def test_concurrency_changes_while_running_both_ways(make_runner: MakeRunner) -> None:
    lock, running, seen = threading.Lock(), [0], list[int]()
    moment = threading.Event()

    def work(request: Any) -> None:
        with lock:
            running[0] += 1
            seen.append(running[0])
        if request.prompt == "p20":
            runner.max_concurrent = 8
        if request.prompt == "p60":
            runner.max_concurrent = 1
        moment.wait(0.01)
        with lock:
            running[0] -= 1

    runner = make_runner(work, executor="threads", max_concurrent=2, clock=None)
    runner.add_many(f"p{i}" for i in range(100))
    runner.run()

    assert max(seen[:20]) <= 2
    assert max(seen[25:60]) > 2
    assert max(seen[75:]) <= 1 + 1


def test_a_flow_that_awaits_anything_foreign_is_closed_with_its_name() -> None:
    ended: list[BaseException | None] = []
    scheduler = Scheduler(lambda task, error: ended.append(error))

    async def flow() -> None:
        await asyncio.sleep(0)

    scheduler.start(flow(), 7, None)
    scheduler.step(scheduler.ready.popleft())

    assert isinstance(ended[0], FlowError)
    assert "job 7" in str(ended[0])
    assert "only io.*" in str(ended[0])


def test_each_flow_has_context_variables_of_its_own(executor: str, make_runner: MakeRunner) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="host")
    found: list[str] = []

    class Client:
        capabilities = PAID_FUNCTION

        def submit(self, job: Job) -> Finished:
            found.append(variable.get())
            variable.set(job.title)
            return Finished()

    runner = make_runner(Client(), executor=executor)
    runner.add_many(["a", "b", "c"])
    token = variable.set("set by the host")
    runner.run()
    variable.reset(token)

    assert found == ["set by the host"] * 3


def test_async_executors_use_threads_of_their_own_for_plain_methods(
    make_runner: MakeRunner,
) -> None:
    names: list[str] = []

    def work(request: object) -> None:
        names.append(threading.current_thread().name)

    async def main() -> None:
        runner = make_runner(work, executor="asyncio")
        runner.add("a")
        await runner.run_async()

    asyncio.run(main())
    assert names[0].startswith("batchkit-call")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["sequential", "threads", "asyncio"])
def test_run_async_leaves_the_hosts_loop_free(
    backend: str, name: str, make_runner: MakeRunner
) -> None:
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(heart)
            runner = make_runner(FakeClient(FakeProvider()), executor=name)
            runner.add_many(f"p{i}" for i in range(1000))
            assert (await runner.run_async()).ok
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert beats > 5


def test_run_works_where_a_loop_is_running_already(executor: str, make_runner: MakeRunner) -> None:
    async def notebook_cell() -> bool:
        runner = make_runner(AsyncFakeClient(FakeProvider()), executor=executor)
        runner.add("a")
        return runner.run().ok

    assert asyncio.run(notebook_cell())


class Slow:
    """A paid client whose submission waits for the test."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self.submitted = 0

    def submit(self, job: Job) -> Accepted:
        self.entered.set()
        assert self.leave.wait(10)
        self.submitted += 1
        return Accepted(handle=Handle(id="h"))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED)


class SlowAsync(Slow):
    """The same, awaited."""

    async def submit(self, job: Job) -> Accepted:  # type: ignore[override]
        self.entered.set()
        while not self.leave.is_set():
            await anyio.lowlevel.checkpoint()
        self.submitted += 1
        return Accepted(handle=Handle(id="h"))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("name", "make"), [("threads", Slow), ("asyncio", SlowAsync)])
def test_cancelling_the_host_still_records_a_submission_on_its_way(
    backend: str, name: str, make: type[Slow], make_runner: MakeRunner
) -> None:
    client = make()
    runner = make_runner(client, executor=name, clock=None)
    job = runner.add("a")

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(runner.run_async)
                while not client.entered.is_set():
                    await anyio.lowlevel.checkpoint()
                threading.Timer(0.05, client.leave.set).start()
                scope.cancel()

    anyio.run(main, backend=backend)

    assert client.submitted == 1
    assert runner.job(job).status is JobStatus.PROCESSING
    assert runner.job(job).handle == Handle(id="h")
    assert runner.run().ok
    assert client.submitted == 1


def test_a_submission_that_answers_after_its_timeout_is_evidence(make_runner: MakeRunner) -> None:
    client = Slow()
    runner = make_runner(client, executor="threads", clock=None, request_timeout=1.0)
    job = runner.add("a")

    @runner.on(JobUncertain)
    def let_it_answer(event: JobUncertain) -> None:
        client.leave.set()

    assert runner.run().ok
    assert client.submitted == 1
    assert [a.handle for a in runner.attempts(job)] == [Handle(id="h")]
    kinds = [event.kind for event in runner.events()]
    assert kinds.index("uncertain") < kinds.index("submitted") < kinds.index("completed")


def test_executors_by_name() -> None:
    assert isinstance(make_executor(None, is_async=False), ThreadsExecutor)
    assert isinstance(make_executor(None, is_async=True), AnyioExecutor)
    assert isinstance(make_executor("sequential", is_async=True), SequentialExecutor)
    mine = ThreadsExecutor(threads=2)
    assert make_executor(mine, is_async=False) is mine
    with pytest.raises(UsageError, match="choose one of sequential, threads, asyncio, trio"):
        make_executor("celery", is_async=False)


def test_an_hour_of_polling_takes_no_time(executor: str, clock: FakeClock) -> None:
    provider = FakeProvider(polls=240)
    runner = BatchRunner(
        FakeClient(provider), storage=MemoryStorage(), executor=executor, clock=clock, delay=0
    )
    runner.add("a")

    # If it took an hour, the test would not end.
    assert runner.run().ok
    assert clock.ticks > 3500
