"""Threads for downloads: what expires soonest goes first, and a stuck one is not waited for."""

from __future__ import annotations

import heapq
import itertools
import threading

from batchkit._calls import Call
from batchkit._context import GivenUp, given_up


class CollectPool:
    """Runs calls on threads, in the order of their :attr:`~batchkit._calls.Call.due`.

    The threads are daemons: a client's ``fetch`` that never returns must not keep the process from
    ending. Nothing is lost with them, for whatever they do is repeated by the next run.

    Args:
        threads: most calls at once.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._waiting: list[tuple[float, int, Call]] = []
        self._running: dict[Call, GivenUp] = {}
        self._numbers = itertools.count()
        self._threads = self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def start(self, call: Call) -> None:
        """Takes *call* on; it is delivered from one of the threads."""
        call.queued, call.cancel = True, self._give_up
        with self._changed:
            heapq.heappush(self._waiting, (call.due, next(self._numbers), call))
            if len(self._waiting) > self._idle and self._threads < self._most:
                self._threads += 1
                name = f"batchkit-collect-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
            self._changed.notify()

    def close(self) -> None:
        """Forgets what waits, and tells what runs that nobody waits for it any more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            for mark in self._running.values():
                mark.flag = True
            self._changed.notify_all()

    def _give_up(self, call: Call) -> None:
        with self._changed:
            self._waiting = [entry for entry in self._waiting if entry[2] is not call]
            heapq.heapify(self._waiting)
            mark = self._running.get(call)
            if mark is not None and not mark.flag:
                mark.flag = True
                # It may never come back: another thread may take its place.
                self._most += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.run()
            with self._changed:
                if self._running.pop(call).flag and not self._closed:
                    self._most -= 1
                    self._threads -= 1
                    return

    def _next(self) -> Call | None:
        with self._changed:
            self._idle += 1
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._idle -= 1
            if self._closed:
                return None
            call = heapq.heappop(self._waiting)[2]
            self._running[call] = mark = GivenUp()
        call.context.run(given_up.set, mark)
        call.queued = False
        return call
