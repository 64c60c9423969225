"""What webhooks say where the batch does not run: a line in its journal, for whoever runs it."""

from __future__ import annotations

import threading
from collections import deque

import attrs

from batchkit._calls import Clock
from batchkit._events import JobHinted, JobSubmitted
from batchkit._jobs import JobStatus
from batchkit.storage.base import Entry, Storage

#: Hints about one job that are passed on in a minute: a provider sends a few, whoever forges them
#: sends thousands.
MOST_A_MINUTE = 10
_MINUTE = 60.0
_PAGE = 1000


@attrs.define(eq=False)
class HintSender:
    """Passes hints on. From any thread.

    Args:
        storage: that of the batch.
        batch_id: the batch.
        clock: the time.
    """

    _storage: Storage
    _batch_id: int
    _clock: Clock
    #: Which job a handle belongs to, as far as the journal has been read.
    _jobs: dict[str, int] = attrs.field(factory=dict)
    _read: int = 0
    _sent: dict[int, deque[float]] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def send(self, job_id: int | None, handle_id: str | None) -> bool:
        """Leaves a hint about a job; whether the provider works on such a job.

        Raises:
            StorageError: the storage cannot be read or written.
        """
        with self._lock:
            found = job_id if handle_id is None else self._job_of(handle_id)
            job = None if found is None else self._storage.get(found)
            if job is None or job.batch_id != self._batch_id:
                return False
            if job.status is not JobStatus.PROCESSING:
                self._sent.pop(job.id, None)
                return False
            if self._may_send(job.id):
                entry = Entry(JobHinted.kind, self._clock.time(), job.id)
                self._storage.append(self._batch_id, [entry])
            return True

    def _job_of(self, handle_id: str) -> int | None:
        """Reads on in the journal until it names the handle; each line is read once."""
        while handle_id not in self._jobs:
            lines = self._storage.journal(self._batch_id, self._read, _PAGE)
            if not lines:
                return None
            self._read = lines[-1].seq
            for line in lines:
                if line.kind == JobSubmitted.kind and line.data:
                    self._jobs[line.data["handle"]["id"]] = line.job_id
        return self._jobs[handle_id]

    def _may_send(self, job_id: int) -> bool:
        now, sent = self._clock.monotonic(), self._sent.setdefault(job_id, deque())
        while sent and now - sent[0] >= _MINUTE:
            sent.popleft()
        if len(sent) >= MOST_A_MINUTE:
            return False
        sent.append(now)
        return True
