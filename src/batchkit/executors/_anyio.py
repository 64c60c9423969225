"""Many jobs at once on an event loop, asyncio's or trio's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskGroup

from batchkit._config import Control
from batchkit._engine import DONE, Engine
from batchkit._errors import MissingExtraError, UsageError
from batchkit.executors._calls import AsyncioCalls, TrioCalls
from batchkit.executors._threads import thread_calls


class LoopBell:
    """Ends a wait on the event loop, from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._rung = False
        self._soon = _threadsafe_scheduler()

    def ring(self) -> None:
        """Ends the wait that is under way, or the next one."""
        if not self._rung:
            self._rung = True
            self._soon(self._set)

    def _set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Waits until rung, at most *seconds*."""
        if seconds is not None and seconds <= 0:
            await anyio.lowlevel.checkpoint()
        else:
            with anyio.move_on_after(seconds):
                await self._event.wait()
        self._event, self._rung = anyio.Event(), False


def _threadsafe_scheduler() -> Callable[[Callable[[], None]], Any]:
    """How the running loop is told from outside to call something."""
    if _on_trio():
        import trio.lowlevel

        return trio.lowlevel.current_trio_token().run_sync_soon
    import asyncio

    return asyncio.get_running_loop().call_soon_threadsafe


@attrs.frozen(kw_only=True)
class AnyioExecutor:
    """Runs async methods as tasks of an event loop; plain methods go to threads of its own.

    Args:
        backend: ``"asyncio"`` or ``"trio"``; it matters for :meth:`run`, which starts a loop.
    """

    backend: str = attrs.field(
        default="asyncio", validator=attrs.validators.in_(["asyncio", "trio"])
    )
    capacity: int | None = attrs.field(default=None, init=False)

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend

    def run(self, engine: Engine) -> None:
        """Drives *engine* on a new event loop.

        Where this thread has a running loop already, as in a notebook, the new one gets a thread.
        """
        if self.backend == "trio" and _missing("trio"):
            raise MissingExtraError('executor="trio"', "trio")
        if not loop_is_running():
            anyio.run(self.run_async, engine, backend=self.backend)
            return
        failed: list[BaseException] = []
        thread = threading.Thread(
            target=self._run_apart, args=(engine, failed), name="batchkit-loop"
        )
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def _run_apart(self, engine: Engine, failed: list[BaseException]) -> None:
        try:
            anyio.run(self.run_async, engine, backend=self.backend)
        except BaseException as exc:  # noqa: BLE001 - raised in the caller's thread
            failed.append(exc)

    async def run_async(self, engine: Engine) -> None:
        """Drives *engine* on the running loop, in tasks of its own.

        Raises:
            UsageError: the client needs asyncio, and this is trio; nothing was called.
        """
        if engine.client.asyncio_only and _on_trio():
            raise UsageError(
                "aiohttp runs on asyncio alone, and this is trio: leave out "
                'transport="aiohttp", or choose executor="asyncio"'
            )
        # Failures travel in a list: a task group would wrap them, and under blocking executors
        # the same failure arrives bare.
        failure: list[BaseException] = []
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._drive, engine, failure)
        finally:
            if failure:
                raise failure[0]

    async def _drive(self, engine: Engine, failure: list[BaseException]) -> None:
        bell = LoopBell()
        async with anyio.create_task_group() as group:
            calls = _calls(engine, group)
            engine.calls, engine.scheduler.bell = calls, bell.ring
            try:
                await _turns(engine, bell, failure)
            except anyio.get_cancelled_exc_class():
                engine.stop(Control.ABORTING, "cancelled")
                with anyio.CancelScope(shield=True):
                    await _turns(engine, bell, failure)
                raise
            finally:
                engine.scheduler.bell = _nobody
                with anyio.CancelScope(shield=True):
                    await calls.close()


def _calls(engine: Engine, group: TaskGroup) -> AsyncioCalls | TrioCalls:
    threads = thread_calls(engine.client, None)
    return TrioCalls(group, threads) if _on_trio() else AsyncioCalls(threads)


def _on_trio() -> bool:
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


async def _turns(engine: Engine, bell: LoopBell, failure: list[BaseException]) -> None:
    """Turns *engine* until it is done; what ends it otherwise goes into *failure*."""
    try:
        while (until := engine.turn()) != DONE:
            await _wait(engine, bell, until)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as exc:  # noqa: BLE001 - raised by run_async
        engine.abandon(exc)
        failure.append(exc)


async def _wait(engine: Engine, bell: LoopBell, until: float | None) -> None:
    clock = engine.clock
    seconds = None if until is None else max(0.0, until - clock.monotonic())
    if engine.calls_in_flight == 0 and clock.skip(seconds):
        # A fake clock must not starve the host's loop either.
        seconds = 0.0
    if engine.longest_wait is not None:
        seconds = engine.longest_wait if seconds is None else min(seconds, engine.longest_wait)
    await bell.wait(seconds)


def _nobody() -> None:
    """The loop is gone: there is nobody to wake."""


def loop_is_running() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        anyio.get_current_task()
    except Exception:  # noqa: BLE001 - anyio and sniffio disagree on what they raise outside a loop
        return False
    return True


def _missing(module: str) -> bool:
    if module in sys.modules:
        return False
    try:
        __import__(module)
    except ImportError:
        return True
    return False
