"""Deletes batches that are over from a SQLite storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from batchkit.storage import _sqlite_writes as writes

_OVER = """
SELECT batch FROM jobs GROUP BY batch HAVING max(coalesce(completed, 9e99)) < :before
    AND count(*) = sum(status IN ('completed', 'failed', 'expired', 'canceled'))
UNION ALL
SELECT id FROM batches WHERE created < :before
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch = batches.id)
"""


def over(db: sqlite3.Connection, before: float) -> set[int]:
    """Batches whose every job ended before that time, and empty ones that are older."""
    return {row[0] for row in db.execute(_OVER, {"before": before})}


def all_batches(db: sqlite3.Connection) -> set[int]:
    """Every batch that is there."""
    return {row[0] for row in db.execute("SELECT id FROM batches")}


def delete(db: sqlite3.Connection, batch_ids: Collection[int]) -> int:
    """Deletes batches with everything that is theirs; returns how many jobs went."""
    # What comes next must not look older than what somebody has read already.
    db.execute("UPDATE pruned SET last_seq = ?", (writes.last_seq(db),))
    return sum(_delete(db, batch_id) for batch_id in sorted(batch_ids))


def _delete(db: sqlite3.Connection, batch_id: int) -> int:
    jobs = "SELECT id FROM jobs WHERE batch = ?"
    db.execute(f"DELETE FROM results WHERE job IN ({jobs})", (batch_id,))
    gone = db.execute("DELETE FROM jobs WHERE batch = ?", (batch_id,)).rowcount
    for table, column in (("journal", "batch"), ("counts", "batch"), ("batches", "id")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (batch_id,))
    return gone
