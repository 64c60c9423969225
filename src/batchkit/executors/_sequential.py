"""One job at a time, in the caller's thread."""

from __future__ import annotations

from contextlib import closing

import attrs

from batchkit._engine import Engine
from batchkit.executors._blocking import drive, in_thread
from batchkit.executors._calls import InlineCalls


@attrs.frozen
class SequentialExecutor:
    """Runs one job after the other, each call in the caller's own thread.

    Breakpoints work, and a traceback shows the caller, the pipeline and the client in one piece. A
    call cannot be given a time-out here: nobody else is there to notice.
    """

    name: str = attrs.field(default="sequential", init=False)
    capacity: int | None = attrs.field(default=1, init=False)

    def run(self, engine: Engine) -> None:
        """Drives *engine* in the calling thread."""
        with closing(InlineCalls()) as calls:
            drive(engine, calls)

    async def run_async(self, engine: Engine) -> None:
        """Drives *engine* in one worker thread."""
        with closing(InlineCalls()) as calls:
            await in_thread(engine, calls)
