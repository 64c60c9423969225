"""A readable storage for small batches: one file of JSON lines.

The file is an append log (see :mod:`batchkit.storage._json_log`) of what became true, and memory
holds what it says (:class:`~batchkit.storage._json_state.State`, the reference storage). Each
operation first reads what other processes appended. A change is made in memory and appended as one
line while the file is locked; if that fails, memory is forgotten and read again from the file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from batchkit._config import Batch, Control, Durability
from batchkit._errors import StorageError, UsageError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage._file_systems import refuse_network_file_system
from batchkit.storage._fork import forked, watch_forks
from batchkit.storage._journal import missing
from batchkit.storage._json_io import explained
from batchkit.storage._json_log import SessionFile
from batchkit.storage._json_state import State
from batchkit.storage._ownership import Ownership
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved

log = logging.getLogger("batchkit.storage")

#: A file that has grown by this many bytes, and to thrice its size, since it was last compacted is
#: compacted again.
_GROWTH = 1 << 20


class JSONStorage:
    """Keeps batches in one readable file of JSON lines, and in memory; for up to 10,000 jobs.

    Any number of processes may look at it and steer it while one runs a batch.

    Args:
        path: the file; made when it does not exist.
        durability: what survives a power cut, beside intents and handles, which always do:
            ``"full"`` loses nothing, ``"normal"`` and ``"off"`` may lose the last lines. The death
            of the process loses nothing in any of them.
        timeout: seconds to wait for another process's lock.

    Raises:
        StorageError: the file cannot be opened or used; the subclass says why.
    """

    #: By other processes.
    shared = True

    def __init__(
        self, path: str | Path, *, durability: Durability = "normal", timeout: float = 5.0
    ) -> None:
        if durability not in get_args(Durability):
            raise UsageError(f"durability is {durability!r}: choose one of off, normal, full")
        self.path, self.location = Path(path), str(path)
        self._full = durability == "full"
        # Locks and fresh files stand beside the file itself, whichever link leads to it.
        place = self.path.resolve()
        refuse_network_file_system(place.parent)
        self._file, self._ownership = SessionFile(place, timeout), Ownership(place)
        self._lock = threading.RLock()
        self._state: State | None = None
        self._generation = self._noted = self._foreign = 0
        self._closed = self._inherited = False
        watch_forks(self)
        with self._lock, explained(self.location):
            self._open()

    def __repr__(self) -> str:
        return f"<JSONStorage {self.location!r}>"

    # -- the file and what it says -----------------------------------------------------------

    def _open(self) -> None:
        with self._file.locked(create=True):
            if self._file.is_empty():
                self._file.replace({"last": State().numbers()}, ())
            self._catch_up()

    @contextmanager
    def _reading(self) -> Iterator[State]:
        """What the file says now."""
        with self._lock, explained(self.location):
            self._check_open()
            if self._state is None or not self._file.is_current():
                with self._file.locked():
                    self._catch_up()
            assert self._state is not None
            yield self._state

    @contextmanager
    def _writing(self, *, safe: bool = False) -> Iterator[State]:
        """The same, to be changed; what was changed is in the file at the end, or never was."""
        with self._lock, explained(self.location):
            self._check_open()
            with self._file.locked():
                state = self._catch_up()
                self._compact(state)
                noted = state.changed()
                try:
                    yield state
                    line = state.changes()
                    if line:
                        self._file.append(line, safe=safe or self._full)
                        state.settle(line)
                except BaseException:
                    # What was done in memory is not in the file.
                    self._state = None
                    raise
                self._noted += state.changed() != noted

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"{self.location} is closed: open it again")
        if self._inherited:
            raise forked(self.location, "JSONStorage")

    def before_fork(self) -> None:
        """Waits for a change to end: a lock on the open file would be the child's too."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """The child has to open the file anew."""
        self._inherited = child or self._inherited
        self._lock.release()

    def _catch_up(self) -> State:
        """Reads what is new in the file; all of it, when the file or its state is."""
        state, self._state = self._state, None
        if state is None or self._generation != self._file.generation:
            self._file.rewind()
            state, self._generation = State(), self._file.generation
        self._foreign += self._file.read(state.start_at, state.apply) > 0
        self._state = state
        return state

    def _compact(self, state: State) -> None:
        if self._file.size <= _GROWTH + 2 * self._file.fresh_size:
            return
        try:
            self._file.replace({"last": state.numbers()}, state.snapshot())
        except OSError as exc:
            # The long file is as good; it is tried again once it has grown as much once more.
            self._file.fresh_size = self._file.size
            log.warning("%s could not be compacted, and goes on as it is: %s", self.location, exc)

    # -- batches -----------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        with self._writing() as state:
            return state.open_batch(name, now)

    def find_batch(self, name: str) -> Batch | None:
        with self._reading() as state:
            return state.find_batch(name)

    def batches(self) -> Sequence[Batch]:
        with self._reading() as state:
            return state.batches()

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        with self._writing() as state:
            return state.update_batch(batch_id, **changes)

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        with self._writing() as state:
            return state.set_control(batch_id, control, reason, entry, only_from=only_from)

    def acquire(self, batch_id: int) -> int:
        with self._reading() as state:
            name = state.name_of(batch_id)
        self._ownership.take(batch_id, name)
        try:
            return self._next_epoch(batch_id)
        except BaseException:
            self._ownership.give_back(batch_id)
            raise

    def _next_epoch(self, batch_id: int) -> int:
        # As safe as the handles themselves: the rescue file goes once they are here.
        with self._ownership.rescued(batch_id) as handles, self._writing(safe=True) as state:
            epoch = state.acquire(batch_id)
            state.append(batch_id, missing(handles, state.handles_of))
        return epoch

    def release(self, batch_id: int) -> None:
        if not self._inherited:
            self._ownership.give_back(batch_id)

    # -- jobs --------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        with self._writing() as state:
            return state.add(batch_id, items, now)

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        with self._writing() as state:
            return state.claim(batch_id, epoch, limit, now)

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        with self._writing() as state:
            return state.in_flight(batch_id, epoch)

    def next_due(self, batch_id: int, now: float) -> float | None:
        with self._reading() as state:
            return state.next_due(batch_id, now)

    def save(self, changes: Sequence[Change]) -> Saved:
        with self._writing(safe=any(change.power_safe for change in changes)) as state:
            return state.save(changes)

    def rescue(self, changes: Sequence[Change]) -> None:
        self._ownership.rescue(changes)

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        with self._writing() as state:
            return state.steer(job, was, entry)

    def remove(self, job_id: int) -> bool:
        with self._writing() as state:
            return state.remove(job_id)

    def request_cancel(self, job_id: int, now: float) -> None:
        with self._writing() as state:
            state.request_cancel(job_id, now)

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        with self._reading() as state:
            return state.cancel_requests(batch_id)

    def get(self, job_id: int) -> Job | None:
        with self._reading() as state:
            return state.get(job_id)

    def find(self, batch_id: int, identity: str) -> Job | None:
        with self._reading() as state:
            return state.find(batch_id, identity)

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        with self._reading() as state:
            found = list(state.jobs(batch_id, statuses, results=results))
        return iter(found)

    def result(self, job_id: int) -> JobResult | None:
        with self._reading() as state:
            return state.result(job_id)

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        with self._reading() as state:
            return state.counts(batch_id)

    def cost(self, batch_id: int) -> float | None:
        with self._reading() as state:
            return state.cost(batch_id)

    def failures(self, batch_id: int) -> Sequence[Failures]:
        with self._reading() as state:
            return state.failures(batch_id)

    # -- journal -----------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        safe = any(entry.data and "handle" in entry.data for entry in entries)
        with self._writing(safe=safe) as state:
            return state.append(batch_id, entries)

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        with self._reading() as state:
            return state.journal(batch_id, since, limit)

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        with self._reading() as state:
            return state.attempts(job_id)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        with self._reading() as state:
            return state.evidence(job_id, attempt)

    # -- upkeep ------------------------------------------------------------------------------

    def changed(self) -> object:
        with self._reading():
            return self._foreign, self._noted

    def prune(self, before: float) -> int:
        # Locks first: a batch is in the file before it has one.
        locks = self._ownership.with_locks()
        with self._reading() as state:
            over = state.over(before) | (locks - state.ids)
        with self._ownership.unowned(over) as unowned:
            with self._writing() as state:
                # A person may have added something since the first look.
                doomed = unowned & state.over(before)
                jobs = state.delete(doomed)
                left = state.ids
            self._ownership.drop_rescued(doomed)
            self._ownership.remove_locks(unowned - left)
        return jobs

    def compact(self) -> None:
        """Writes the file anew, without what has been replaced. It happens by itself, too."""
        with self._lock, explained(self.location):
            self._check_open()
            with self._file.locked():
                state = self._catch_up()
                self._file.replace({"last": state.numbers()}, state.snapshot())

    def close(self) -> None:
        if self._inherited:
            return
        self._ownership.close()
        with self._lock:
            self._file.close()
            self._state, self._closed = None, True
