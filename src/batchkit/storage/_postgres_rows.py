"""How records become what PostgreSQL takes.

Rows travel as one JSON text each way in: several times faster than arrays of the driver. Whatever
is JSON itself stays ``text`` in the tables, because ``jsonb`` would change numbers, order and
surrogates.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchkit._codec import dump_result, dumps, plain_error, plain_handle
from batchkit._config import Batch
from batchkit._jobs import Job, JobStatus
from batchkit.storage import _sqlite_rows as rows
from batchkit.storage.base import Change, Entry, Failures, NewJob

#: A text longer than this many bytes does not fit into an index.
_LONGEST_KEY = 1000
#: Stands before what PostgreSQL's texts cannot hold; Unicode leaves it to programs.
_MARK = "\ue000"
_STRANGE = re.compile(f"[\x00\ud800-\udfff{_MARK}]")
_MARKED = re.compile(f"{_MARK}([0-9a-f]{{4}})")
_FAILED = frozenset({JobStatus.FAILED, JobStatus.EXPIRED})


def plain(text: str) -> str:
    """A text without NUL and halves of surrogate pairs, from which :func:`original` makes it."""
    if not _STRANGE.search(text):
        return text
    return _STRANGE.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def original(text: str) -> str:
    """The text that :func:`plain` was given."""
    if _MARK not in text:
        return text
    return _MARKED.sub(lambda found: chr(int(found[1], 16)), text)


def key_of(identity: str) -> tuple[str, str | None]:
    """What the index holds of an identity, and the identity itself where that is too long."""
    text = plain(identity)
    encoded = text.encode()
    if len(encoded) <= _LONGEST_KEY:
        return text, None
    return f"{_MARK}sha256:{hashlib.sha256(encoded).hexdigest()}", text


def table(items: Iterable[Mapping[str, Any]]) -> str:
    """Rows for ``json_to_recordset``; what is ``None`` is left out."""
    found = [{name: value for name, value in item.items() if value is not None} for item in items]
    try:
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        # JSON has no such numbers; PostgreSQL reads them as texts.
        finite = [{name: _finite(value) for name, value in item.items()} for item in found]
        return json.dumps(finite, ensure_ascii=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _state(job: Job) -> dict[str, Any]:
    handle, error, prepared = job.handle, job.error, job.prepared
    return {
        "id": job.id,
        "status": job.status,
        "attempt": job.attempt,
        "retries": job.retries,
        "handle": None if handle is None else dumps(plain_handle(handle)),
        "error": None if error is None else dumps(plain_error(error)),
        "prepared": None if prepared is None else dumps(dict(prepared)),
        "cost": job.cost,
        "started": job.started,
        "completed": job.completed,
        "not_before": job.not_before,
        "deadline": job.deadline,
        "cause": _cause(job),
    }


def _cause(job: Job) -> str | None:
    """Equal for failures of one cause: one kind and code, whatever else each message says."""
    if job.status not in _FAILED:
        return None
    error = job.error
    named = (error.kind, error.code or error.message) if error else (job.status, "")
    return hashlib.sha256(dumps(named).encode()).hexdigest()[:32]


def change_row(change: Change, position: int) -> dict[str, Any]:
    """A runner's change as a row. A pending job belongs to nobody: its epoch goes back to 0."""
    job = change.job
    result = dump_result(job.result) if change.result and job.result else None
    stays = 0 if job.status is JobStatus.PENDING else job.epoch
    return _state(job) | {"n": position, "epoch": job.epoch, "stays": stays, "result": result}


def turns(changes: Sequence[Change]) -> list[list[dict[str, Any]]]:
    """All changes as rows; a second change of a job comes in a second turn."""
    found: list[list[dict[str, Any]]] = []
    seen: dict[int, int] = {}
    for position, change in enumerate(changes):
        turn = seen[change.job.id] = seen.get(change.job.id, -1) + 1
        if turn == len(found):
            found.append([])
        found[turn].append(change_row(change, position))
    return found


def steer_row(job: Job, was: JobStatus) -> dict[str, Any]:
    """A person's change as a row."""
    return _state(job) | {
        "was": was,
        "priority": job.priority,
        "metadata": dumps(dict(job.metadata)) if job.metadata else None,
        "cancel_requested_at": job.cancel_requested_at,
    }


def new_rows(items: Sequence[NewJob]) -> tuple[list[str], list[dict[str, Any]]]:
    """The key of each item, and a row for each key."""
    keys: list[str] = []
    made: dict[str, dict[str, Any]] = {}
    for item in items:
        key, long_identity = key_of(item.identity)
        keys.append(key)
        if key not in made:
            made[key] = {
                "n": len(made),
                "identity": key,
                "long_identity": long_identity,
                "request": item.stored,
                "metadata": dumps(dict(item.metadata)) if item.metadata else None,
                "priority": item.priority,
            }
    return keys, list(made.values())


def lines(batch_id: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """What a statement needs that writes journal lines."""
    found = [
        {
            "n": position,
            "job": entry.job_id,
            "attempt": entry.attempt,
            "kind": plain(entry.kind),
            "at": entry.at,
            "data": None if entry.data is None else dumps(entry.data),
        }
        for position, entry in enumerate(entries)
    ]
    return {"batch": batch_id, "lines": len(found), "entries": table(found)}


def job_from(row: tuple[Any, ...], result: str | None = None) -> Job:
    """A row of ``JOB_COLUMNS``, and perhaps its result, as a record."""
    if _MARK in row[3]:
        row = (*row[:3], original(row[3]), *row[4:])
    return rows.job_from(row, result)


def batch_from(row: tuple[Any, ...]) -> Batch:
    """A row of ``BATCH_COLUMNS`` as a record."""
    texts = (original(value) if isinstance(value, str) else value for value in row)
    return rows.batch_from(tuple(texts))


def entry_from(row: tuple[Any, ...]) -> Entry:
    """A row ``seq, job, attempt, kind, at, data`` as a journal line."""
    return rows.entry_from(row)


def failures_from(status: str, error: str | None, count: int, example: int) -> Failures:
    """The status and error of the first job of a cause, and how many there are."""
    told = json.loads(error) if error else {}
    return Failures(
        told.get("kind", status), told.get("message", ""), told.get("remedy"), count, example
    )
