"""The default storage: one SQLite file, with a write-ahead log.

Written by one connection under a lock, in groups: every save of a scheduler's turn shares a commit.
A save that must survive the loss of power is committed with ``synchronous=FULL``; the rest follows
``durability``. A killed process loses nothing that was committed in either mode.

Works from SQLite 3.31 on, so nothing here uses RETURNING.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchkit._codec import load_result
from batchkit._config import Batch, Control, Durability
from batchkit._errors import JobNotFoundError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage import _sqlite_writes as writes
from batchkit.storage._journal import attempts_from, handle_from
from batchkit.storage._sqlite_db import Database
from batchkit.storage._sqlite_files import OwnerLock, RescueFile, busy
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved

_PAGE = 500


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
        self._noted = 0
        self._owned: dict[int, OwnerLock | None] = {}
        self._rescue = RescueFile(self.path.with_name(self.path.name + ".rescue.jsonl"))
        self._db = Database(self.path, durability, timeout)
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
            row = self._one(f"SELECT {schema.BATCH_COLUMNS} FROM batches WHERE name = ?", name)
        return schema.batch_from(row) if row else None

    def batches(self) -> Sequence[Batch]:
        with self._reading() as db:
            rows = db.execute(f"SELECT {schema.BATCH_COLUMNS} FROM batches ORDER BY id").fetchall()
        return [schema.batch_from(row) for row in rows]

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        sets = ", ".join(f"{name} = ?" for name in changes)
        with self._writing() as db:
            db.execute(f"UPDATE batches SET {sets} WHERE id = ?", (*changes.values(), batch_id))
            row = self._one(f"SELECT {schema.BATCH_COLUMNS} FROM batches WHERE id = ?", batch_id)
        self._noted += 1
        return schema.batch_from(row)

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
        self._own(batch_id)
        try:
            return self._next_epoch(batch_id)
        except BaseException:
            self.release(batch_id)
            raise

    def _next_epoch(self, batch_id: int) -> int:
        # As safe as the handles themselves: the rescue file goes once they are here.
        with self._writing(power_safe=True) as db:
            db.execute("UPDATE batches SET epoch = epoch + 1 WHERE id = ?", (batch_id,))
            epoch: int = self._one("SELECT epoch FROM batches WHERE id = ?", batch_id)[0]
            rescued = self._rescue.read(batch_id, 0.0) if self.shared else []
            writes.journal(db, [(batch_id, entry) for entry in rescued])
        if rescued:
            self._rescue.forget(batch_id)
        return epoch

    def _own(self, batch_id: int) -> None:
        with self._reading():
            name = self._one("SELECT name FROM batches WHERE id = ?", batch_id)[0]
        if batch_id in self._owned:
            raise busy(name, str(os.getpid()))
        lock = None
        if self.shared:
            lock = OwnerLock(self.path.with_name(f"{self.path.name}.{batch_id}.lock"), name)
            lock.take()
        self._owned[batch_id] = lock

    def release(self, batch_id: int) -> None:
        lock = self._owned.pop(batch_id, None)
        if lock is not None:
            lock.give_back()

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        with self._writing() as db:
            index: int = self._one("SELECT next_index FROM batches WHERE id = ?", batch_id)[0]
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
            rows = db.execute(
                f"SELECT {schema.JOB_COLUMNS} FROM jobs WHERE batch = ? AND status = 'pending' AND"
                " epoch != ? AND (not_before IS NULL OR not_before <= ?)"
                " ORDER BY priority DESC, idx LIMIT ?",
                (batch_id, epoch, now, limit),
            ).fetchall()
            ids = [(epoch, row[0]) for row in rows]
            db.executemany("UPDATE jobs SET epoch = ? WHERE id = ?", ids)
        return [schema.job_from(row).evolve(epoch=epoch) for row in rows]

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        with self._writing() as db:
            where = f"batch = ? AND {schema.LIVE}"
            db.execute(f"UPDATE jobs SET epoch = ? WHERE {where}", (epoch, batch_id))
            sql = f"SELECT {schema.JOB_COLUMNS}, data FROM jobs LEFT JOIN results ON job = id"
            rows = db.execute(f"{sql} WHERE {where} ORDER BY id", (batch_id,)).fetchall()
        return [schema.job_from(row[:-1], row[-1]) for row in rows]

    def next_due(self, batch_id: int, now: float) -> float | None:
        with self._reading():
            row = self._one(
                "SELECT min(not_before) FROM jobs WHERE batch = ? AND status = 'pending'"
                " AND not_before > 0 AND not_before > ?",
                batch_id,
                now,
            )
        due: float | None = row[0]
        return due

    def save(self, changes: Sequence[Change]) -> Saved:
        power_safe = any(change.power_safe for change in changes)
        with self._writing(power_safe=power_safe) as db:
            values = [schema.update_values(change.job) for change in changes]
            db.execute("SAVEPOINT jobs")
            fenced: frozenset[int] = frozenset()
            if db.executemany(schema.UPDATE_JOB, values).rowcount != len(values):
                # Somebody is fenced; only one by one can tell who.
                db.execute("ROLLBACK TO jobs")
                done = [db.execute(schema.UPDATE_JOB, row).rowcount for row in values]
                fenced = frozenset(i for i, count in enumerate(done) if not count)
            written = [c for i, c in enumerate(changes) if i not in fenced] if fenced else changes
            writes.results(db, written)
            writes.settle(db, written)
            lines = [(c.job.batch_id, entry) for c in changes for entry in c.entries]
            first = writes.journal(db, lines)
        return Saved(fenced, first)

    def rescue(self, changes: Sequence[Change]) -> None:
        if self.shared:
            self._rescue.write(changes)

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        with self._writing() as db:
            if not db.execute(schema.STEER_JOB, schema.steer_values(job, was)).rowcount:
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
        return True

    def request_cancel(self, job_id: int, now: float) -> None:
        with self._writing() as db:
            db.execute("UPDATE jobs SET cancel_requested_at = ? WHERE id = ?", (now, job_id))
        self._noted += 1

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        with self._reading() as db:
            rows = db.execute(
                f"SELECT id FROM jobs WHERE batch = ? AND {schema.LIVE}"
                " AND cancel_requested_at IS NOT NULL",
                (batch_id,),
            ).fetchall()
        return {row[0] for row in rows}

    def get(self, job_id: int) -> Job | None:
        return self._find("id = ?", job_id)

    def find(self, batch_id: int, identity: str) -> Job | None:
        return self._find("batch = ? AND identity = ?", batch_id, identity)

    def _find(self, where: str, *values: Any) -> Job | None:
        sql = f"SELECT {schema.JOB_COLUMNS}, data FROM jobs LEFT JOIN results ON job = id"
        with self._reading():
            row = self._one(f"{sql} WHERE {where}", *values)
        return schema.job_from(row[:-1], row[-1]) if row else None

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        join = "LEFT JOIN results ON job = id" if results else ""
        data = "data" if results else "NULL"
        wanted = ", ".join(f"'{status}'" for status in statuses or ())
        only = f"AND status IN ({wanted})" if statuses is not None else ""
        sql = (
            f"SELECT {schema.JOB_COLUMNS}, {data} FROM jobs {join}"
            f" WHERE batch = ? AND id > ? {only} ORDER BY id LIMIT {_PAGE}"
        )
        last = 0
        while True:
            with self._reading() as db:
                rows = db.execute(sql, (batch_id, last)).fetchall()
            for row in rows:
                yield schema.job_from(row[:-1], row[-1])
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def result(self, job_id: int) -> JobResult | None:
        with self._reading():
            row = self._one("SELECT data FROM results WHERE job = ?", job_id)
        return load_result(row[0]) if row else None

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        with self._reading() as db:
            sql = "SELECT status, n FROM counts WHERE batch = ? AND n != 0"
            rows = db.execute(sql, (batch_id,)).fetchall()
        return {JobStatus(status): n for status, n in rows}

    def cost(self, batch_id: int) -> float | None:
        with self._reading():
            row = self._one("SELECT cost FROM batches WHERE id = ?", batch_id)
        return row[0] if row else None

    def failures(self, batch_id: int) -> Sequence[Failures]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT coalesce(json_extract(error, '$.kind'), status) AS kind,"
                " coalesce(json_extract(error, '$.message'), ''), json_extract(error, '$.remedy'),"
                f" count(*), min(id) FROM jobs WHERE batch = ? AND {schema.FAILED}"
                # One cause is one code, whatever else each message says. Beside min(), SQLite
                # takes the other columns from the row of the minimum.
                " GROUP BY 1, coalesce(json_extract(error, '$.code'), json_extract(error,"
                " '$.message')) ORDER BY 4 DESC, 5",
                (batch_id,),
            ).fetchall()
        return [Failures(*row) for row in rows]

    # -- journal ---------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        safe = any(entry.data and "handle" in entry.data for entry in entries)
        with self._writing(power_safe=safe) as db:
            return writes.journal(db, [(batch_id, entry) for entry in entries])

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        sql = "SELECT seq, job, attempt, kind, at, data FROM journal WHERE seq > ? AND batch = ?"
        with self._reading() as db:
            rows = db.execute(f"{sql} ORDER BY seq LIMIT ?", (since, batch_id, limit)).fetchall()
        return [schema.entry_from(row) for row in rows]

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        sql = "SELECT seq, job, attempt, kind, at, data FROM journal WHERE job = ? ORDER BY seq"
        with self._reading() as db:
            owner = self._one(
                "SELECT uid, idx FROM jobs JOIN batches ON batches.id = batch WHERE jobs.id = ?",
                job_id,
            )
            rows = db.execute(sql, (job_id,)).fetchall()
        if owner is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        return attempts_from([schema.entry_from(row) for row in rows], *owner)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        sql = (
            "SELECT seq, job, attempt, kind, at, data FROM journal"
            " WHERE job = ? AND kind = 'submitted' ORDER BY seq"
        )
        with self._reading() as db:
            rows = db.execute(sql, (job_id,)).fetchall()
        return handle_from([schema.entry_from(row) for row in rows], attempt)

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self) -> object:
        with self._reading():
            # The pragma does not count what came through this very connection.
            return self._one("PRAGMA data_version")[0], self._noted

    def prune(self, before: float) -> int:
        with self._writing() as db:
            return writes.prune(db, before, set(self._owned))

    def close(self) -> None:
        for batch_id in list(self._owned):
            self.release(batch_id)
        self._db.close()
