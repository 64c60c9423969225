"""PROCESSING: polls until the provider names an end. A failed query only moves the next one."""

from __future__ import annotations

import logging

import attrs

from batchkit import _errors as errors
from batchkit._events import JobCanceled, JobExpired, JobFailed
from batchkit._io import IO
from batchkit._jobs import ErrorKind, Handle, Job, JobError, JobStatus
from batchkit._outcomes import end, finished, retry_or_fail
from batchkit._retry import FREE_RETRY
from batchkit._verdicts import deadline_error, describe, understood, with_remedy
from batchkit.clients.base import Finished, RemoteState, RemoteStatus

log = logging.getLogger("batchkit.flow")

#: "Succeeded" without a result is believed when it was said so often; some say it too early.
EMPTY_ANSWERS = 3
#: A handle that the provider does not know is believed gone after this many answers...
GONE_AFTER_POLLS = 3
#: ...and this many seconds; some lists lag behind their own submissions.
GONE_AFTER_SECONDS = 120.0

_S = JobStatus
#: Of a job that was resolved with a handle, or began under another client.
_NOBODY_ASKS = JobError(
    kind=ErrorKind.CLIENT,
    message="this client has no poll method, so it cannot ask the provider for the job",
    remedy="run the batch with a client that can poll, and reattach the job: its handle is kept",
)


_NOTHING_CAME = JobError(
    kind=ErrorKind.PROVIDER,
    message="the provider says that the job succeeded, and names no result",
    code="empty_output",
    remedy="look at the provider; reattach the job when the result is there: nothing is paid again",
)


async def follow(io: IO, job: Job) -> Job:
    """Polls until the provider names an end; a failed query only moves the next one."""
    assert job.handle is not None
    if io.client.poll is None:
        return await end(io, job, _S.FAILED, JobFailed, _NOBODY_ASKS)
    handle, gone = job.handle, _Gone()
    polls = empty = 0
    cancel_sent = False
    wait = (job.not_before or 0.0) - io.now()
    least = minimum = io.client.capabilities.min_poll_seconds
    while True:
        await io.until_poll(job, wait, least)
        least = minimum
        if io.cancel_requested(job) and not cancel_sent:
            cancel_sent, job = await cancel_job(io, job)
            if job.done:
                return job
        polls += 1
        try:
            status = await query(io, handle)
        except errors.AuthenticationError as exc:
            # Left as it is: the run that has the right key takes it up again.
            io.pause_batch(str(exc))
            return job
        except Exception as exc:  # noqa: BLE001 - whatever it is, it says nothing about the job
            job, wait = _poll_failed(io, job, exc)
            least = wait
            if gone.after(exc, io.now()):
                return await end(io, job, _S.FAILED, JobFailed, describe(exc))
        else:
            gone = _Gone()
            empty += _is_empty(io, status)
            if _is_empty(io, status) and empty < EMPTY_ANSWERS:
                job, wait = _poll_failed(io, job, errors.ClientError("it ended without a result"))
                least = wait
            elif status.state not in (RemoteState.QUEUED, RemoteState.RUNNING):
                return await _remote_end(io, job, status)
            else:
                job = _seen(io, job, status)
                wait = io.config.poll.delay(polls, minimum=minimum, hint=status.poll_after)
        # After the query: what ended while nobody looked is collected, however late.
        if io.now() >= (job.deadline or float("inf")):
            error = deadline_error(io.config.job_timeout)
            return await end(io, job, _S.FAILED, JobFailed, error)


def _is_empty(io: IO, status: RemoteStatus) -> bool:
    """Whether a job succeeded and has nothing to deliver, though files were asked for."""
    if status.state is not RemoteState.SUCCEEDED or not io.delivers:
        return False
    done = status.finished
    return done is None or (
        not done.outputs and done.text is None and done.transcript is None and done.value is None
    )


@attrs.define
class _Gone:
    """How long a provider has been saying, without another answer, that it knows no such job."""

    answers: int = 0
    since: float = 0.0

    def after(self, exc: Exception, now: float) -> bool:
        """Notes one more failed query; whether the job is to be believed gone."""
        if not isinstance(exc, errors.NotFoundError):
            self.answers = 0
            return False
        if self.answers == 0:
            self.since = now
        self.answers += 1
        return self.answers >= GONE_AFTER_POLLS and now - self.since >= GONE_AFTER_SECONDS


async def query(io: IO, handle: Handle) -> RemoteStatus:
    """One status query; whatever it raises is in our own terms."""
    assert io.client.poll is not None
    try:
        answer = await io.call(io.client.poll, handle, timeout=io.config.request_timeout)
    except Exception as exc:  # noqa: BLE001 - judged by the caller, in our own terms
        raise understood(exc, io.now()) from None
    if not isinstance(answer, RemoteStatus):
        raise TypeError(f"poll returned {type(answer).__name__}, not RemoteStatus")
    return answer


def _poll_failed(io: IO, job: Job, exc: Exception) -> tuple[Job, float]:
    """Notes a failed query; the job, and seconds until the next one, that no webhook shortens."""
    errors_in_row = job.poll_errors + 1
    since = job.poll_errors_since or io.now()
    job = job.evolve(poll_errors=errors_in_row, poll_errors_since=since)
    io.watch(job)
    log.info(
        "job %d: status query failed (%d in a row): %s", job.id, errors_in_row, type(exc).__name__
    )
    asked = exc.retry_after if isinstance(exc, errors.ClientError) else None
    wait = io.config.poll.delay(
        errors_in_row, minimum=max(io.client.capabilities.min_poll_seconds, asked or 0.0)
    )
    return job, max(wait, FREE_RETRY(errors_in_row - 1, io.uniform))


def _seen(io: IO, job: Job, status: RemoteStatus) -> Job:
    """Notes a good answer; progress never goes back, whatever the provider says."""
    progress = job.progress
    if status.progress is not None:
        progress = max(min(1.0, status.progress), job.progress or 0.0)
    if progress != job.progress or job.poll_errors:
        job = job.evolve(progress=progress, poll_errors=0, poll_errors_since=None)
        io.watch(job)
    return job


async def _remote_end(io: IO, job: Job, status: RemoteStatus) -> Job:
    job = job.evolve(poll_errors=0, poll_errors_since=None)
    if _is_empty(io, status):
        if status.cost is not None:
            job = job.evolve(cost=(job.cost or 0.0) + status.cost)
        return await end(io, job, _S.FAILED, JobFailed, _NOTHING_CAME)
    if status.state is RemoteState.SUCCEEDED:
        return await finished(io, job, status.finished or Finished(), status.cost)
    if status.cost is not None:
        job = job.evolve(cost=(job.cost or 0.0) + status.cost)
    if status.state is RemoteState.CANCELED:
        return await end(io, job, _S.CANCELED, JobCanceled)
    if status.state is RemoteState.EXPIRED:
        return await end(io, job, _S.EXPIRED, JobExpired, status.error)
    error = status.error or JobError(kind=ErrorKind.PROVIDER, message="the provider gave no reason")
    return await retry_or_fail(io, job, with_remedy(error))


async def cancel_job(io: IO, job: Job) -> tuple[bool, Job]:
    """Asks the provider to end a running job; it is CANCELED only when the provider says so.

    Returns:
        whether the provider has answered, and the job.
    """
    if io.client.cancel is None:
        log.warning("job %d: this client cannot cancel; the job goes on", job.id)
        return True, job
    try:
        confirmed = await io.call(io.client.cancel, job.handle, timeout=io.config.request_timeout)
    except Exception as exc:  # noqa: BLE001 - an unconfirmed cancel changes nothing
        log.warning("job %d: cancel failed: %s", job.id, describe(exc).message)
        return False, job
    if not confirmed:
        return True, job
    return True, await end(io, job, _S.CANCELED, JobCanceled)
