"""Delivers events to callbacks, on one thread, in order. A callback cannot touch the run."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs

from batchkit._events import Event, JobEvent, JobProgress

log = logging.getLogger("batchkit.callbacks")

Callback = Callable[[Any], object]
#: Schedules a function on a screen's own thread; ``tkinter``'s ``root.after`` is one.
Via = Callable[[int, Callable[[], None]], object]


@attrs.frozen(eq=False)
class Subscription:
    """One callback: what it wants to hear, and where it wants to be called."""

    classes: tuple[type[Event], ...]
    callback: Callback
    via: Via | None = None
    job_id: int | None = None

    def wants(self, event: Event) -> bool:
        """Whether this event is for it."""
        if not isinstance(event, self.classes):
            return False
        return self.job_id is None or (isinstance(event, JobEvent) and event.job.id == self.job_id)


class Bus:
    """Queues events and calls callbacks on a thread of its own.

    State events are never dropped; of several progress events of a job that wait, only the newest
    is kept.
    """

    def __init__(self) -> None:
        #: Callbacks that raised, so far.
        self.failed = 0
        self._subscriptions: list[Subscription] = []
        self._heard: dict[type[Event], bool] = {}
        self._by_job: dict[int, list[Subscription]] = {}
        self._queue: deque[Event] = deque()
        self._progress: dict[int, Event] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False

    def subscribe(self, subscription: Subscription) -> Callable[[], None]:
        """Adds a callback; calling what is returned removes it."""
        with self._wake:
            if subscription.job_id is not None:
                self._by_job.setdefault(subscription.job_id, []).append(subscription)
            else:
                self._subscriptions.append(subscription)
            self._heard.clear()
        return lambda: self._unsubscribe(subscription)

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._wake:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            self._heard.clear()

    def listens(self, cls: type[Event]) -> bool:
        """Whether anybody would hear an event of this class."""
        known = self._heard.get(cls)
        if known is None:
            subscriptions = [
                *self._subscriptions,
                *(s for found in self._by_job.values() for s in found),
            ]
            known = any(issubclass(cls, s.classes) for s in subscriptions)
            self._heard[cls] = known
        return known

    def tell(self, event: Event) -> None:
        """Queues an event; returns at once. From any thread."""
        with self._wake:
            if isinstance(event, JobProgress):
                waiting = event.job.id in self._progress
                self._progress[event.job.id] = event
                if waiting:
                    return
            self._queue.append(event)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._deliver_all, name="batchkit-callbacks", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()

    def _deliver_all(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                self._wake.notify_all()
                while not self._queue:
                    self._wake.wait()
                event = self._queue.popleft()
                self._busy = True
                if isinstance(event, JobProgress):
                    event = self._progress.pop(event.job.id)
                targets = self._targets(event)
            for subscription in targets:
                self._call(subscription, event)

    def _targets(self, event: Event) -> list[Subscription]:
        targets = [s for s in self._subscriptions if s.wants(event)]
        if isinstance(event, JobEvent):
            targets += [s for s in self._by_job.get(event.job.id, ()) if s.wants(event)]
            if event.job.done and event.kind == event.job.status:
                self._by_job.pop(event.job.id, None)
        return targets

    def _call(self, subscription: Subscription, event: Event) -> None:
        target = (
            event.job if subscription.job_id is not None and isinstance(event, JobEvent) else event
        )
        if subscription.via is not None:
            subscription.via(0, lambda: self._guarded(subscription.callback, target))
        else:
            self._guarded(subscription.callback, target)

    def _guarded(self, callback: Callback, target: object) -> None:
        try:
            answer = callback(target)
            if inspect.isawaitable(answer):
                anyio.run(_await, answer)
        except Exception:
            # A callback's fault must not reach the run: it is reported, and the batch goes on.
            self.failed += 1
            log.exception("a callback raised; the batch goes on")

    def inside(self) -> bool:
        """Whether the caller is a callback of this bus."""
        return threading.current_thread() is self._thread

    def drain(self, timeout: float) -> bool:
        """Waits until every queued event has been delivered; whether that came in time."""
        if self._thread is None or self.inside():
            return True
        with self._wake:
            return self._wake.wait_for(lambda: not self._queue and not self._busy, timeout)


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable
