"""Many jobs at once, their calls on threads. The engine itself stays in one thread."""

from __future__ import annotations

from contextlib import closing

import attrs

from batchkit._engine import Engine
from batchkit.clients.base import BoundClient
from batchkit.executors._blocking import drive, in_thread
from batchkit.executors._calls import LONG_CALL_THREADS, SHORT_CALL_THREADS, ThreadCalls


@attrs.frozen(kw_only=True)
class ThreadsExecutor:
    """Runs a client's methods on a pool of threads.

    Args:
        threads: most threads for calls. By default one per concurrent job where the call itself is
            the work, and eight where jobs are polled: a waiting job needs no thread.
    """

    threads: int | None = None
    name: str = attrs.field(default="threads", init=False)
    capacity: int | None = attrs.field(default=None, init=False)

    def run(self, engine: Engine) -> None:
        """Drives *engine* in the calling thread, calls on the pool."""
        with closing(thread_calls(engine.client, self.threads)) as calls:
            drive(engine, calls)

    async def run_async(self, engine: Engine) -> None:
        """Drives *engine* in one worker thread, calls on the pool."""
        with closing(thread_calls(engine.client, self.threads)) as calls:
            await in_thread(engine, calls)


def thread_calls(client: BoundClient, threads: int | None) -> ThreadCalls:
    """A pool of the size that the client's calls need."""
    long = client.capabilities.sync_result
    size = threads or (LONG_CALL_THREADS if long else SHORT_CALL_THREADS)
    return ThreadCalls(size, inline=client.capabilities.inline)
