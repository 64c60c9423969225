"""The longer queries of the SQLite storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import Any

from batchkit._jobs import Job, JobStatus
from batchkit.storage import _sqlite_rows as rows
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage.base import Entry, Failures

_PAGE = 500
_ENTRY_COLUMNS = "seq, job, attempt, kind, at, data"

# One cause is one code, whatever else each message says. Beside min(), SQLite takes the other
# columns from the row of the minimum.
_FAILURES = f"""
SELECT coalesce(json_extract(error, '$.kind'), status) AS kind,
    coalesce(json_extract(error, '$.message'), ''), json_extract(error, '$.remedy'),
    count(*), min(id)
FROM jobs WHERE batch = ? AND {schema.FAILED}
GROUP BY 1, coalesce(json_extract(error, '$.code'), json_extract(error, '$.message'))
ORDER BY 4 DESC, 5
"""


def failures(db: sqlite3.Connection, batch_id: int) -> list[Failures]:
    """Failed and expired jobs by cause, the most frequent first."""
    return [Failures(*row) for row in db.execute(_FAILURES, (batch_id,))]


def whole_job(db: sqlite3.Connection, where: str, *values: Any) -> Job | None:
    """The job for which a condition holds, with its result."""
    sql = f"SELECT {rows.JOB_COLUMNS}, data FROM jobs LEFT JOIN results ON job = id WHERE {where}"
    row = db.execute(sql, values).fetchone()
    return rows.job_from(row[:-1], row[-1]) if row else None


def pages_of_jobs(
    reading: Callable[[], AbstractContextManager[sqlite3.Connection]],
    batch_id: int,
    statuses: Collection[JobStatus] | None,
    *,
    results: bool,
) -> Iterator[Job]:
    """Jobs of a batch by index; the connection is free for others between two pages."""
    data, join = ("data", "LEFT JOIN results ON job = id") if results else ("NULL", "")
    wanted = ", ".join(f"'{status}'" for status in statuses or ())
    only = f"AND status IN ({wanted})" if statuses is not None else ""
    sql = (
        f"SELECT {rows.JOB_COLUMNS}, {data} FROM jobs {join}"
        f" WHERE batch = ? AND id > ? {only} ORDER BY id LIMIT {_PAGE}"
    )
    last = 0
    while True:
        with reading() as db:
            page = db.execute(sql, (batch_id, last)).fetchall()
        for row in page:
            yield rows.job_from(row[:-1], row[-1])
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def journal_of_batch(db: sqlite3.Connection, batch_id: int, since: int, limit: int) -> list[Entry]:
    """Lines of a batch after number *since*."""
    sql = f"SELECT {_ENTRY_COLUMNS} FROM journal WHERE seq > ? AND batch = ? ORDER BY seq LIMIT ?"
    return [rows.entry_from(row) for row in db.execute(sql, (since, batch_id, limit))]


def journal_of_job(db: sqlite3.Connection, job_id: int) -> list[Entry]:
    """Every line of a job."""
    sql = f"SELECT {_ENTRY_COLUMNS} FROM journal WHERE job = ? ORDER BY seq"
    return [rows.entry_from(row) for row in db.execute(sql, (job_id,))]


def handles_of_job(db: sqlite3.Connection, job_id: int) -> list[Entry]:
    """The lines of a job that hold a handle."""
    sql = f"SELECT {_ENTRY_COLUMNS} FROM journal WHERE job = ? AND kind = 'submitted' ORDER BY seq"
    return [rows.entry_from(row) for row in db.execute(sql, (job_id,))]
