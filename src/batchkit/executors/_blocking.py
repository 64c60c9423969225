"""What the blocking executors share: the loop that turns the engine, and the bell of its waits."""

from __future__ import annotations

import queue

import anyio
import anyio.to_thread

from batchkit._calls import Calls
from batchkit._config import Control
from batchkit._engine import DONE, Engine

#: Seconds between two turns of a host's loop that has nothing else to do. A notebook's kernel
#: learns of an interrupt when its loop turns, and does not wake it:
#: https://github.com/ipython/ipykernel, ``_cancel_on_sigint``.
HEARTBEAT = 0.2


class Bell:
    """Ends a wait from any thread and from a signal handler."""

    def __init__(self) -> None:
        # SimpleQueue.put is reentrant: a signal handler may ring while this thread waits.
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Ends the wait that is under way, or the next one."""
        if self._queue.empty():
            self._queue.put(None)

    def wait(self, seconds: float | None) -> None:
        """Waits until rung, at most *seconds*."""
        try:
            self._queue.get(timeout=seconds)
        except queue.Empty:
            return


def drive(engine: Engine, calls: Calls) -> None:
    """Turns *engine* until it is done, in the calling thread."""
    bell = Bell()
    engine.calls, engine.scheduler.bell = calls, bell.ring
    try:
        while (until := engine.turn()) != DONE:
            _wait(engine, bell, until)
    except BaseException as exc:
        engine.abandon(exc)
        raise


def _wait(engine: Engine, bell: Bell, until: float | None) -> None:
    clock = engine.clock
    seconds = None if until is None else max(0.0, until - clock.monotonic())
    if engine.calls_in_flight == 0 and clock.skip(seconds):
        return
    if engine.longest_wait is not None:
        seconds = engine.longest_wait if seconds is None else min(seconds, engine.longest_wait)
    bell.wait(seconds)


async def in_thread(engine: Engine, calls: Calls) -> None:
    """Drives *engine* in a thread of its own, so that the caller's event loop stays free."""
    # Failures travel in a list: a task group would wrap them.
    failure: list[BaseException] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_when_cancelled, engine)
            # In a task of its own: a shield does not hold off a cancel of the host's own task.
            group.start_soon(_in_worker, engine, calls, failure, group.cancel_scope)
    finally:
        if failure:
            raise failure[0]


async def _in_worker(
    engine: Engine, calls: Calls, failure: list[BaseException], scope: anyio.CancelScope
) -> None:
    with anyio.CancelScope(shield=True):
        # Its own limiter: the host's default one is the host's.
        limiter = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(_drive, engine, calls, failure, limiter=limiter)
    scope.cancel()


def _drive(engine: Engine, calls: Calls, failure: list[BaseException]) -> None:
    try:
        drive(engine, calls)
    except BaseException as exc:  # noqa: BLE001 - raised by in_thread
        failure.append(exc)


async def _stop_when_cancelled(engine: Engine) -> None:
    try:
        while True:  # noqa: ASYNC110 - not waiting for anything: the loop has to turn
            await anyio.sleep(HEARTBEAT)
    finally:
        # Also reached when the engine is done, which does not mind.
        engine.stop(Control.ABORTING, "cancelled")
