"""COLLECTING: brings a result, which is paid for, to disk. Free, so repeated until the deadline."""

from __future__ import annotations

import logging

import attrs

from batchkit import _errors as errors
from batchkit._events import JobCompleted, JobExpired, JobFailed
from batchkit._io import IO
from batchkit._jobs import ErrorKind, Job, JobError, JobStatus
from batchkit._outcomes import end, kept
from batchkit._renewal import Refusals, has_expired, is_refusal, renewed
from batchkit._retry import FREE_RETRY
from batchkit._verdicts import describe, understood

log = logging.getLogger("batchkit.flow")

#: Tries to bring a result to disk when nobody says that repeating helps, and after the deadline.
COLLECT_TRIES = 5
#: The code of what came and was not what was declared; it is fetched again, but not for hours.
INCOMPLETE = "incomplete"

_S = JobStatus


async def collect(io: IO, job: Job) -> Job:
    """Brings the outputs to disk, one after the other; each is recorded once it is there."""
    if job.result is not None and job.result.collected and io.must_collect(job):
        job = await io.recollect(job)
    trouble = _Trouble()
    while io.must_collect(job):
        try:
            job = await io.collect(job)
        except errors.StorageError:
            # The disk, not the job: the run ends, the job stays as it is.
            raise
        except Exception as exc:  # noqa: BLE001 - judged by _failed
            job, wait = await _failed(io, job, _in_our_terms(exc, io.now()), trouble)
            if wait is None:
                return job
            await io.sleep(job, wait)
        else:
            trouble = _Trouble()
            if io.must_collect(job):
                job = await io.save(job, result=True)
    assert job.result is not None
    # Without a place for files, the addresses stay for whoever reads them.
    result = kept(job.result) if io.delivers else job.result
    done = job.to(_S.COMPLETED, completed=io.now(), error=None, result=result)
    return await io.save(done, JobCompleted, result=True)


@attrs.define
class _Trouble:
    """What has gone wrong with the output that is being collected."""

    tries: int = 0
    refusals: Refusals = attrs.field(factory=Refusals)


def _in_our_terms(exc: Exception, now: float) -> Exception:
    """An HTTP answer that a client let through, as the error that it means here.

    A server of files that answers 401 or 403 refuses a signed URL; that the key is wrong is for the
    client to say.
    """
    meant = understood(exc, now)
    if meant is not exc and isinstance(meant, errors.AuthenticationError):
        return errors.ClientError(str(meant), code=meant.code)
    return meant


async def _failed(io: IO, job: Job, exc: Exception, trouble: _Trouble) -> tuple[Job, float | None]:
    """What becomes of a try that failed: the job, and the wait before the next try, if any."""
    trouble.tries += 1
    error = describe(exc)
    log.info("job %d: collecting failed, try %d: %s", job.id, trouble.tries, error.message)
    if isinstance(exc, errors.AuthenticationError):
        # Left as it is: the run that has the right key takes it up again.
        io.pause_batch(error.message)
        return job, None
    wait = FREE_RETRY(trouble.tries, io.uniform)
    if isinstance(exc, errors.ClientError):
        wait = max(wait, exc.retry_after or 0.0)
    if is_refusal(exc):
        return await _refused(io, job, exc, trouble, wait)
    if _is_hopeless(io, job, error, trouble.tries):
        return await _give_up(io, job, error), None
    return job, wait


async def _refused(
    io: IO, job: Job, exc: Exception, trouble: _Trouble, wait: float
) -> tuple[Job, float | None]:
    """The result is not handed out: its address may have expired, or the result itself."""
    error, refusals = describe(exc), trouble.refusals
    refusals.note(io.now())
    try:
        fresh = await renewed(io, job, refusals)
    except errors.AuthenticationError as wrong:
        io.pause_batch(str(wrong))
        return job, None
    except errors.ResultExpiredError:
        return await _expire(io, job, error), None
    if fresh is not None:
        return await io.save(fresh, result=True), wait
    if refusals.asks_in_vain(io.client, job) and refusals.is_final(exc, io.now()):
        if has_expired(job, exc, io.now()):
            return await _expire(io, job, error), None
        return await _give_up(io, job, error), None
    if _is_late(io, job, trouble.tries):
        return await _give_up(io, job, error), None
    return job, wait


def _is_hopeless(io: IO, job: Job, error: JobError, tries: int) -> bool:
    if _is_late(io, job, tries):
        return True
    if error.kind is ErrorKind.CLIENT or error.code == INCOMPLETE:
        return tries >= COLLECT_TRIES
    return not error.retryable


def _is_late(io: IO, job: Job, tries: int) -> bool:
    # What ended while nobody looked is collected after its deadline, and not given up at once.
    return io.now() >= (job.deadline or float("inf")) and tries >= COLLECT_TRIES


async def _give_up(io: IO, job: Job, error: JobError) -> Job:
    failed = JobError(
        kind=ErrorKind.COLLECT,
        message=error.message,
        code=error.code,
        remedy="retry the failed jobs: only the download is repeated",
    )
    return await end(io, job, _S.FAILED, JobFailed, failed)


async def _expire(io: IO, job: Job, error: JobError) -> Job:
    """It is gone: what was kept to be gone on with goes too, and so do its addresses."""
    assert job.result is not None
    await io.discard(job)
    gone = errors.ResultExpiredError(error.message, code=error.code)
    expired = job.to(
        _S.EXPIRED,
        completed=io.now(),
        not_before=None,
        error=describe(gone),
        result=kept(job.result),
    )
    return await io.save(expired, JobExpired, result=True)
