"""Records as JSON, for programs. Names and values are those of the library, in English."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import click

from batchkit._config import Batch
from batchkit._doubt import Doubt
from batchkit._events import Event, JobEvent
from batchkit._jobs import Attempt, Job
from batchkit._runner import BatchRunner
from batchkit._summary import Summary


def summary_record(summary: Summary, runner: BatchRunner) -> dict[str, Any]:
    """A summary as JSON values."""
    progress = summary.progress
    return {
        "batch": summary.batch,
        "ok": summary.ok,
        "exit_code": int(summary.exit_code),
        "total": progress.total,
        "completed": progress.completed,
        "failed": progress.failed,
        "failed_earlier": summary.earlier,
        "held": progress.held,
        "counts": {str(status): count for status, count in summary.counts.items()},
        "failures": [attrs.asdict(cause) for cause in summary.failures],
        "elapsed": round(progress.elapsed, 3),
        "cost": progress.cost,
        "stopped": summary.stopped,
        "paused": summary.paused,
        "client": runner.batch.client_ref,
        "output": runner.config.output,
        "storage": summary.location,
    }


def job_record(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    result = job.result
    return {
        "id": job.id,
        "index": job.index,
        "status": str(job.status),
        "title": job.title,
        "kind": job.request.kind,
        "source": getattr(job.request, "source", None),
        "prompt": getattr(job.request, "prompt", None),
        "attempt": job.attempt,
        "error": None if job.error is None else attrs.asdict(job.error),
        "cost": job.cost,
        "seconds": job.seconds,
        "text": None if result is None else result.text,
        "files": [] if result is None else [str(file.path) for file in result.artifacts],
        "metadata": dict(job.metadata),
    }


def batch_record(batch: Batch, counts: dict[str, int]) -> dict[str, Any]:
    """A batch as JSON values."""
    return {
        "name": batch.name,
        "client": batch.client_ref,
        "control": str(batch.control),
        "counts": counts,
        "created": batch.created,
        "started": batch.started,
    }


def event_record(event: Event) -> dict[str, Any]:
    """A line of the journal as JSON values."""
    job = event.job if isinstance(event, JobEvent) else None
    return {
        "seq": event.seq,
        "at": event.at,
        "event": event.kind,
        "job": None if job is None else job.id,
        "title": None if job is None else job.title,
        "data": dict(event.data),
    }


def doubt_record(doubt: Doubt, attempts: Mapping[int, Attempt | None]) -> dict[str, Any]:
    """Uncertain submissions of one cause as JSON values.

    Args:
        doubt: the cause and its jobs.
        attempts: the last submission of each job, by its number.
    """
    return {
        "cause": doubt.cause,
        "message": doubt.message,
        "count": len(doubt.jobs),
        "jobs": [_submission(job, attempts[job.id]) for job in doubt.jobs],
    }


def _submission(job: Job, attempt: Attempt | None) -> dict[str, Any]:
    handle = job.handle or (attempt.handle if attempt is not None else None)
    return {
        "id": job.id,
        "index": job.index,
        "title": job.title,
        "attempt": job.attempt,
        "submit_key": None if attempt is None else attempt.submit_key,
        "submitted": None if attempt is None else attempt.started,
        "handle": None if handle is None else handle.id,
    }


def print_record(record: object) -> None:
    """Prints one value."""
    click.echo(json.dumps(record, ensure_ascii=False, indent=2, default=str))


def print_records(records: Iterable[dict[str, Any]]) -> None:
    """Prints a JSON array, one value per line, without holding all of them."""
    click.echo("[", nl=False)
    separator = "\n"
    for record in records:
        click.echo(separator + json.dumps(record, ensure_ascii=False, default=str), nl=False)
        separator = ",\n"
    click.echo("\n]" if separator != "\n" else "]")
