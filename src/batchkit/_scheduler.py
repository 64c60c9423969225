"""Steps flows: a deque of those that can go on, and a heap of those that wait.

Everything here happens on one thread, the engine's, except :meth:`Scheduler.post`, which may be
called from any thread and from a signal handler. A waiting flow is one entry in a heap: no thread,
no task, no timer.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

import attrs

from batchkit._errors import FlowError
from batchkit._io import FencedError, Flow, Park


@attrs.define(eq=False)
class Task:
    """A flow and where it stands.

    Attributes:
        flow: the coroutine that is stepped.
        key: what wakers call it; the job's id.
        context: its own context variables.
        critical: above 0 between a payment and its record.
        stamp: tells this park from earlier ones, so that a stale heap entry is recognised.
        token: what it waits for, while parked.
        fenced: its last save was refused.
        job: the record as it was last stored.
    """

    flow: Flow[Any]
    key: int
    context: Context
    critical: int = 0
    stamp: int = 0
    token: object = None
    fenced: bool = False
    job: Any = None


class Scheduler:
    """Steps flows until each is parked or done.

    Args:
        on_end: called with a task and the exception that ended it, if any.

    Attributes:
        tasks: flows by key.
        ready: flows that can go on.
        current: the flow that is being stepped.
        strays: outcomes that nobody waited for any more.
        bell: rings the executor out of its wait; callable from any thread.
    """

    def __init__(self, on_end: Callable[[Task, BaseException | None], None]) -> None:
        self.tasks: dict[int, Task] = {}
        self.ready: deque[Task] = deque()
        self.current: Task | None = None
        self.bell: Callable[[], None] = _silent
        self._on_end = on_end
        self._heap: list[tuple[float, int, Task]] = []
        self._by_token: dict[object, Task] = {}
        self._latched: set[int] = set()
        self._inbox: deque[object] = deque()
        self.strays: deque[object] = deque()
        self._stamps = 0
        self._stale = 0

    def start(self, flow: Flow[Any], key: int, job: Any) -> Task:
        """Adds a flow; it is stepped at the next turn."""
        task = Task(flow, key, copy_context(), job=job)
        self.tasks[key] = task
        self.ready.append(task)
        return task

    def post(self, token: object) -> None:
        """Wakes whoever parks on *token*, now or next. From any thread."""
        self._inbox.append(token)
        self.bell()

    def drain(self) -> None:
        """Takes up everything that was posted."""
        inbox = self._inbox
        while inbox:
            self._wake(inbox.popleft())

    def _wake(self, token: object) -> None:
        task = self._by_token.pop(token, None)
        if task is not None:
            self._unpark(task)
            self._stale += 1
        elif not isinstance(token, int):
            self.strays.append(token)
        elif token in self.tasks:
            self._latched.add(token)

    def _unpark(self, task: Task) -> None:
        task.token = None
        task.stamp = 0
        self.ready.append(task)

    def release_due(self, now: float) -> None:
        """Makes ready what waited until *now* (monotonic seconds)."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, stamp, task = heapq.heappop(heap)
            if task.stamp == stamp:
                self._by_token.pop(task.token, None)
                self._unpark(task)

    def hasten(self, token: object, until: float) -> None:
        """Whoever parks on *token* now waits no longer than *until* (monotonic seconds)."""
        task = self._by_token.get(token)
        if task is not None:
            # Its first deadline stays behind in the heap.
            self._stale += 1
            heapq.heappush(self._heap, (until, task.stamp, task))

    def next_due(self) -> float | None:
        """When the next flow wants to be stepped, in monotonic seconds."""
        heap = self._heap
        while heap and heap[0][2].stamp != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def step(self, task: Task) -> None:
        """Runs one flow until it parks or ends; one that was dropped meanwhile is passed over."""
        if task.stamp == _ENDED:
            return
        self.current = task
        try:
            park = task.context.run(task.flow.send, None)
        except StopIteration:
            self._end(task, None)
        except (Exception, FencedError) as exc:  # noqa: BLE001 - the owner of the flow decides
            self._end(task, exc)
        else:
            if type(park) is Park:
                self._park(task, park)
            else:
                self._foreign(task, park)
        finally:
            self.current = None

    def _park(self, task: Task, park: Park) -> None:
        token = park.token
        if token is not None:
            if isinstance(token, int) and token in self._latched:
                self._latched.discard(token)
                self.ready.append(task)
                return
            self._by_token[token] = task
        self._stamps += 1
        task.token, task.stamp = token, self._stamps
        if park.until is not None:
            if self._stale > max(_FEW, len(self._heap) // 2):
                self._sweep()
            heapq.heappush(self._heap, (park.until, self._stamps, task))

    def _sweep(self) -> None:
        """Forgets the deadlines of waits that ended early, before they outnumber the others."""
        self._heap = [entry for entry in self._heap if entry[2].stamp == entry[1]]
        heapq.heapify(self._heap)
        self._stale = 0

    def _foreign(self, task: Task, awaited: object) -> None:
        task.flow.close()
        what = type(awaited).__name__ if awaited is not None else "an event loop's own sleep"
        error = FlowError(f"the flow of job {task.key} awaited {what}; it may await only io.*")
        self._end(task, error)

    def _end(self, task: Task, error: BaseException | None) -> None:
        task.stamp = _ENDED
        self.tasks.pop(task.key, None)
        self._latched.discard(task.key)
        self._on_end(task, error)

    def drop(self, task: Task) -> None:
        """Closes a parked flow: for it, this is the death of the process."""
        self.current = task
        try:
            task.flow.close()
        finally:
            self.current = None
        self._by_token.pop(task.token, None)
        self._end(task, None)

    def drop_uncritical(self) -> None:
        """Drops every job's flow that is not between a payment and its record."""
        for task in list(self.tasks.values()):
            if not task.critical and task.key > 0:
                self.drop(task)


def earliest(*times: float | None) -> float | None:
    """The first of several times, of those that are known."""
    known = [time for time in times if time is not None]
    return min(known) if known else None


#: So many forgotten deadlines are not worth a sweep.
_FEW = 256
#: The stamp of a task whose flow has ended or was dropped.
_ENDED = -1


def _silent() -> None:
    """No executor waits yet."""
