"""The contract of an executor: it runs calls somewhere, and waits in its own way.

All executors turn the same :class:`~batchkit._engine.Engine`. They differ in where a client's
methods are called, and in how they wait until the next turn. That is all they may differ in: the
same batch ends with the same records under each of them.
"""

from __future__ import annotations

from typing import Protocol

from batchkit._engine import Engine


class Executor(Protocol):
    """Drives an engine to the end of its run. One object serves one run at a time."""

    @property
    def name(self) -> str:
        """As the user would write it."""
        ...

    @property
    def capacity(self) -> int | None:
        """Most jobs at once that make sense; ``None`` for as many as the user wants."""
        ...

    def run(self, engine: Engine) -> None:
        """Drives *engine* to its end in the calling thread.

        Raises:
            KeyboardInterrupt: the user gave up; the engine has been abandoned.
        """
        ...

    async def run_async(self, engine: Engine) -> None:
        """The same, without blocking the event loop that awaits it.

        When it is cancelled, submissions in flight are still recorded before it leaves.
        """
        ...
