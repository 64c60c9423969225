"""Ctrl-C while a run blocks: drain first, then leave, then give up."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from batchkit._config import Control
from batchkit._engine import Engine

log = logging.getLogger("batchkit")

_SAYS = {
    1: "stopping: jobs in flight will end first (Ctrl-C again to leave now)",
    2: "leaving: only submissions on their way are waited for (Ctrl-C again to give up)",
    3: "gave up: submissions on their way are listed as uncertain by the next run",
}


@contextmanager
def interrupts(engine: Engine) -> Iterator[None]:
    """Turns SIGINT into an orderly end of the run, in the main thread only.

    The first lets jobs in flight end, the second waits only for submissions on their way, the third
    raises ``KeyboardInterrupt``. A host program that has a handler of its own keeps it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    count = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        log.warning(_SAYS[min(count, 3)])
        if count >= 3:
            engine.give_up()
        else:
            engine.stop(Control.DRAINING if count == 1 else Control.ABORTING, "interrupted")

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
