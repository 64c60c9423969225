"""Ctrl-C and its kin while a run blocks: drain first, then leave, then give up."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
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
_DRAIN, _LEAVE, _GIVE_UP = _SAYS

#: How far each signal goes at once; a further one goes one step further. SIGTERM is what service
#: managers send before SIGKILL; SIGHUP says that the terminal is gone.
_STEPS: Mapping[int, int] = {
    getattr(signal, name): step
    for name, step in (("SIGINT", _DRAIN), ("SIGTERM", _DRAIN), ("SIGHUP", _LEAVE))
    if hasattr(signal, name)
}


@contextmanager
def interrupts(engine: Engine) -> Iterator[None]:
    """Turns SIGINT, SIGTERM and SIGHUP into an orderly end of the run, in the main thread only.

    The first SIGINT or SIGTERM lets jobs in flight end. The second, or a SIGHUP, waits only for
    submissions on their way. A third SIGINT raises ``KeyboardInterrupt``. A host program that has a
    handler of its own, or ignores a signal, keeps that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _handler(engine)
    before = {number: signal.getsignal(number) for number in _STEPS}
    defaults = (signal.default_int_handler, signal.SIG_DFL)
    ours = [number for number in _STEPS if before[number] in defaults]
    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _handler(engine: Engine) -> Callable[[int, FrameType | None], None]:
    step = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal step
        # Only a person gives up.
        last = _GIVE_UP if number == signal.SIGINT else _LEAVE
        step = max(step, min(last, max(step + 1, _STEPS[number])))
        log.warning(_SAYS[step])
        if step == _GIVE_UP:
            engine.give_up()
        else:
            engine.stop(Control.DRAINING if step == _DRAIN else Control.ABORTING, "interrupted")

    return handle
