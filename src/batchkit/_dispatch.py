"""Who goes next, and when: control, concurrency and pace. It decides; the engine starts flows."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from batchkit._calls import Clock
from batchkit._config import Batch, Control
from batchkit._events import BatchPaused, JobHinted
from batchkit._jobs import Job, JobStatus
from batchkit._pacer import Pacer
from batchkit.storage.base import Entry, Storage

#: Why a run ends under ``stop_on_error``.
AT_FIRST_ERROR = "stopped at the first error"
#: A batch is paused when so often in a row, after longer and longer waits, nothing got through.
MOST_ROUNDS_HELD_BACK = 10
#: Seconds between looks at what other processes wrote.
CONTROL_INTERVAL = 0.2
#: Lines of the journal that one look reads: what it takes is not noticed.
MOST_LINES = 1000


class Dispatcher:
    """Claims jobs from the storage as slots, pace and control allow.

    Args:
        storage: where the batch lives.
        batch: its record.
        epoch: this runner's fence.
        clock: the time.
        pacer: when submissions may leave.
        capacity: most jobs at once that the executor can run, whatever the configuration says.
        quota: start no more than this many jobs in this run.
        linger: wait for a resume when the batch is paused, instead of ending the run.
    """

    def __init__(
        self,
        storage: Storage,
        batch: Batch,
        epoch: int,
        clock: Clock,
        pacer: Pacer,
        *,
        capacity: int | None = None,
        quota: int | None = None,
        linger: bool = False,
    ) -> None:
        self.storage, self.batch, self.epoch, self.clock = storage, batch, epoch, clock
        self.pacer, self.linger = pacer, linger
        self.control, self.reason = batch.control, batch.control_reason
        #: Why this run was ended early; empty when it was not.
        self.stop_cause = ""
        #: The run has ended: nothing that happens now changes how.
        self.over = False
        self.cancels: Collection[int] = ()
        self.new_cancels: Collection[int] = ()
        #: Jobs of which other processes have heard by webhook since the last look.
        self.new_hints: Collection[int] = ()
        #: The last line of the journal that was read for them.
        self.heard = 0
        #: There are lines beyond it.
        self.behind = False
        self.active = 0
        self.started = 0
        #: Waits of the whole batch since a submission was last answered.
        self.rounds_held_back = 0
        self._capacity = capacity
        self._quota = math.inf if quota is None else quota
        self._paused_at_start = batch.control is Control.PAUSED
        self._exhausted = False
        self._next_due: float | None = None
        self._token = storage.changed()
        self._next_look = -math.inf
        self._dirty = True

    @property
    def limit(self) -> int:
        """Jobs in flight that are allowed now."""
        wanted = self.batch.max_concurrent
        return wanted if self._capacity is None else min(wanted, self._capacity)

    @property
    def open(self) -> bool:
        """Whether new jobs may start at all."""
        return self.control is Control.RUNNING and not self.limited

    @property
    def limited(self) -> bool:
        """Whether this run has started as many jobs as it may."""
        return self.started >= self._quota

    def touch(self) -> None:
        """Somebody changed the batch: look again at the next turn."""
        self._dirty = True

    def refresh(self) -> bool:
        """Reads what persons want, here or in other processes; whether anything was new."""
        now = self.clock.monotonic()
        if self.storage.shared and now >= self._next_look:
            self._next_look = now + CONTROL_INTERVAL
            token = self.storage.changed()
            if token != self._token:
                self._token, self._dirty = token, True
        if not (self._dirty or self.behind):
            return False
        self._dirty, self._exhausted = False, False
        self.new_hints = self._hear()
        found = self.storage.find_batch(self.batch.name)
        if found is not None:
            self.batch = found
            if found.control in (Control.DRAINING, Control.ABORTING):
                self.stop(found.control, "stopped")
            elif not self.stop_cause:
                self.control, self.reason = found.control, found.control_reason
        if self.control is not Control.PAUSED:
            self._paused_at_start = False
        asked = self.storage.cancel_requests(self.batch.id)
        self.new_cancels, self.cancels = set(asked).difference(self.cancels), asked
        return True

    def _hear(self) -> list[int]:
        """Hints among the next lines of the journal; what is left is for the next look."""
        lines = self.storage.journal(self.batch.id, self.heard, MOST_LINES)
        if lines:
            self.heard = lines[-1].seq
        self.behind = len(lines) == MOST_LINES
        return [entry.job_id for entry in lines if entry.kind == JobHinted.kind]

    def stop(self, control: Control, cause: str) -> None:
        """Ends this run: submits nothing more. A stop is of the run, not of the batch."""
        if self.control is not Control.ABORTING and not self.over:
            self.control, self.stop_cause = control, cause

    def pause(self, reason: str) -> None:
        """Pauses the batch, with a reason that people can act on."""
        if self.control is Control.RUNNING:
            entry = Entry(BatchPaused.kind, self.clock.time(), data={"reason": reason})
            # A person who stops the batch in this moment is not overruled.
            running = Control.RUNNING
            done = self.storage.set_control(
                self.batch.id, Control.PAUSED, reason, entry, only_from=running
            )
            if done and not self.stop_cause:
                self.control, self.reason = Control.PAUSED, reason
            self.touch()

    def hold_back(self, seconds: float) -> bool:
        """Nothing is submitted for that long; whether this has gone on for too long."""
        now = self.clock.monotonic()
        if now >= self.pacer.resting_until:
            # Those that left together fail together: that is one round.
            self.rounds_held_back += 1
        self.pacer.cool_down(now + seconds)
        return self.rounds_held_back > MOST_ROUNDS_HELD_BACK

    def claim(self) -> Sequence[Job]:
        """The jobs that may start now."""
        free = min(self.limit - self.active, self._quota - self.started)
        if free <= 0 or not self.open or not self._maybe_work():
            return ()
        room = self.pacer.take(self.clock.monotonic(), int(free))
        if room <= 0:
            return ()
        now = self.clock.time()
        jobs = self.storage.claim(self.batch.id, self.epoch, room, now)
        self.pacer.give_back(room, room - len(jobs))
        if len(jobs) < room:
            self._exhausted = True
            self._next_due = self.storage.next_due(self.batch.id, now)
        self.started += len(jobs)
        return jobs

    def _maybe_work(self) -> bool:
        if self._exhausted and self._next_due is not None and self._next_due <= self.clock.time():
            self._exhausted = False
        return not self._exhausted

    def returned(self, job: Job) -> None:
        """A job went back to pending; it may go again at its ``not_before``."""
        due = job.not_before or 0.0
        if self._exhausted and due > self.clock.time():
            self._next_due = due if self._next_due is None else min(self._next_due, due)
        else:
            self._exhausted = False

    def next_look(self) -> float | None:
        """When :meth:`claim` may succeed next, in monotonic seconds; ``None``: not by itself."""
        if not self.open or self.active >= self.limit:
            return None
        if self._exhausted:
            if self._next_due is None:
                return None
            now = self.clock.monotonic()
            return max(now + self._next_due - self.clock.time(), self.pacer.ready_at())
        return self.pacer.ready_at()

    @property
    def finished(self) -> bool:
        """Whether the run is over: nothing in flight, and nothing will start by itself."""
        if self.active:
            return False
        # A run that leaves may have nobody any more who would take up what is new.
        if self._dirty and self.control is not Control.ABORTING:
            return False
        if self.control in (Control.DRAINING, Control.ABORTING) or self.limited:
            return True
        if self.control is Control.PAUSED:
            return not self.linger and (self._paused_at_start or bool(self.reason))
        return self._exhausted and self._next_due is None

    def waits_for(self, job: Job) -> tuple[str, float | None]:
        """Why a pending job has not started: a text key and the seconds it will still take."""
        if self.control is Control.PAUSED:
            return "why_paused", None
        now = self.clock.time()
        if job.not_before is not None and job.not_before > now:
            return "why_retry", job.not_before - now
        if self.active >= self.limit or job.status is not JobStatus.PENDING:
            return "why_slot", None
        return "why_rate", max(0.0, self.pacer.ready_at() - self.clock.monotonic())
