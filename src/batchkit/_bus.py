"""Delivers events to callbacks, on one thread, in order. A callback cannot touch the run."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs

from batchkit._events import TERMINAL_EVENTS, Event, JobEvent, JobProgress

log = logging.getLogger("batchkit.callbacks")

#: Seconds for which the end of a run waits for slow callbacks.
CALLBACK_GRACE = 10.0

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
        self._closed = False
        self._waiting: list[Callable[[], None]] = []
        self._timer: threading.Timer | None = None
        self._asked: float | None = None

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
            for job_id, found in list(self._by_job.items()):
                if subscription in found:
                    found.remove(subscription)
                if not found:
                    del self._by_job[job_id]
            self._heard.clear()

    def listens(self, cls: type[Event]) -> bool:
        """Whether anybody would hear an event of this class."""
        if self._by_job and issubclass(cls, TERMINAL_EVENTS):
            return True
        known = self._heard.get(cls)
        if known is None:
            # Under the lock: a subscription that comes meanwhile must not be forgotten for good.
            with self._wake:
                known = any(issubclass(cls, s.classes) for s in self._subscriptions)
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
                self._closed = False
                self._thread = threading.Thread(
                    target=self._deliver_all, name="batchkit-callbacks", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()

    def _deliver_all(self) -> None:
        while True:
            event = self._next()
            if event is None:
                return
            for subscription in self._targets(event):
                self._call(subscription, event)

    def _next(self) -> Event | None:
        """Waits for the next event; ``None`` when the bus is closed."""
        with self._wake:
            self._busy = False
            while not self._queue:
                self._wake.notify_all()
                waiting, self._waiting = self._waiting, []
                for call in waiting:
                    call()
                if self._closed:
                    self._thread = None
                    return None
                self._wake.wait()
            event = self._queue.popleft()
            self._busy = True
            if isinstance(event, JobProgress):
                event = self._progress.pop(event.job.id)
            return event

    def _targets(self, event: Event) -> list[Subscription]:
        with self._wake:
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
        if subscription.via is None:
            self._guarded(subscription.callback, target)
        else:
            via, callback = subscription.via, subscription.callback
            self._guarded(lambda _: via(0, lambda: self._guarded(callback, target)), target)

    def _guarded(self, callback: Callback, target: object) -> None:
        try:
            answer = callback(target)
            if inspect.iscoroutine(answer):
                anyio.run(_await, answer)
        except BaseException:
            # A callback's fault must not reach the run: it is reported, and the batch goes on.
            self.failed += 1
            log.exception("a callback raised; the batch goes on")

    def inside(self) -> bool:
        """Whether the caller is a callback of this bus."""
        return threading.current_thread() is self._thread

    def settled(self, then: Callable[[], None]) -> bool:
        """Whether every event has been delivered; if not, *then* is called when it may be so.

        A callback that hangs must not keep a run from ending: after :data:`CALLBACK_GRACE` seconds
        the answer is yes.
        """
        with self._wake:
            if self._idle():
                self._asked = None
                return True
            now = time.monotonic()
            if self._asked is None:
                self._asked = now
                self._timer = threading.Timer(CALLBACK_GRACE, then)
                self._timer.daemon = True
                self._timer.start()
            self._waiting = [then]
            return now - self._asked >= CALLBACK_GRACE

    def _idle(self) -> bool:
        return self._thread is None or (not self._queue and not self._busy)

    def drain(self) -> None:
        """Waits for the delivery of every queued event, at most :data:`CALLBACK_GRACE` seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._asked = None
        if self.inside():
            return
        with self._wake:
            if not self._wake.wait_for(self._idle, CALLBACK_GRACE):
                log.warning("callbacks are still busy after %g s", CALLBACK_GRACE)

    def close(self) -> None:
        """Ends the thread once it has delivered what waits."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable
