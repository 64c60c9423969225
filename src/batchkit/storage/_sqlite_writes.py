"""The writes that several methods of the SQLite storage share; each inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from batchkit._codec import dump_result, dumps
from batchkit._jobs import JobStatus
from batchkit.storage import _sqlite_rows as rows
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


def states(db: sqlite3.Connection, changes: Sequence[Change]) -> frozenset[int]:
    """Writes the records; returns the positions of those that belong to another epoch."""
    values = [rows.update_values(change.job, change.before.status) for change in changes]
    db.execute("SAVEPOINT jobs")
    if db.executemany(rows.UPDATE_JOB, values).rowcount == len(values):
        return frozenset()
    # Somebody is fenced; only one by one can tell who.
    db.execute("ROLLBACK TO jobs")
    return frozenset(n for n, change in enumerate(changes) if not _state(db, change))


def _state(db: sqlite3.Connection, change: Change) -> bool:
    """Writes one record, whatever its runner believes to be stored; ``False``: it is fenced.

    After a save that failed, or that only seemed to, the counters must follow what is stored.
    """
    sql = "SELECT status, cost FROM jobs WHERE id = ? AND epoch = ?"
    stored = db.execute(sql, (change.job.id, change.job.epoch)).fetchone()
    if stored is None:
        return False
    change.before = change.before.evolve(status=JobStatus(stored[0]), cost=stored[1])
    db.execute(rows.UPDATE_JOB, rows.update_values(change.job, change.before.status))
    return True


def results(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Writes the results that are new."""
    new = [(c.job.id, dump_result(c.job.result)) for c in changes if c.result and c.job.result]
    if new:
        db.executemany("INSERT OR REPLACE INTO results (job, data) VALUES (?, ?)", new)


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
    first = last_seq(db) + 1
    values = [
        rows.entry_row(batch_id, entry, first + offset)
        for offset, (batch_id, entry) in enumerate(lines)
    ]
    db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    return first


def last_seq(db: sqlite3.Connection) -> int:
    """The highest number that a journal line ever had, be it there or not."""
    sql = "SELECT max(last_seq, (SELECT coalesce(max(seq), 0) FROM journal)) FROM pruned"
    seq: int = db.execute(sql).fetchone()[0]
    return seq
