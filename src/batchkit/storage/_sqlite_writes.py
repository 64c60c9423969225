"""The writes that several methods of the SQLite storage share; each inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from batchkit._codec import dump_result, dumps
from batchkit._jobs import JobStatus
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage.base import Change, Entry, NewJob


def insert(
    db: sqlite3.Connection, batch_id: int, index: int, item: NewJob, now: float
) -> tuple[int, bool]:
    """Adds one job, or finds it by its identity; its id and whether it was new."""
    metadata = dumps(dict(item.metadata)) if item.metadata else None
    cursor = db.execute(
        "INSERT OR IGNORE INTO jobs (batch, idx, identity, request, metadata, priority, status,"
        " created) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?)",
        (batch_id, index, item.identity, item.stored, metadata, item.priority, now),
    )
    if cursor.rowcount and cursor.lastrowid is not None:
        return cursor.lastrowid, True
    sql = "SELECT id FROM jobs WHERE batch = ? AND identity = ?"
    return db.execute(sql, (batch_id, item.identity)).fetchone()[0], False


def results(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Writes the results that are new."""
    rows = [(c.job.id, dump_result(c.job.result)) for c in changes if c.result and c.job.result]
    if rows:
        db.executemany("INSERT OR REPLACE INTO results (job, data) VALUES (?, ?)", rows)


def settle(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Keeps the counters that make counts and costs free of scans."""
    moves: dict[tuple[int, JobStatus, JobStatus], int] = {}
    spent: dict[int, float] = {}
    for change in changes:
        job, before = change.job, change.before
        if job.status is not before.status:
            move = (job.batch_id, before.status, job.status)
            moves[move] = moves.get(move, 0) + 1
        if job.cost is not None and job.cost != before.cost:
            more = job.cost - (before.cost or 0.0)
            spent[job.batch_id] = spent.get(job.batch_id, 0.0) + more
    for (batch_id, old, new), n in moves.items():
        count(db, batch_id, {old: -n, new: n})
    for batch_id, more in spent.items():
        db.execute("UPDATE batches SET cost = coalesce(cost, 0) + ? WHERE id = ?", (more, batch_id))


def count(db: sqlite3.Connection, batch_id: int, moved: Mapping[JobStatus, int]) -> None:
    """Moves the counters of a batch."""
    db.executemany(
        "INSERT INTO counts (batch, status, n) VALUES (?, ?, ?)"
        " ON CONFLICT (batch, status) DO UPDATE SET n = n + excluded.n",
        [(batch_id, status, n) for status, n in moved.items() if n],
    )


def journal(db: sqlite3.Connection, lines: Sequence[tuple[int, Entry]]) -> int:
    """Appends journal lines, each with its batch; returns the number of the first."""
    first: int = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM journal").fetchone()[0]
    rows = [
        schema.entry_row(batch_id, entry, first + offset)
        for offset, (batch_id, entry) in enumerate(lines)
    ]
    db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return first


def prune(db: sqlite3.Connection, before: float, held: Collection[int]) -> int:
    """Deletes batches whose every job ended before that time; returns how many jobs went.

    Those *held* by a runner of this process are spared.
    """
    over = (
        "SELECT batch FROM jobs GROUP BY batch HAVING max(coalesce(completed, 9e99)) < ?"
        " AND count(*) = sum(status IN ('completed', 'failed', 'expired', 'canceled'))"
    )
    gone = 0
    for (batch_id,) in db.execute(over, (before,)).fetchall():
        if batch_id in held:
            continue
        jobs = "SELECT id FROM jobs WHERE batch = ?"
        db.execute(f"DELETE FROM results WHERE job IN ({jobs})", (batch_id,))
        gone += db.execute("DELETE FROM jobs WHERE batch = ?", (batch_id,)).rowcount
        for table, column in (("journal", "batch"), ("counts", "batch"), ("batches", "id")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (batch_id,))
    return gone
