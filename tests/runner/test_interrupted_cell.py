"""A notebook's kernel hears of an interrupt only when its event loop turns."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType

import pytest
from manual_kit import FAST, Manual

from batchkit import BatchRunner, JobStatus

#: Far longer than a loop may sleep, far shorter than for ever.
PATIENCE = 20.0


def interrupted(work: Callable[[], Awaitable[object]], ready: threading.Event) -> None:
    """Awaits *work* as ipykernel awaits a cell, and interrupts it once *ready*.

    Its signal handler schedules the cancel with what does not wake a loop that sleeps.
    """

    async def cell() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon(task.cancel)

        before = signal.signal(signal.SIGINT, handle)
        killer = threading.Thread(target=interrupt)
        killer.start()
        try:
            await asyncio.wait_for(task, PATIENCE)
        finally:
            killer.join()
            signal.signal(signal.SIGINT, before)

    def interrupt() -> None:
        assert ready.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    # The time-out would have turned the loop too.
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("executor", ["threads", "sequential"])
def test_a_cell_that_awaits_a_run_hears_of_an_interrupt(
    executor: str, make_runner: Callable[..., BatchRunner]
) -> None:
    client = Manual()
    runner = make_runner(client, executor=executor, **FAST)
    runner.add("a")
    interrupted(runner.run_async, client.polled)
    assert runner.job(1).status is JobStatus.PROCESSING


def test_a_cell_that_awaits_a_handle_hears_of_an_interrupt(
    make_runner: Callable[..., BatchRunner],
) -> None:
    client = Manual()
    runner = make_runner(client, **FAST)
    runner.add("a")
    handle = runner.start()
    interrupted(handle.wait, client.polled)
    assert not handle.done()
    client.finish.set()
    assert handle.result(PATIENCE).ok
