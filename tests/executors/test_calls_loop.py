"""Calls as tasks of a loop, and what ends them early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from calls_kit import Box, double, double_async, fails_async, hangs, variable

from batchkit import BatchRunner, WorkCanceledError
from batchkit._calls import Call
from batchkit.executors._calls import AsyncioCalls, ThreadCalls, TrioCalls
from batchkit.testing import AsyncFakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def box() -> Box:
    return Box()


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


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
