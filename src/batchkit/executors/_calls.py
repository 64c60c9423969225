"""Where calls run: in place, on threads, or as tasks of an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal

from batchkit._calls import PASSED, Call, contained
from batchkit._context import WorkCanceledError
from batchkit.executors._pool import CollectPool

#: Threads for clients whose jobs mostly wait: a status query is short.
SHORT_CALL_THREADS = 8
#: Threads for clients whose calls are the work. A thread is made only when no other is free, so
#: this bounds nothing that max_concurrent does not bound already.
LONG_CALL_THREADS = 1024
COLLECT_THREADS = 4
#: Seconds between looks up of a wait that a signal has to end.
_LOOK_UP = 0.2
#: Looking for what an earlier run left is what a submission waits for; it waits for no download.
LOOK_THREADS = 2


class Portal:
    """An event loop in a thread of its own, for async clients under blocking executors."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def submit(self, call: Call) -> Future[Any]:
        """Runs an async method on the loop; the first call starts the loop."""
        if self._portal is None:
            self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        return self._portal.start_task_soon(_in_context, call)

    def close(self) -> None:
        """Ends the loop, and whatever still runs there."""
        if self._portal is not None:
            self._portal.start_task_soon(self._portal.stop, True)
        self._stack.close()


async def _in_context(call: Call) -> Any:
    return await asyncio.get_running_loop().create_task(_awaited(call), context=call.context)


async def _awaited(call: Call) -> Any:
    try:
        return await call.method.fn(*call.args)
    except (*PASSED, GeneratorExit, anyio.get_cancelled_exc_class()):
        raise
    except BaseException as exc:  # noqa: BLE001 - raised again as an error
        # On a loop, anything else would end the loop itself and every other call on it.
        raise contained(exc) from None


class InlineCalls:
    """Runs every call in the engine's own thread, so that breakpoints and tracebacks are whole."""

    in_place = True

    def __init__(self) -> None:
        self._portal = Portal()

    def start(self, call: Call) -> bool:
        if not call.method.is_async:
            call.execute()
            return True
        future = self._portal.submit(call)
        call.error = _failure(future)
        call.value = None if call.error else future.result()
        call.done = True
        return True

    def close(self) -> None:
        """Releases the event loop, if an async client needed one."""
        self._portal.close()


def _failure(future: Future[Any]) -> BaseException | None:
    """Waits for *future*, with a look up now and then: a Ctrl-C that comes just before a wait
    begins does not end it."""
    while True:
        try:
            return future.exception(timeout=_LOOK_UP)
        except TimeoutError:
            continue


class ThreadCalls:
    """Runs plain methods on threads, and async ones on an event loop in one thread.

    Args:
        threads: most threads for calls; downloads have their own.
        inline: methods return at once, so that a thread would only cost.
    """

    in_place = False

    def __init__(self, threads: int, *, inline: bool = False) -> None:
        self._inline = inline
        self._portal = Portal()
        self._pools = {
            "call": ThreadPoolExecutor(threads, thread_name_prefix="batchkit-call"),
            "look": ThreadPoolExecutor(LOOK_THREADS, thread_name_prefix="batchkit-look"),
        }
        self._collect = CollectPool(COLLECT_THREADS)

    def start(self, call: Call) -> bool:
        if call.method.is_async:
            future = self._portal.submit(call)
            call.cancel = lambda _: _end_early(future)
            future.add_done_callback(lambda done: _deliver(call, done))
        elif self._inline and call.lane == "call":
            call.execute()
            return True
        elif call.lane == "collect":
            self._collect.start(call)
        else:
            call.withdraw = self._pools[call.lane].submit(call.run).cancel
        return False

    def close(self) -> None:
        """Lets go of the threads; a call that still runs ends in its own time."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._collect.close()
        self._portal.close()


def _end_early(future: Future[Any]) -> None:
    future.cancel()


def _deliver(call: Call, done: Future[Any]) -> None:
    if done.cancelled():
        call.finish(None, TimeoutError("the call was ended early"))
        return
    error = done.exception()
    call.finish(None if error else done.result(), error)


class AsyncioCalls:
    """Runs async methods as tasks of the asyncio loop that turns the engine, plain ones on threads.

    The tasks belong to no task group, so that a submission on its way is not torn up because the
    host's task was cancelled: the engine says which calls may be ended early. They are made without
    anyio, whose task costs twice as much, because every call of every job makes one.
    """

    in_place = False

    def __init__(self, threads: ThreadCalls) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._calls: dict[Call, asyncio.Task[None]] = {}

    def start(self, call: Call) -> bool:
        if not call.method.is_async:
            return self._threads.start(call)
        self._calls[call] = self._loop.create_task(self._run(call), context=call.context)
        call.cancel = self._cancel
        return False

    async def _run(self, call: Call) -> None:
        try:
            await _run_async(call)
        finally:
            del self._calls[call]

    def _cancel(self, call: Call) -> None:
        if call in self._calls:
            self._calls[call].cancel()

    async def close(self) -> None:
        """Ends what still runs; called when the engine no longer waits for any of it."""
        left = list(self._calls.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._threads.close()


class TrioCalls:
    """The same on trio: each call in a shielded scope of a nursery."""

    in_place = False

    def __init__(self, group: TaskGroup, threads: ThreadCalls) -> None:
        self._group, self._threads = group, threads
        self._scopes: set[anyio.CancelScope] = set()

    def start(self, call: Call) -> bool:
        if not call.method.is_async:
            return self._threads.start(call)
        call.context.run(self._spawn, call)
        return False

    def _spawn(self, call: Call) -> None:
        self._group.start_soon(self._run, call)

    async def _run(self, call: Call) -> None:
        with anyio.CancelScope(shield=True) as scope:
            call.cancel = lambda _: scope.cancel()
            self._scopes.add(scope)
            try:
                await _run_async(call)
            finally:
                self._scopes.discard(scope)

    async def close(self) -> None:
        """Ends what still runs; called when the engine no longer waits for any of it."""
        for scope in list(self._scopes):
            scope.cancel()
        self._threads.close()


async def _run_async(call: Call) -> None:
    try:
        value = await _awaited(call)
    except Exception as exc:  # noqa: BLE001 - raised in the flow that waits for it
        call.finish(None, exc)
    except WorkCanceledError as exc:
        call.finish(None, exc)
    except BaseException:
        # Cancelled by close() or by a time-out; whoever waits, if anybody does, hears of it.
        call.finish(None, TimeoutError("the call was ended early"))
        raise
    else:
        call.finish(value, None)
