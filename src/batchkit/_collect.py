"""COLLECTING: brings a result, which is paid for, to disk. Free, so repeated until the deadline."""

from __future__ import annotations

import logging

from batchkit import _errors as errors
from batchkit._events import JobCompleted, JobExpired, JobFailed
from batchkit._io import IO
from batchkit._jobs import ErrorKind, Job, JobError, JobStatus
from batchkit._outcomes import end, kept
from batchkit._retry import FREE_RETRY
from batchkit._verdicts import describe

log = logging.getLogger("batchkit.flow")

#: Tries to bring a result to disk when nobody says that repeating helps.
COLLECT_TRIES = 5

_S = JobStatus


async def collect(io: IO, job: Job) -> Job:
    """Brings the result to disk; free, so repeated until the deadline."""
    tries = 0
    while True:
        tries += 1
        try:
            job = await io.collect(job)
            break
        except errors.StorageError:
            # The disk, not the job: the run ends, the job stays as it is.
            raise
        except errors.ResultExpiredError as exc:
            return await end(io, job, _S.EXPIRED, JobExpired, describe(exc))
        except Exception as exc:  # noqa: BLE001 - judged by _give_up_collecting
            error = describe(exc)
            if _give_up_collecting(io, job, error, tries):
                failed = JobError(
                    kind=ErrorKind.COLLECT,
                    message=error.message,
                    code=error.code,
                    remedy="retry the failed jobs: only the download is repeated",
                )
                return await end(io, job, _S.FAILED, JobFailed, failed)
            log.info("job %d: collecting failed, try %d: %s", job.id, tries, error.message)
        await io.sleep(job, FREE_RETRY(tries, io.uniform))
    assert job.result is not None
    # What was delivered nowhere stays in the record, for whoever reads it there.
    result = kept(job.result) if io.delivers else job.result
    done = job.to(_S.COMPLETED, completed=io.now(), error=None, result=result)
    return await io.save(done, JobCompleted, result=True)


def _give_up_collecting(io: IO, job: Job, error: JobError, tries: int) -> bool:
    if io.now() >= (job.deadline or float("inf")):
        return True
    if error.kind is ErrorKind.CLIENT:
        return tries >= COLLECT_TRIES
    return not error.retryable
