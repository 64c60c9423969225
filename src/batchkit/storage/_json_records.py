"""Batches, jobs and journal lines as the JSON values that a session file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from batchkit._codec import (
    load_error,
    load_handle,
    plain_error,
    plain_handle,
    plain_result,
    result_from,
)
from batchkit._config import Batch, Control
from batchkit._jobs import Job, JobStatus
from batchkit._requests import Request, request_from
from batchkit._results import EMPTY
from batchkit.storage.base import Entry

#: A runner's memory of its own, and what every record of a job names in another way.
_LEFT_OUT = frozenset({
    "id", "batch_id", "request", "progress", "poll_errors", "poll_errors_since", "submit_key",
})  # fmt: skip
_FIELDS = tuple(field.name for field in attrs.fields(Job) if field.name not in _LEFT_OUT)
_BATCH_FIELDS = tuple(field.name for field in attrs.fields(Batch))
#: A new job is written as its difference to this one.
_BLANK: Mapping[str, Any] = Job(id=0, batch_id=0, index=-1, identity="", request=Request()).__dict__

_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "handle": plain_handle,
    "error": plain_error,
    "result": plain_result,
    "metadata": dict,
    "prepared": dict,
}
_LOAD: Mapping[str, Callable[[Any], Any]] = {
    "status": JobStatus,
    "handle": load_handle,
    "error": load_error,
    "result": result_from,
    "metadata": lambda value: value or EMPTY,
}


class UnknownFieldError(Exception):
    """A record says more than this version understands."""


def fields_of(job: Job, before: Job | None = None) -> dict[str, Any]:
    """What differs from the record *before*; for a new job, from one that says nothing."""
    old, now = (_BLANK if before is None else before.__dict__), job.__dict__
    return {name: _plain(name, now[name]) for name in _FIELDS if now[name] is not old[name]}


def _plain(name: str, value: Any) -> Any:
    convert = _PLAIN.get(name)
    return value if convert is None or value is None else convert(value)


def load_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The values that :func:`fields_of` wrote.

    Raises:
        UnknownFieldError: one of them is unknown here.
    """
    found = {}
    for name, value in record.items():
        if name not in _BLANK:
            raise UnknownFieldError(f"a job has {name!r}")
        convert = _LOAD.get(name)
        found[name] = value if convert is None or value is None else convert(value)
    return found


def new_job(job_id: int, batch_id: int, request: Any, record: Mapping[str, Any]) -> Job:
    """The job of a record, with its request as ``[kind, fields]``."""
    return Job(id=job_id, batch_id=batch_id, request=request_from(*request), **load_fields(record))


def plain_batch(batch: Batch) -> dict[str, Any]:
    """The record of a batch as JSON values."""
    return {name: getattr(batch, name) for name in _BATCH_FIELDS}


def load_batch(record: Mapping[str, Any]) -> Batch:
    """The record that :func:`plain_batch` wrote.

    Raises:
        UnknownFieldError: a field is unknown here.
    """
    if unknown := sorted(record.keys() - set(_BATCH_FIELDS)):
        raise UnknownFieldError(f"a batch has {unknown[0]!r}")
    return Batch(**{**record, "control": Control(record["control"])})


def plain_entry(batch_id: int, entry: Entry) -> dict[str, Any]:
    """A journal line as JSON values; its number follows from its place."""
    record: dict[str, Any] = {"batch": batch_id, "kind": entry.kind, "at": entry.at}
    if entry.job_id:
        record |= {"job": entry.job_id, "attempt": entry.attempt}
    if entry.data is not None:
        record["data"] = dict(entry.data)
    return record


def load_entry(record: Mapping[str, Any]) -> Entry:
    """The line that :func:`plain_entry` wrote."""
    job_id, attempt = record.get("job", 0), record.get("attempt", 0)
    return Entry(record["kind"], record["at"], job_id, attempt, record.get("data"))
