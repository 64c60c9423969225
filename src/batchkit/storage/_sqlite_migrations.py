"""Brings the tables of a SQLite file up to date, from whichever version wrote them.

:data:`MIGRATIONS` are run in order inside one transaction of the caller's: afterwards a file is
what it shall be, or still what it was. A migration is not changed once a release had it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from batchkit._errors import StorageLockedError
from batchkit._events import JobSubmitted
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage._ownership import Ownership
from batchkit.storage.base import Entry


def migrate(db: sqlite3.Connection, version: int, path: Path | None) -> None:
    """Makes the present tables out of older ones, or in an empty file.

    Args:
        db: inside a transaction that writes.
        version: what the file has; 0 when it is empty.
        path: of the file; ``None`` when it is in memory.

    Raises:
        StorageLockedError: a program of the older version runs one of its batches.
    """
    if version == schema.SCHEMA_VERSION:
        return
    if version == 0:
        _run(db, schema.SCHEMA)
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    else:
        assert path is not None
        _refuse_runners(db, path)
        for step in MIGRATIONS[version - 1 :]:
            step(db, path)
    db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")


def _run(db: sqlite3.Connection, script: str) -> None:
    # executescript() would commit first.
    for statement in script.split(";"):
        db.execute(statement)


def _refuse_runners(db: sqlite3.Connection, path: Path) -> None:
    names = dict(db.execute("SELECT id, name FROM batches").fetchall())
    with Ownership(path).unowned(names) as free:
        busy = sorted(names[batch_id] for batch_id in names.keys() - free)
    if busy:
        raise StorageLockedError(
            f"{path} must be brought up to date, but a program of an older version runs batch "
            f"{busy[0]!r}: let it end or stop it, then run again; nothing was changed"
        )


# -- version 2: numbers that are never used twice, waiting jobs apart, a rescue file per batch ----


def _to_2(db: sqlite3.Connection, path: Path) -> None:
    for index in ("identity", "pending", "live", "due", "failed"):
        db.execute(f"DROP INDEX jobs_{index}")
    for table in ("batches", "jobs"):
        _never_number_twice(db, table)
    _run(db, _TABLES_OF_2)
    _split_rescue_file(path)


def _never_number_twice(db: sqlite3.Connection, table: str) -> None:
    # The first files of version 1 gave the number of a deleted row to the next one.
    sql = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    if "AUTOINCREMENT" in sql:
        return
    db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    db.execute(sql.replace("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT", 1))
    db.execute(f"INSERT INTO {table} SELECT * FROM old_{table}")
    db.execute(f"DROP TABLE old_{table}")


_TABLES_OF_2 = """
ALTER TABLE jobs ADD COLUMN waited_for REAL;
CREATE UNIQUE INDEX jobs_identity ON jobs (batch, identity);
CREATE INDEX jobs_ready ON jobs (batch, priority DESC, idx)
    WHERE status = 'pending' AND (not_before IS NULL OR not_before IS waited_for);
CREATE INDEX jobs_waiting ON jobs (batch, not_before IS waited_for, not_before)
    WHERE status = 'pending' AND not_before IS NOT NULL;
CREATE INDEX jobs_live ON jobs (batch, status)
    WHERE status = 'submitting' OR status = 'uncertain' OR status = 'processing'
    OR status = 'collecting';
CREATE INDEX jobs_failed ON jobs (batch) WHERE status = 'failed' OR status = 'expired';
CREATE TABLE pruned (last_seq INTEGER NOT NULL);
INSERT INTO pruned VALUES (0);
"""


def _split_rescue_file(path: Path) -> None:
    """Gives every batch its own file. Done twice, it only repeats lines, which is harmless."""
    common = path.with_name(path.name + ".rescue.jsonl")
    try:
        lines, at = common.read_bytes().split(b"\n"), common.stat().st_mtime
    except FileNotFoundError:
        return
    for batch_id, job_id, attempt, handle in _whole(lines):
        entry = Entry(JobSubmitted.kind, at, job_id, attempt, {"handle": handle})
        Ownership(path).rescue_file(batch_id).append([entry])
    common.unlink()


def _whole(lines: list[bytes]) -> Iterator[list[Any]]:
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            # Torn: its process died while it wrote.
            continue
        if isinstance(values, list) and len(values) == 4:
            yield values


#: What makes version 2 out of 1, and so on.
MIGRATIONS: tuple[Callable[[sqlite3.Connection, Path], None], ...] = (_to_2,)
