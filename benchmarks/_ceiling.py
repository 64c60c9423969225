"""What SQLite alone can do: a minimal loop of the standard library, no pipeline around it.

Each job is stored pending, then running, then done with its result: three transitions, written a
group at a time with one commit per group. There is no journal, no identity, no fence, no retry and
no concurrency: whatever a durable pipeline does besides comes on top of this.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

#: Jobs per commit.
GROUP = 100
_PENDING, _RUNNING, _DONE = range(3)

_SCHEMA = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, state INTEGER NOT NULL, payload TEXT NOT NULL, result TEXT
);
CREATE INDEX live ON jobs (state) WHERE state < 2;
"""


def group_commit(path: Path, items: Sequence[str], synchronous: str) -> int:
    """Stores and runs all items; returns how many are done."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.executescript(_SCHEMA)
        for start in range(0, len(items), GROUP):
            _enqueue(db, items[start : start + GROUP])
        while _run_group(db):
            pass
        found: int = db.execute("SELECT count(*) FROM jobs WHERE state = ?", (_DONE,)).fetchone()[0]
        return found


def _enqueue(db: sqlite3.Connection, items: Sequence[str]) -> None:
    rows = [(_PENDING, json.dumps({"prompt": item})) for item in items]
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO jobs (state, payload) VALUES (?, ?)", rows)
    db.execute("COMMIT")


def _run_group(db: sqlite3.Connection) -> bool:
    db.execute("BEGIN IMMEDIATE")
    rows = db.execute(
        "SELECT id, payload FROM jobs WHERE state = ? ORDER BY id LIMIT ?", (_PENDING, GROUP)
    ).fetchall()
    db.executemany("UPDATE jobs SET state = ? WHERE id = ?", [(_RUNNING, row[0]) for row in rows])
    db.execute("COMMIT")
    done = [
        (_DONE, json.dumps({"text": json.loads(payload)["prompt"]}), job) for job, payload in rows
    ]
    db.execute("BEGIN IMMEDIATE")
    db.executemany("UPDATE jobs SET state = ?, result = ? WHERE id = ?", done)
    db.execute("COMMIT")
    return bool(rows)
