"""How records become rows of the SQLite storage, and rows records."""

from __future__ import annotations

import json
from typing import Any

from batchkit._codec import (
    dumps,
    load_error,
    load_handle,
    load_result,
    plain_error,
    plain_handle,
)
from batchkit._config import Batch, Control
from batchkit._jobs import Job, JobStatus
from batchkit._requests import load_request
from batchkit._results import EMPTY
from batchkit.storage.base import Entry

BATCH_COLUMNS = (
    "id, uid, name, client_ref, config, control, control_reason, max_concurrent, created, started"
)
JOB_COLUMNS = (
    "id, batch, idx, identity, request, metadata, priority, status, epoch, attempt, retries,"
    " handle, error, prepared, cost, created, started, completed, not_before, deadline,"
    " cancel_requested_at"
)

#: A runner's save. What belongs to persons (priority, metadata, a wish to cancel) is not written.
UPDATE_JOB = """
UPDATE jobs SET status = ?, epoch = ?, attempt = ?, retries = ?, handle = ?, error = ?,
    prepared = ?, cost = ?, started = ?, completed = ?, not_before = ?, deadline = ?
WHERE id = ? AND epoch = ? AND status = ?
"""

#: A person's change: the job must still stand where the person saw it; its runner is fenced.
STEER_JOB = """
UPDATE jobs SET epoch = CASE WHEN status = ? THEN epoch ELSE 0 END, status = ?,
    attempt = ?, retries = ?, handle = ?, error = ?,
    prepared = ?, cost = ?, started = ?, completed = ?, not_before = ?, deadline = ?,
    priority = ?, metadata = ?, cancel_requested_at = ?
WHERE id = ? AND status = ? AND attempt = ?
"""


def _state(job: Job) -> tuple[Any, ...]:
    handle, error = job.handle, job.error
    return (
        job.attempt,
        job.retries,
        None if handle is None else dumps(plain_handle(handle)),
        None if error is None else dumps(plain_error(error)),
        None if job.prepared is None else dumps(dict(job.prepared)),
        job.cost,
        job.started,
        job.completed,
        job.not_before,
        job.deadline,
    )


def update_values(job: Job, was: JobStatus) -> tuple[Any, ...]:
    """What :data:`UPDATE_JOB` needs. A pending job belongs to nobody: its epoch goes back to 0."""
    stays = 0 if job.status is JobStatus.PENDING else job.epoch
    return (job.status, stays, *_state(job), job.id, job.epoch, was)


def steer_values(job: Job, was: JobStatus) -> tuple[Any, ...]:
    """What :data:`STEER_JOB` needs."""
    metadata = dumps(dict(job.metadata)) if job.metadata else None
    return (
        job.status,
        job.status,
        *_state(job),
        job.priority,
        metadata,
        job.cancel_requested_at,
        job.id,
        was,
        job.attempt,
    )


def batch_from(row: tuple[Any, ...]) -> Batch:
    """A row of :data:`BATCH_COLUMNS` as a record."""
    uid, name, client_ref, config, control, reason, limit, created, started = row[1:]
    return Batch(
        id=row[0],
        uid=uid,
        name=name,
        client_ref=client_ref,
        config=config,
        control=Control(control),
        control_reason=reason,
        max_concurrent=limit,
        created=created,
        started=started,
    )


def job_from(row: tuple[Any, ...], result: str | None = None) -> Job:
    """A row of :data:`JOB_COLUMNS`, and perhaps its result, as a record."""
    handle, error, prepared = row[11:14]
    return Job(
        id=row[0],
        batch_id=row[1],
        index=row[2],
        identity=row[3],
        request=load_request(row[4]),
        metadata=json.loads(row[5]) if row[5] else EMPTY,
        priority=row[6],
        status=JobStatus(row[7]),
        epoch=row[8],
        attempt=row[9],
        retries=row[10],
        handle=load_handle(json.loads(handle)) if handle else None,
        error=load_error(json.loads(error)) if error else None,
        prepared=json.loads(prepared) if prepared else None,
        cost=row[14],
        created=row[15],
        started=row[16],
        completed=row[17],
        not_before=row[18],
        deadline=row[19],
        cancel_requested_at=row[20],
        result=load_result(result) if result else None,
    )


def entry_row(batch_id: int, entry: Entry, seq: int) -> tuple[Any, ...]:
    """A journal line as a row."""
    data = None if entry.data is None else dumps(entry.data)
    return (seq, batch_id, entry.job_id, entry.attempt, entry.kind, entry.at, data)


def entry_from(row: tuple[Any, ...]) -> Entry:
    """A row ``seq, job, attempt, kind, at, data`` as a journal line."""
    seq, job, attempt, kind, at, data = row
    return Entry(kind, at, job, attempt, json.loads(data) if data else None, seq)
