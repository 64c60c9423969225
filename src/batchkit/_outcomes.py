"""How an attempt ends: a result, another try, or an end. Shared by every step of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchkit._events import Event, JobCollecting, JobCompleted, JobFailed, JobRetrying
from batchkit._io import IO
from batchkit._jobs import Job, JobError, JobStatus
from batchkit._results import EMPTY, JobResult
from batchkit.clients.base import Finished

_S = JobStatus


async def finished(io: IO, job: Job, done: Finished, cost: float | None) -> Job:
    spent = job.cost if cost is None else (job.cost or 0.0) + cost
    job = job.to(
        _S.COLLECTING,
        result=dated(io, done.result()),
        cost=spent,
        error=None,
        not_before=None,
        progress=1.0,
    )
    if io.must_collect(job):
        return await io.save(job, JobCollecting, power_safe=not io.client.free, result=True)
    # Nobody asked for files: the outputs stay in the record, for whoever reads them there.
    job = job.to(_S.COMPLETED, completed=io.now())
    return await io.save(
        job, JobCollecting, JobCompleted, power_safe=not io.client.free, result=True
    )


def dated(io: IO, result: JobResult) -> JobResult:
    """*result*, of whose outputs it is known when the provider deletes them, as far as it tells."""
    keeps = io.client.capabilities.result_ttl_seconds
    if keeps is None:
        return result
    # Counted from when we heard of it, as providers do not tell when a job ended.
    until = io.now() + keeps
    outputs = (
        attrs.evolve(out, expires=until) if out.expires is None and (out.url or out.ref) else out
        for out in result.outputs
    )
    return attrs.evolve(result, outputs=tuple(outputs))


async def retry_or_fail(
    io: IO,
    job: Job,
    error: JobError,
    retry_after: float | None = None,
    *,
    told: type[Event] = JobRetrying,
    facts: Mapping[str, Any] = EMPTY,
) -> Job:
    policy = io.config.retry_policy
    wait = policy.delay(error, job.retries, io.uniform, retry_after)
    over = job.status is not _S.PENDING and io.now() >= (job.deadline or float("inf"))
    if wait is None or over or io.cancel_requested(job):
        return await end(io, job, _S.FAILED, JobFailed, error)
    again = {"retries": job.retries + 1, "not_before": io.now() + wait, "error": error}
    if job.status is _S.PENDING:
        return await io.save(job.evolve(**again), told, facts=facts)
    return await io.save(job.to(_S.PENDING, handle=None, **again), told, facts=facts)


async def end(
    io: IO, job: Job, status: JobStatus, told: type[Event], error: JobError | None = None
) -> Job:
    ended = job.to(status, completed=io.now(), not_before=None, error=error)
    return await io.save(ended, told)


def kept(result: JobResult) -> JobResult:
    """What stays of a result once it is collected: no URL, which may be signed."""
    return JobResult(
        artifacts=result.artifacts,
        text=result.text,
        transcript=result.transcript,
        value=result.value,
        raw=result.raw,
    )
