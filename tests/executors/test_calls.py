"""Where calls run: in place, on threads, as tasks; and what ends them early."""

from __future__ import annotations

import asyncio
import builtins
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest

from batchkit import BatchRunner, MissingExtraError, OutcomeUnknownError, WorkCanceledError
from batchkit._calls import Call
from batchkit.clients.base import Method
from batchkit.executors import AnyioExecutor, ThreadsExecutor
from batchkit.executors._anyio import LoopBell, loop_is_running
from batchkit.executors._blocking import Bell
from batchkit.executors._calls import AsyncioCalls, InlineCalls, ThreadCalls, TrioCalls
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]

variable: ContextVar[str] = ContextVar("variable", default="nobody")


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    moment, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        moment.wait(0.002)


class Box:
    """Takes delivered calls."""

    def __init__(self) -> None:
        self.delivered: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def call(self, fn: Callable[..., Any], *args: Any, lane: Any = "call") -> Call:
        is_async = asyncio.iscoroutinefunction(fn)
        method = Method(fn, is_async)
        return Call(method, args, lane, copy_context(), self.delivered.put)

    def next(self) -> Call:
        return self.delivered.get(timeout=10)


@pytest.fixture
def box() -> Box:
    return Box()


def double(value: int) -> int:
    return value * 2


async def double_async(value: int) -> int:
    await anyio.lowlevel.checkpoint()
    return value * 2


def fails() -> None:
    raise ValueError("broken")


async def fails_async() -> None:
    raise ValueError("broken")


def exits() -> None:
    raise SystemExit


async def hangs() -> None:
    await anyio.sleep_forever()


# -- one call --------------------------------------------------------------------------------------


def test_an_outcome_is_a_value_or_what_was_raised(box: Box) -> None:
    call, broken = box.call(double, 4), box.call(fails)
    call.execute()
    broken.run()

    assert (call.done, call.outcome()) == (True, 8)
    assert box.next() is broken
    with pytest.raises(ValueError, match="broken"):
        broken.outcome()
    assert broken.error is None, "a traceback that is kept would keep its frames alive"


def test_even_an_exit_is_an_outcome(box: Box) -> None:
    call = box.call(exits)
    call.execute()

    with pytest.raises(OutcomeUnknownError, match="the client raised SystemExit"):
        call.outcome()


def test_a_call_sees_its_own_context(box: Box) -> None:
    token = variable.set("the flow's")
    call = box.call(variable.get)
    variable.reset(token)
    call.execute()

    assert call.outcome() == "the flow's"
    assert variable.get() == "nobody"


# -- in place --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [double, double_async])
def test_in_place_every_call_is_done_at_once(fn: Callable[..., Any], box: Box) -> None:
    calls = InlineCalls()
    call = box.call(fn, 4)

    assert calls.start(call)
    assert call.outcome() == 8
    calls.close()


@pytest.mark.parametrize("fn", [fails, fails_async])
def test_in_place_a_fault_is_an_outcome(fn: Callable[..., Any], box: Box) -> None:
    calls = InlineCalls()
    call = box.call(fn)
    calls.start(call)

    with pytest.raises(ValueError, match="broken"):
        call.outcome()
    calls.close()


def test_in_place_an_async_call_sees_its_own_context(box: Box) -> None:
    async def read() -> str:
        return variable.get()

    token = variable.set("the flow's")
    call = box.call(read)
    variable.reset(token)
    calls = InlineCalls()
    calls.start(call)
    calls.close()

    assert call.outcome() == "the flow's"


# -- on threads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [double, double_async])
def test_threads_deliver(fn: Callable[..., Any], box: Box) -> None:
    calls = ThreadCalls(2)
    call = box.call(fn, 4)

    assert not calls.start(call)
    assert box.next() is call
    assert call.outcome() == 8
    calls.close()


@pytest.mark.parametrize("fn", [fails, fails_async])
def test_threads_deliver_faults(fn: Callable[..., Any], box: Box) -> None:
    calls = ThreadCalls(2)
    calls.start(box.call(fn))

    with pytest.raises(ValueError, match="broken"):
        box.next().outcome()
    calls.close()


def test_a_call_that_returns_at_once_needs_no_thread_but_a_download_does(box: Box) -> None:
    calls = ThreadCalls(2, inline=True)
    here, there = box.call(threading.get_ident), box.call(threading.get_ident, lane="collect")

    assert calls.start(here)
    assert not calls.start(there)
    assert here.outcome() == threading.get_ident() != box.next().outcome()
    calls.close()


def test_downloads_never_hold_up_a_call(box: Box) -> None:
    calls, leave = ThreadCalls(1), threading.Event()
    for _ in range(10):
        calls.start(box.call(leave.wait, 10, lane="collect"))
    query = box.call(double, 1)
    calls.start(query)

    assert box.next() is query
    leave.set()
    calls.close()


def test_an_async_call_on_threads_can_be_ended_early(box: Box) -> None:
    calls = ThreadCalls(1)
    call = box.call(hangs)
    calls.start(call)
    assert call.cancel is not None

    call.cancel(call)

    with pytest.raises(TimeoutError, match="ended early"):
        box.next().outcome()
    calls.close()


def test_closing_ends_async_calls_and_forgets_waiting_ones(box: Box) -> None:
    calls, leave, ran = ThreadCalls(1), threading.Event(), list[int]()
    calls.start(box.call(leave.wait, 10))
    calls.start(box.call(ran.append, 1))
    hanging = box.call(hangs)
    calls.start(hanging)

    calls.close()

    with pytest.raises(TimeoutError, match="ended early"):
        box.next().outcome()
    leave.set()
    box.next()
    assert ran == []


# -- on a loop -------------------------------------------------------------------------------------


async def next_call(box: Box) -> Call:
    with anyio.fail_after(10):
        while box.delivered.empty():
            await anyio.lowlevel.checkpoint()
    return box.delivered.get()


def on_loop(backend: str, test: Callable[[Any], Any]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            threads = ThreadCalls(2)
            calls: Any = TrioCalls(group, threads) if backend == "trio" else AsyncioCalls(threads)
            try:
                await test(calls)
            finally:
                with anyio.CancelScope(shield=True):
                    await calls.close()

    anyio.run(main, backend=backend)


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
@pytest.mark.parametrize("fn", [double, double_async])
def test_a_loop_delivers(backend: str, fn: Callable[..., Any], box: Box) -> None:
    async def test(calls: Any) -> None:
        call = box.call(fn, 4)
        assert not calls.start(call)
        assert await next_call(box) is call
        assert call.outcome() == 8

    on_loop(backend, test)


@BACKENDS
def test_a_loop_delivers_faults_and_ends_of_local_work(backend: str, box: Box) -> None:
    async def leaves() -> None:
        raise WorkCanceledError

    async def test(calls: Any) -> None:
        calls.start(box.call(fails_async))
        with pytest.raises(ValueError, match="broken"):
            (await next_call(box)).outcome()
        calls.start(box.call(leaves))
        with pytest.raises(WorkCanceledError):
            (await next_call(box)).outcome()

    on_loop(backend, test)


@BACKENDS
def test_an_async_call_has_the_context_of_its_flow(backend: str, box: Box) -> None:
    async def read() -> str:
        return variable.get()

    async def test(calls: Any) -> None:
        token = variable.set("the flow's")
        call = box.call(read)
        variable.reset(token)
        calls.start(call)
        assert (await next_call(box)).outcome() == "the flow's"

    on_loop(backend, test)


@BACKENDS
def test_an_async_call_can_be_ended_early(backend: str, box: Box) -> None:
    async def test(calls: Any) -> None:
        call = box.call(hangs)
        calls.start(call)
        with anyio.fail_after(10):
            while call.cancel is None:
                await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        call.cancel(call)
        with pytest.raises(TimeoutError, match="ended early"):
            (await next_call(box)).outcome()

    on_loop(backend, test)


@BACKENDS
def test_leaving_ends_what_nobody_waits_for(backend: str, box: Box) -> None:
    async def test(calls: Any) -> None:
        started = anyio.Event()

        async def hang() -> None:
            started.set()
            await anyio.sleep_forever()

        calls.start(box.call(hang))
        await started.wait()

    on_loop(backend, test)

    with pytest.raises(TimeoutError, match="ended early"):
        box.next().outcome()


def test_a_client_that_is_cancelled_from_inside_is_uncertain(make_runner: MakeRunner) -> None:
    class Broken(AsyncFakeClient):
        async def submit(self, job: Any) -> Any:
            await super().submit(job)
            # As a library does that tears up its own task.
            raise asyncio.CancelledError

    provider = FakeProvider()
    runner = make_runner(Broken(provider), executor="asyncio")
    runner.add("a")
    runner.run()

    assert [str(job.status) for job in runner.jobs()] == ["uncertain"]
    assert provider.ledger.charges == {"a": 1}


# -- bells -----------------------------------------------------------------------------------------


def test_a_bell_that_was_rung_ends_the_next_wait() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    begin = time.monotonic()
    bell.wait(10)

    assert time.monotonic() - begin < 5
    bell.wait(0.001)


@BACKENDS
def test_a_loops_bell_is_rung_from_any_thread(backend: str) -> None:
    async def main() -> None:
        bell = LoopBell()
        thread = threading.Thread(target=bell.ring)
        thread.start()
        with anyio.fail_after(10):
            await bell.wait(None)
        thread.join()
        await bell.wait(0)
        bell.ring()
        bell.ring()
        with anyio.fail_after(10):
            await bell.wait(5)

    anyio.run(main, backend=backend)


# -- executors -------------------------------------------------------------------------------------


def test_a_pool_has_the_size_that_was_asked_for(make_runner: MakeRunner) -> None:
    most, running, lock = [0], [0], threading.Lock()
    moment = threading.Event()

    def work(request: object) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        moment.wait(0.002)
        with lock:
            running[0] -= 1

    runner = make_runner(work, executor=ThreadsExecutor(threads=2), max_concurrent=10)
    runner.add_many(f"p{number}" for number in range(20))

    assert runner.run().ok
    assert most[0] <= 2


def test_executors_know_their_names() -> None:
    assert AnyioExecutor(backend="trio").name == "trio"
    assert ThreadsExecutor().name == "threads"
    with pytest.raises(ValueError, match="backend"):
        AnyioExecutor(backend="curio")


def test_trio_that_is_not_installed_is_named_with_its_remedy(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_trio(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "trio":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    runner = make_runner(FakeClient(FakeProvider()), executor="trio")
    runner.add("a")
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "trio", raising=False)
        patch.setattr(builtins, "__import__", without_trio)
        with pytest.raises(MissingExtraError, match="batchkit-video\\[trio\\]"):
            runner.run()

    assert runner.run().ok


def test_trio_is_imported_when_it_is_needed(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), executor="trio")
    runner.add("a")
    # Found, and not loaded yet.
    import trio

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "trio")
        patch.setattr(builtins, "__import__", _giving(trio, builtins.__import__))
        from batchkit.executors._anyio import _missing

        assert not _missing("trio")
    assert runner.run().ok


def _giving(module: Any, real: Any) -> Any:
    return lambda name, *args, **kwargs: (
        module if name == module.__name__ else real(name, *args, **kwargs)
    )


def test_a_running_loop_is_noticed() -> None:
    async def inside() -> bool:
        return loop_is_running()

    assert not loop_is_running()
    assert asyncio.run(inside())


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_what_breaks_beside_a_running_loop_is_raised_there(
    name: str, make_runner: MakeRunner
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), executor=name)
    runner.add("a")

    def hook(point: str) -> None:
        raise RuntimeError("a fault of the test")

    runner.hook = hook

    async def notebook_cell() -> None:
        with pytest.raises(RuntimeError, match="a fault of the test"):
            runner.run()

    asyncio.run(notebook_cell())


@BACKENDS
def test_ending_a_call_that_has_ended_is_harmless(backend: str, box: Box) -> None:
    async def test(calls: Any) -> None:
        call = box.call(double_async, 4)
        calls.start(call)
        assert await next_call(box) is call
        await anyio.lowlevel.checkpoint()
        assert call.cancel is not None
        call.cancel(call)
        assert call.outcome() == 8

    on_loop(backend, test)
