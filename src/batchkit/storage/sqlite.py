"""The default storage: one SQLite file, with a write-ahead log.

Written by one connection under a lock, in groups: every save of a scheduler's turn shares a commit.
A save that must survive the loss of power is committed with ``synchronous=FULL``; the rest follows
``durability``. A killed process loses nothing that was committed in either mode.

Works from SQLite 3.31 on, so nothing here uses RETURNING.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchkit._codec import load_result
from batchkit._config import Batch, Control, Durability
from batchkit._errors import JobNotFoundError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage import _sqlite_claims as claims
from batchkit.storage import _sqlite_prune as pruning
from batchkit.storage import _sqlite_reads as reads
from batchkit.storage import _sqlite_rows as rows
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage import _sqlite_writes as writes
from batchkit.storage._batch_errors import gone
from batchkit.storage._journal import attempts_from, handle_from, handles_in, missing
from batchkit.storage._ownership import Ownership
from batchkit.storage._sqlite_db import Database
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved


class SQLiteStorage:
    """Keeps batches in one SQLite file.

    Args:
        path: the file; made when it does not exist. ``":memory:"`` keeps everything in memory.
        durability: what survives a power cut, beside intents and handles, which always do:
            ``"normal"`` may lose the last commits (never the file), ``"full"`` loses none,
            ``"off"`` leaves it to the operating system. The death of the process loses nothing in
            any of them.
        timeout: seconds to wait for another program's lock.

    Raises:
        StorageError: the file cannot be opened or used; the subclass says why.
    """

    def __init__(
        self, path: str | Path, *, durability: Durability = "normal", timeout: float = 5.0
    ) -> None:
        self.path = Path(path)
        self.location = str(path)
        self.shared = self.location != ":memory:"
        # One file has one set of locks, by whichever name and from whichever folder it is opened.
        file = self.path.resolve() if self.shared else None
        self._noted = 0
        self._ownership = Ownership(file)
        self._db = Database(file, self.location, durability, timeout)
        self._one, self._reading, self._writing = self._db.one, self._db.reading, self._db.writing

    def __repr__(self) -> str:
        return f"<SQLiteStorage {self.location!r}>"

    # -- batches ---------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        with self._writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO batches (uid, name, created) VALUES (?, ?, ?)",
                (uuid.uuid4().hex, name, now),
            )
        found = self.find_batch(name)
        assert found is not None
        return found

    def find_batch(self, name: str) -> Batch | None:
        with self._reading():
            row = self._one(f"SELECT {rows.BATCH_COLUMNS} FROM batches WHERE name = ?", name)
        return rows.batch_from(row) if row else None

    def batches(self) -> Sequence[Batch]:
        with self._reading() as db:
            sql = f"SELECT {rows.BATCH_COLUMNS} FROM batches ORDER BY id"
            return [rows.batch_from(row) for row in db.execute(sql)]

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        sets = ", ".join(f"{name} = ?" for name in changes)
        with self._writing() as db:
            db.execute(f"UPDATE batches SET {sets} WHERE id = ?", (*changes.values(), batch_id))
            row = self._of_batch(batch_id, rows.BATCH_COLUMNS)
        self._noted += 1
        return rows.batch_from(row)

    def _of_batch(self, batch_id: int, columns: str) -> Any:
        row = self._one(f"SELECT {columns} FROM batches WHERE id = ?", batch_id)
        if row is None:
            raise gone(batch_id)
        return row

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        with self._writing() as db:
            sql = "UPDATE batches SET control = ?, control_reason = ? WHERE id = ?"
            only = " AND control = ?" if only_from is not None else ""
            values = (control, reason, batch_id, *([only_from] if only_from is not None else ()))
            if not db.execute(sql + only, values).rowcount:
                return False
            if entry is not None:
                writes.journal(db, [(batch_id, entry)])
        self._noted += 1
        return True

    def acquire(self, batch_id: int) -> int:
        with self._reading():
            [name] = self._of_batch(batch_id, "name")
        self._ownership.take(batch_id, name)
        try:
            # As safe as the handles themselves: their rescue file goes once they are here.
            with (
                self._ownership.rescued(batch_id) as handles,
                self._writing(power_safe=True) as db,
            ):
                db.execute("UPDATE batches SET epoch = epoch + 1 WHERE id = ?", (batch_id,))
                fresh = missing(handles, lambda job_id: reads.handles_of_job(db, job_id))
                writes.journal(db, [(batch_id, entry) for entry in fresh])
                epoch: int = self._of_batch(batch_id, "epoch")[0]
        except BaseException:
            self._ownership.give_back(batch_id)
            raise
        return epoch

    def release(self, batch_id: int) -> None:
        if not self._db.inherited:
            self._ownership.give_back(batch_id)

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        with self._writing() as db:
            index: int = self._of_batch(batch_id, "next_index")[0]
            first, added = index, []
            for item in items:
                found = writes.insert(db, batch_id, index, item, now)
                index += found[1]
                added.append(found)
            db.execute("UPDATE batches SET next_index = ? WHERE id = ?", (index, batch_id))
            writes.count(db, batch_id, {JobStatus.PENDING: index - first})
        self._noted += index > first
        return added

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        with self._writing() as db:
            found = claims.ready(db, batch_id, epoch, limit, now)
            ids = [(epoch, row[0]) for row in found]
            db.executemany("UPDATE jobs SET epoch = ? WHERE id = ?", ids)
        return [rows.job_from(row).evolve(epoch=epoch) for row in found]

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        with self._writing() as db:
            where = f"batch = ? AND {schema.LIVE}"
            db.execute(f"UPDATE jobs SET epoch = ? WHERE {where}", (epoch, batch_id))
            sql = f"SELECT {rows.JOB_COLUMNS}, data FROM jobs LEFT JOIN results ON job = id"
            found = db.execute(f"{sql} WHERE {where} ORDER BY id", (batch_id,)).fetchall()
        return [rows.job_from(row[:-1], row[-1]) for row in found]

    def next_due(self, batch_id: int, now: float) -> float | None:
        with self._reading() as db:
            return claims.next_due(db, batch_id, now)

    def save(self, changes: Sequence[Change]) -> Saved:
        power_safe = any(change.power_safe for change in changes)
        with self._writing(power_safe=power_safe) as db:
            fenced = writes.states(db, changes)
            written = [c for i, c in enumerate(changes) if i not in fenced] if fenced else changes
            writes.results(db, written)
            writes.settle(db, written)
            lines = [(c.job.batch_id, entry) for c in changes for entry in c.entries]
            first = writes.journal(db, lines)
        return Saved(fenced, first)

    def rescue(self, changes: Sequence[Change]) -> None:
        if self.shared:
            self._ownership.rescue(changes)
            return
        for change in changes:
            self.append(change.job.batch_id, handles_in([change]))

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        with self._writing() as db:
            if not db.execute(rows.STEER_JOB, rows.steer_values(job, was)).rowcount:
                return False
            if job.status is not was:
                writes.count(db, job.batch_id, {job.status: 1, was: -1})
            if entry is not None:
                writes.journal(db, [(job.batch_id, entry)])
        self._noted += 1
        return True

    def remove(self, job_id: int) -> bool:
        with self._writing() as db:
            where = "id = ? AND attempt = 0 AND status IN ('pending', 'paused')"
            row = self._one(f"SELECT batch, status FROM jobs WHERE {where}", job_id)
            if row is None:
                return False
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
            writes.count(db, row[0], {JobStatus(row[1]): -1})
        self._noted += 1
        return True

    def request_cancel(self, job_id: int, now: float) -> None:
        with self._writing() as db:
            db.execute("UPDATE jobs SET cancel_requested_at = ? WHERE id = ?", (now, job_id))
        self._noted += 1

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        sql = f"SELECT id FROM jobs WHERE batch = ? AND {schema.LIVE}"
        with self._reading() as db:
            found = db.execute(f"{sql} AND cancel_requested_at IS NOT NULL", (batch_id,))
            return {row[0] for row in found}

    def get(self, job_id: int) -> Job | None:
        with self._reading() as db:
            return reads.whole_job(db, "id = ?", job_id)

    def find(self, batch_id: int, identity: str) -> Job | None:
        with self._reading() as db:
            return reads.whole_job(db, "batch = ? AND identity = ?", batch_id, identity)

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        return reads.pages_of_jobs(self._reading, batch_id, statuses, results=results)

    def result(self, job_id: int) -> JobResult | None:
        with self._reading():
            row = self._one("SELECT data FROM results WHERE job = ?", job_id)
        return load_result(row[0]) if row else None

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        sql = "SELECT status, n FROM counts WHERE batch = ? AND n != 0"
        with self._reading() as db:
            return {JobStatus(status): n for status, n in db.execute(sql, (batch_id,))}

    def cost(self, batch_id: int) -> float | None:
        with self._reading():
            row = self._one("SELECT cost FROM batches WHERE id = ?", batch_id)
        return row[0] if row else None

    def failures(self, batch_id: int) -> Sequence[Failures]:
        with self._reading() as db:
            return reads.failures(db, batch_id)

    # -- journal ---------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        safe = any(entry.data and "handle" in entry.data for entry in entries)
        with self._writing(power_safe=safe) as db:
            first = writes.journal(db, [(batch_id, entry) for entry in entries])
        self._noted += 1
        return first

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        with self._reading() as db:
            return reads.journal_of_batch(db, batch_id, since, limit)

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        with self._reading() as db:
            owner = self._one(
                "SELECT uid, idx FROM jobs JOIN batches ON batches.id = batch WHERE jobs.id = ?",
                job_id,
            )
            lines = reads.journal_of_job(db, job_id)
        if owner is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        return attempts_from(lines, *owner)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        with self._reading() as db:
            return handle_from(reads.handles_of_job(db, job_id), attempt)

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self) -> object:
        # SQLite does not count what came through this very connection.
        return self._db.changed(), self._noted

    def prune(self, before: float) -> int:
        # Locks first: a batch is in the database before it has one.
        locks = self._ownership.with_locks()
        with self._reading() as db:
            over = pruning.over(db, before) | (locks - pruning.all_batches(db))
        with self._ownership.unowned(over) as unowned:
            with self._writing() as db:
                # A person may have added something since the first look.
                doomed = unowned & pruning.over(db, before)
                jobs = pruning.delete(db, doomed)
                left = pruning.all_batches(db)
            self._ownership.drop_rescued(doomed)
            self._ownership.remove_locks(unowned - left)
        self._noted += bool(doomed)
        return jobs

    def compact(self) -> None:
        """Gives the space of what was pruned back; needs as much again meanwhile, and some time."""
        self._db.compact()

    def close(self) -> None:
        if not self._db.inherited:
            self._ownership.close()
            self._db.close()
