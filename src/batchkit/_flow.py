"""The pipeline: what happens to a job, from its turn to its result. Written once.

A flow awaits nothing but :class:`~batchkit._io.IO`, and can be entered from any stored job: it looks
at the status and takes the next step. So dying is allowed at every await, and running again is the
recovery; nothing here cleans up.

What is stored before what:

* the *intent* (SUBMITTING, attempt n) before the request that may cost money leaves;
* the *handle* before anything else is done with it, in one step that stopping does not interrupt;
* the *result* (COLLECTING) before it is brought to disk, and COMPLETED only once it is there.

After a death, a SUBMITTING job is one whose outcome nobody knows. Free work goes back to PENDING;
paid work is looked for, and held when nobody can vouch for it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from batchkit import _errors as errors
from batchkit._context import WorkCanceledError
from batchkit._events import (
    Event,
    JobCanceled,
    JobCollecting,
    JobCompleted,
    JobExpired,
    JobFailed,
    JobRetrying,
    JobSubmitted,
    JobSubmitting,
    JobUncertain,
)
from batchkit._io import IO
from batchkit._jobs import ErrorKind, Handle, Job, JobError, JobStatus
from batchkit._results import JobResult
from batchkit._retry import FREE_RETRY
from batchkit._verdicts import Proof, Verdict, deadline_error, describe, judge, uncertain_error
from batchkit.clients.base import Accepted, Finished, RemoteState, RemoteStatus

log = logging.getLogger("batchkit.flow")

#: A handle that the provider does not know is believed gone after this many answers...
GONE_AFTER_POLLS = 3
#: ...and this many seconds; some lists lag behind their own submissions.
GONE_AFTER_SECONDS = 120.0
#: Tries to bring a result to disk when nobody says that repeating helps.
COLLECT_TRIES = 5

_S = JobStatus


async def run_job(io: IO, job: Job) -> Job:
    """Takes *job* as far as it goes: to its end, back to PENDING, or to where a person decides."""
    first = True
    while (step := _STEPS.get(job.status)) is not None:
        if job.status is _S.PENDING and not first:
            return job
        before, job, first = job.status, await step(io, job), False
        if job.status is before:
            return job
    return job


# -- PENDING: prepare, intent, submit -------------------------------------------------------


async def _submit(io: IO, job: Job) -> Job:
    found = await io.existing(job)
    if found is not None:
        done = job.to(_S.COLLECTING).to(_S.COMPLETED, result=found, completed=io.now())
        return await io.save(done, JobCompleted, result=True)
    if io.client.prepare is not None:
        try:
            prepared: Mapping[str, object] = await io.call(io.client.prepare, job)
        except Exception as exc:  # noqa: BLE001 - a client may raise anything; judged below
            return await _not_accepted(io, job, judge(exc))
        job = job.evolve(prepared=prepared)
    now = io.now()
    intent = job.to(
        _S.SUBMITTING,
        attempt=job.attempt + 1,
        started=job.started or now,
        deadline=job.deadline or now + io.config.job_timeout,
        not_before=None,
        error=None,
        progress=None,
    )
    job = await io.save(intent, JobSubmitting, power_safe=not io.client.free)
    return await _send(io, job)


async def _send(io: IO, job: Job) -> Job:
    """The request that may cost money, and the record of what came of it, in one step."""
    with io.uncancellable():
        try:
            answer = await io.call(io.client.submit, job, timeout=_call_timeout(io, job))
        except WorkCanceledError:
            return await _end(io, job, _S.CANCELED, JobCanceled)
        except Exception as exc:  # noqa: BLE001 - a client may raise anything; judged below
            return await _submission_failed(io, job, judge(exc))
        if isinstance(answer, Accepted):
            return await _accepted(io, job, answer)
        if isinstance(answer, Finished):
            return await _finished(io, job, answer, answer.cost)
        wrong = JobError(
            kind=ErrorKind.CLIENT,
            message=f"submit returned {type(answer).__name__}, not Accepted or Finished",
            remedy="correct the client; the job may run at the provider",
        )
        return await _submission_failed(io, job, Verdict(Proof.NOTHING, wrong))


def _call_timeout(io: IO, job: Job) -> float:
    """Where the call itself is the work, only the job's own deadline limits it."""
    if io.client.capabilities.sync_result:
        return max(0.001, (job.deadline or 0.0) - io.now())
    return io.config.request_timeout


async def _accepted(io: IO, job: Job, answer: Accepted) -> Job:
    policy, least = io.config.poll, io.client.capabilities.min_poll_seconds
    wait = policy.delay(0, minimum=least, hint=answer.poll_after)
    running = job.to(_S.PROCESSING, handle=answer.handle, not_before=io.now() + wait, error=None)
    return await io.save(running, JobSubmitted, power_safe=True)


async def _finished(io: IO, job: Job, done: Finished, cost: float | None) -> Job:
    spent = job.cost if cost is None else (job.cost or 0.0) + cost
    job = job.to(
        _S.COLLECTING, result=done.result(), cost=spent, error=None, not_before=None, progress=1.0
    )
    if io.must_collect(job):
        return await io.save(job, JobCollecting, power_safe=not io.client.free, result=True)
    job = job.to(_S.COMPLETED, completed=io.now(), result=_kept(job.result))
    return await io.save(
        job, JobCollecting, JobCompleted, power_safe=not io.client.free, result=True
    )


async def _submission_failed(io: IO, job: Job, verdict: Verdict) -> Job:
    proof = verdict.proof
    if verdict.error.kind is ErrorKind.AUTHENTICATION:
        io.pause_batch(verdict.error.message)
        return await io.save(job.to(_S.PENDING, error=verdict.error), JobRetrying)
    if proof is Proof.NOTHING and (io.client.free or io.client.is_function):
        # Free work needs no proof; a function means what it raises.
        proof = Proof.NOT_ACCEPTED
    if proof is not Proof.NOTHING:
        return await _not_accepted(io, job, verdict)
    if job.status is _S.UNCERTAIN:
        return job
    unsure = job.to(_S.UNCERTAIN, error=uncertain_error(verdict.error))
    return await io.save(unsure, JobUncertain, power_safe=True)


async def _not_accepted(io: IO, job: Job, verdict: Verdict) -> Job:
    if verdict.error.kind is ErrorKind.RATE_LIMIT:
        io.cool_down(verdict.retry_after or FREE_RETRY(job.retries, io.uniform))
    return await _retry_or_fail(io, job, verdict.error, verdict.retry_after)


async def _retry_or_fail(
    io: IO, job: Job, error: JobError, retry_after: float | None = None
) -> Job:
    policy = io.config.retry_policy
    wait = policy.delay(error, job.retries, io.uniform, retry_after)
    if wait is None:
        return await _end(io, job, _S.FAILED, JobFailed, error)
    again = {"retries": job.retries + 1, "not_before": io.now() + wait, "error": error}
    if job.status is _S.PENDING:
        return await io.save(job.evolve(**again), JobRetrying)
    return await io.save(job.to(_S.PENDING, handle=None, **again), JobRetrying)


async def _end(
    io: IO, job: Job, status: JobStatus, told: type[Event], error: JobError | None = None
) -> Job:
    ended = job.to(status, completed=io.now(), not_before=None, error=error)
    return await io.save(ended, told)


# -- SUBMITTING after a death, UNCERTAIN: find out ------------------------------------------


async def _reconcile(io: IO, job: Job) -> Job:
    """Finds out what became of a submission; never sends it again without a licence to."""
    if io.client.free:
        return await io.save(job.to(_S.PENDING), JobRetrying)
    handle: Handle | None = await io.evidence(job)
    if handle is not None:
        return await _found(io, job, handle)
    if io.client.find is not None:
        return await _look_up(io, job)
    if io.client.capabilities.idempotency == "replay":
        job = await _replay(io, job)
        if job.status not in (_S.SUBMITTING, _S.UNCERTAIN):
            return job
    return await _decide(io, job)


async def _found(io: IO, job: Job, handle: Handle) -> Job:
    found = job.to(_S.PROCESSING, handle=handle, not_before=None, error=None)
    return await io.save(found, JobSubmitted, power_safe=True)


async def _look_up(io: IO, job: Job) -> Job:
    assert io.client.find is not None
    try:
        handle = await io.call(io.client.find, job, io.submit_key(job))
    except Exception as exc:  # noqa: BLE001 - not knowing is an answer: the job stays as it is
        log.warning(
            "job %d: the look-up of its submission failed: %s", job.id, describe(exc).message
        )
        return await _decide(io, job)
    if handle is not None:
        return await _found(io, job, handle)
    return await io.save(job.to(_S.PENDING, error=None), JobRetrying)


async def _replay(io: IO, job: Job) -> Job:
    """Sends the same submit key again: this provider answers with what it answered first."""
    for tries in range(io.config.max_retries + 1):
        if tries:
            await io.sleep(job, FREE_RETRY(tries, io.uniform))
        job = await _send(io, job)
        if job.status not in (_S.SUBMITTING, _S.UNCERTAIN):
            break
    return job


async def _decide(io: IO, job: Job) -> Job:
    """Nobody knows. What the user said beforehand counts, and holding is the default."""
    choice = io.config.on_uncertain
    error = job.error or uncertain_error(None)
    if choice == "resubmit":
        return await io.save(job.to(_S.PENDING, error=error), JobRetrying)
    if choice == "fail":
        return await _end(io, job, _S.FAILED, JobFailed, error)
    if job.status is _S.UNCERTAIN:
        return job
    return await io.save(job.to(_S.UNCERTAIN, error=error), JobUncertain, power_safe=True)


# -- PROCESSING: poll ------------------------------------------------------------------------


async def _follow(io: IO, job: Job) -> Job:
    """Polls until the provider names an end; a failed query only moves the next one."""
    assert job.handle is not None
    handle = job.handle
    polls = gone = 0
    cancel_sent = False
    wait = (job.not_before or 0.0) - io.now()
    while True:
        if wait > 0:
            await io.sleep(job, wait)
        if io.cancel_requested(job) and not cancel_sent:
            cancel_sent, job = True, await cancel_job(io, job)
            if job.done:
                return job
        if io.now() >= (job.deadline or float("inf")):
            error = deadline_error(io.config.job_timeout)
            return await _end(io, job, _S.FAILED, JobFailed, error)
        polls += 1
        try:
            status = await _poll(io, handle)
        except errors.AuthenticationError as exc:
            # Left as it is: the run that has the right key takes it up again.
            io.pause_batch(str(exc))
            return job
        except Exception as exc:  # noqa: BLE001 - whatever it is, it says nothing about the job
            gone = gone + 1 if isinstance(exc, errors.NotFoundError) else 0
            job, wait = _poll_failed(io, job, exc)
            if _is_gone(io, job, gone):
                return await _end(io, job, _S.FAILED, JobFailed, describe(exc))
            continue
        if status.state not in (RemoteState.QUEUED, RemoteState.RUNNING):
            return await _remote_end(io, job, status)
        gone, job = 0, _seen(io, job, status)
        least = io.client.capabilities.min_poll_seconds
        wait = io.config.poll.delay(polls, minimum=least, hint=status.poll_after)


async def _poll(io: IO, handle: Handle) -> RemoteStatus:
    if io.client.poll is None:
        raise errors.UsageError("submit answered Accepted, but the client has no poll method")
    answer = await io.call(io.client.poll, handle, timeout=io.config.request_timeout)
    if not isinstance(answer, RemoteStatus):
        raise TypeError(f"poll returned {type(answer).__name__}, not RemoteStatus")
    return answer


def _poll_failed(io: IO, job: Job, exc: Exception) -> tuple[Job, float]:
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


def _is_gone(io: IO, job: Job, gone: int) -> bool:
    lasted = io.now() - (job.poll_errors_since or io.now())
    return gone >= GONE_AFTER_POLLS and lasted >= GONE_AFTER_SECONDS


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
    if status.state is RemoteState.SUCCEEDED:
        return await _finished(io, job, status.finished or Finished(), status.cost)
    if status.cost is not None:
        job = job.evolve(cost=(job.cost or 0.0) + status.cost)
    if status.state is RemoteState.CANCELED:
        return await _end(io, job, _S.CANCELED, JobCanceled)
    if status.state is RemoteState.EXPIRED:
        return await _end(io, job, _S.EXPIRED, JobExpired, status.error)
    error = status.error or JobError(kind=ErrorKind.PROVIDER, message="the provider gave no reason")
    return await _retry_or_fail(io, job, error)


async def cancel_job(io: IO, job: Job) -> Job:
    """Asks the provider to end a running job; it is CANCELED only when the provider says so."""
    if io.client.cancel is None:
        log.warning("job %d: this client cannot cancel; the job goes on", job.id)
        return job
    try:
        confirmed = await io.call(io.client.cancel, job.handle, timeout=io.config.request_timeout)
    except Exception as exc:  # noqa: BLE001 - an unconfirmed cancel changes nothing
        log.warning("job %d: cancel failed: %s", job.id, describe(exc).message)
        return job
    if not confirmed:
        return job
    return await _end(io, job, _S.CANCELED, JobCanceled)


# -- COLLECTING: bring the result to disk ----------------------------------------------------


async def _collect(io: IO, job: Job) -> Job:
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
            return await _end(io, job, _S.EXPIRED, JobExpired, describe(exc))
        except Exception as exc:  # noqa: BLE001 - judged by _give_up_collecting
            error = describe(exc)
            if _give_up_collecting(io, job, error, tries):
                failed = JobError(
                    kind=ErrorKind.COLLECT,
                    message=error.message,
                    code=error.code,
                    remedy="retry the failed jobs: only the download is repeated",
                )
                return await _end(io, job, _S.FAILED, JobFailed, failed)
            log.info("job %d: collecting failed, try %d: %s", job.id, tries, error.message)
        await io.sleep(job, FREE_RETRY(tries, io.uniform))
    done = job.to(_S.COMPLETED, completed=io.now(), error=None, result=_kept(job.result))
    return await io.save(done, JobCompleted, result=True)


def _give_up_collecting(io: IO, job: Job, error: JobError, tries: int) -> bool:
    if io.now() >= (job.deadline or float("inf")):
        return True
    if error.kind is ErrorKind.CLIENT:
        return tries >= COLLECT_TRIES
    return not error.retryable


def _kept(result: JobResult | None) -> JobResult | None:
    """What stays of a result once it is collected: no URL, which may be signed."""
    if result is None or not result.outputs:
        return result
    return JobResult(
        artifacts=result.artifacts,
        text=result.text,
        transcript=result.transcript,
        value=result.value,
        raw=result.raw,
    )


_STEPS: Mapping[JobStatus, Callable[[IO, Job], Awaitable[Job]]] = {
    _S.PENDING: _submit,
    _S.SUBMITTING: _reconcile,
    _S.UNCERTAIN: _reconcile,
    _S.PROCESSING: _follow,
    _S.COLLECTING: _collect,
}
