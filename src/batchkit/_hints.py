"""What webhooks say of jobs in flight: poll this one now. They say nothing else.

A hint shortens one wait between two status queries, to what the provider allows. However many come,
a job is polled no more often than that; a hint about a job that nobody polls is nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from batchkit._jobs import Job

#: Seconds between two queries of a job that hints may bring about where the provider names no
#: minimum: hints may be forged.
LEAST_SECONDS = 1.0


@attrs.define(eq=False)
class Hints:
    """Hints on their way to the waits that they shorten.

    :meth:`put` and :attr:`news` are for any thread; the rest is the engine's own.
    """

    _jobs: dict[str, int] = attrs.field(factory=dict)
    _handles: dict[int, str] = attrs.field(factory=dict)
    _soonest: dict[int, float] = attrs.field(factory=dict)
    _hinted: set[int] = attrs.field(factory=set)
    _inbox: deque[int] = attrs.field(factory=deque)

    @property
    def news(self) -> bool:
        """Whether hints wait to be taken."""
        return bool(self._inbox)

    def put(self, job_id: int | None, handle_id: str | None = None) -> bool:
        """Leaves a hint about a job, named by its id here or at the provider; whether it is known.

        One more hint about the same wait adds nothing, and is dropped.
        """
        found = self._jobs.get(handle_id) if handle_id is not None else job_id
        if found is None or found not in self._handles:
            return False
        if found not in self._hinted:
            self._inbox.append(found)
        return True

    def take(self, hasten: Callable[[int, float], None]) -> None:
        """Passes on what was put; a hint about a job that does not wait is for its next wait.

        Args:
            hasten: told which job waits no longer than until when, in monotonic seconds.
        """
        while self._inbox:
            job_id = self._inbox.popleft()
            if job_id not in self._handles or job_id in self._hinted:
                continue
            self._hinted.add(job_id)
            if job_id in self._soonest:
                hasten(job_id, self._soonest[job_id])

    def follow(self, job: Job) -> None:
        """The job is polled from now on, if it has a handle."""
        if job.handle is not None:
            self._jobs[job.handle.id], self._handles[job.id] = job.id, job.handle.id

    def until(self, job_id: int, now: float, seconds: float, least: float) -> float:
        """Until when a job waits for its next query, in monotonic seconds.

        Args:
            job_id: the job.
            now: monotonic seconds.
            seconds: how long it waits without a hint.
            least: no hint shortens that to less.
        """
        soonest = now + min(seconds, max(least, LEAST_SECONDS))
        self._soonest[job_id] = soonest
        return soonest if job_id in self._hinted else now + seconds

    def polled(self, job_id: int) -> None:
        """The wait is over: what comes from now on is about the next one."""
        self._soonest.pop(job_id, None)
        self._hinted.discard(job_id)

    def forget(self, job_id: int) -> None:
        """The job is not polled any more."""
        self.polled(job_id)
        handle_id = self._handles.pop(job_id, None)
        if handle_id is not None and self._jobs.get(handle_id) == job_id:
            del self._jobs[handle_id]
