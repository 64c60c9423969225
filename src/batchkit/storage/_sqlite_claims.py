"""Who may go next, found without looking at those that must wait.

A pending job is ready when it waits for nothing, or when the time that it waited for has passed.
``waited_for`` is that time: a claim first copies ``not_before`` there, once for each job and wait,
and then takes the first of an index that holds only ready jobs. A job that is told to wait again
leaves the index by itself, because its ``not_before`` is another one.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from batchkit.storage import _sqlite_rows as rows
from batchkit.storage import _sqlite_schema as schema

_MAKE_READY = f"""
UPDATE jobs SET waited_for = not_before
WHERE batch = ? AND {schema.WAITING} AND (not_before IS waited_for) = 0 AND not_before <= ?
"""
_WAIT_AGAIN = f"""
UPDATE jobs SET waited_for = NULL WHERE batch = ? AND {schema.READY} AND not_before > ?
"""
_READY = f"""
SELECT {rows.JOB_COLUMNS} FROM jobs WHERE batch = ? AND {schema.READY} AND epoch != ?
ORDER BY priority DESC, idx LIMIT ?
"""
_DUE = f"""
SELECT min(not_before) FROM jobs
WHERE batch = ? AND {schema.WAITING} AND (not_before IS waited_for) = ? AND not_before > ?
"""
#: Where ``not_before`` stands in a row.
_NOT_BEFORE = rows.JOB_COLUMNS.split(", ").index("not_before")


def ready(
    db: sqlite3.Connection, batch_id: int, epoch: int, limit: int, now: float
) -> list[tuple[Any, ...]]:
    """The first *limit* jobs that may go now and do not belong to *epoch* yet."""
    db.execute(_MAKE_READY, (batch_id, now))
    found = db.execute(_READY, (batch_id, epoch, limit)).fetchall()
    if any((row[_NOT_BEFORE] or 0.0) > now for row in found):
        # The clock was set back.
        db.execute(_WAIT_AGAIN, (batch_id, now))
        found = db.execute(_READY, (batch_id, epoch, limit)).fetchall()
    return found


def next_due(db: sqlite3.Connection, batch_id: int, now: float) -> float | None:
    """The next ``not_before`` of a pending job that lies ahead."""
    # Those that are ready count too: the clock may have been set back since.
    found = [db.execute(_DUE, (batch_id, ready, now)).fetchone()[0] for ready in (0, 1)]
    return min((due for due in found if due is not None), default=None)
