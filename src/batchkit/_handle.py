"""A run in the background, and what can be done with it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from batchkit._errors import UsageError
from batchkit._events import Event, JobCompleted
from batchkit._jobs import Job
from batchkit._progress import Progress
from batchkit._summary import Summary

if TYPE_CHECKING:
    from batchkit._runner import BatchRunner

#: Seconds between looks at the journal by whoever follows it.
FOLLOW_INTERVAL = 0.1
#: Longest that :meth:`BatchHandle.wait` lets a host's loop sleep.
_TURN_SECONDS = 0.2


class BatchHandle:
    """A running batch; named after :class:`concurrent.futures.Future`, which it resembles."""

    def __init__(self, runner: BatchRunner, run: Callable[[], Summary]) -> None:
        self.runner = runner
        self._future: Future[Summary] = Future()
        self._thread = threading.Thread(target=self._work, args=(run,), name="batchkit-run")
        self._thread.start()

    def _work(self, run: Callable[[], Summary]) -> None:
        try:
            self._future.set_result(run())
        except BaseException as exc:  # noqa: BLE001 - raised by result()
            self._future.set_exception(exc)

    def __repr__(self) -> str:
        return f"<BatchHandle {'done' if self.done() else 'running'} {self.progress()}>"

    def _repr_html_(self) -> str:
        return self.progress()._repr_html_()

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Summary:
        """Waits for the end of the run.

        Args:
            timeout: seconds; the run goes on when they are over.

        Raises:
            TimeoutError: it has not ended in that time.
            UsageError: called from a callback, which the end of the run waits for.
            BatchkitError: whatever ended the run.
        """
        if self.runner.bus.inside():
            raise UsageError(
                "handle.result() was called inside a callback, which the run waits for: it would "
                "never return. Call it elsewhere, or use add_done_callback"
            )
        return self._future.result(timeout)

    async def wait(self) -> Summary:
        """Waits for the end of the run without blocking the event loop."""
        # Its own limiter: the host's default one is the host's.
        limiter = anyio.CapacityLimiter(1)
        while self._thread.is_alive():
            # Bounded: a notebook's kernel learns of an interrupt only when its loop turns.
            await anyio.to_thread.run_sync(
                self._thread.join, _TURN_SECONDS, limiter=limiter, abandon_on_cancel=True
            )
        return self._future.result()

    def add_done_callback(self, callback: Callable[[Summary], object]) -> None:
        """Calls *callback* with the summary when the run has ended well enough to have one."""
        self._future.add_done_callback(
            lambda future: callback(future.result()) if future.exception() is None else None
        )

    def pause(self) -> None:
        """Stops new submissions; what is in flight goes on."""
        self.runner.pause()

    def resume(self) -> None:
        """Lets submissions go on."""
        self.runner.resume()

    def stop(self, *, now: bool = False) -> None:
        """Ends the run; see :meth:`BatchRunner.stop`."""
        self.runner.stop(now=now)

    def wake(self, job: Job | int | None = None, *, handle_id: str | None = None) -> bool:
        """Polls a job now, as far as its provider allows; see :meth:`BatchRunner.wake`."""
        return self.runner.wake(job, handle_id=handle_id)

    def progress(self) -> Progress:
        """How far the batch is."""
        return self.runner.progress()

    def results(self) -> Iterator[Job]:
        """Jobs as they complete, those of earlier runs first; ends with the run."""
        since, ended = 0, False
        while True:
            for event in self.runner.events(since):
                since = event.seq
                if isinstance(event, JobCompleted):
                    yield self.runner.job(event.job)
            if ended:
                return
            ended = self._ended_within(FOLLOW_INTERVAL)

    def _ended_within(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    async def events(self, since: int = 0) -> AsyncIterator[Event]:
        """What happens, from the journal, after event number *since*; ends with the run."""
        ended = False
        while True:
            for event in self.runner.events(since):
                since = event.seq
                yield event
            if ended:
                return
            ended = self.done()
            if not ended:
                await anyio.sleep(FOLLOW_INTERVAL)
