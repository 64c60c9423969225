"""The pipeline: what happens to a job, from its turn to its result. Written once.

A flow awaits nothing but :class:`~batchkit._io.IO`, and can be entered from any stored job: it
looks at the status and takes the next step. So dying is allowed at every await, and running again
is the recovery; nothing here cleans up.

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

import attrs

from batchkit._collect import collect
from batchkit._context import WorkCanceledError
from batchkit._events import (
    JobCanceled,
    JobCompleted,
    JobFailed,
    JobResubmitted,
    JobRetrying,
    JobSubmitted,
    JobSubmitting,
    JobUncertain,
)
from batchkit._follow import follow
from batchkit._io import IO
from batchkit._jobs import ErrorKind, Handle, Job, JobError, JobStatus
from batchkit._outcomes import end, finished, retry_or_fail
from batchkit._retry import FREE_RETRY
from batchkit._verdicts import Proof, Verdict, describe, judge, judge_free, uncertain_error
from batchkit.clients.base import Accepted, Finished

log = logging.getLogger("batchkit.flow")

_S = JobStatus
#: Faults of the account: every other job would meet them too.
_PAUSING = (ErrorKind.AUTHENTICATION, ErrorKind.QUOTA)


async def run_job(io: IO, job: Job) -> Job:
    """Takes *job* as far as it goes: to its end, back to PENDING, or to where a person decides."""
    first = True
    while (step := _STEPS.get(job.status)) is not None:
        if job.status is _S.PENDING and not first:
            return job
        before, job, first = job.status, await step(io, job), False
        if job.status is before or io.leaving:
            return job
    return job


async def take(io: IO, job: Job, done: Finished) -> Job:
    """Goes on with a result that came after its submission had been given up."""
    job = await finished(io, job, done, done.cost)
    return await run_job(io, job)


# -- PENDING: prepare, intent, submit -------------------------------------------------------


async def _submit(io: IO, job: Job) -> Job:
    if job.cancel_requested_at is not None:
        return await end(io, job, _S.CANCELED, JobCanceled)
    found = await io.existing(job) if io.delivers else None
    if found is not None:
        done = job.to(_S.COLLECTING).to(_S.COMPLETED, result=found, completed=io.now())
        return await io.save(done, JobCompleted, result=True)
    if io.client.prepare is not None:
        try:
            prepared: Mapping[str, object] = await io.call(
                io.client.prepare, job, timeout=io.config.request_timeout
            )
        except Exception as exc:  # noqa: BLE001 - a client may raise anything; judged below
            return await _not_accepted(io, job, judge_free(exc, io.now()))
        job = job.evolve(prepared=prepared)
    now = io.now()
    intent = job.to(
        _S.SUBMITTING,
        attempt=job.attempt + 1,
        submit_key=io.submit_key(job, job.attempt + 1),
        started=job.started or now,
        deadline=now + io.config.job_timeout,
        not_before=None,
        error=None,
        progress=None,
    )
    with io.uncancellable():
        job = await io.save(intent, JobSubmitting, power_safe=not io.client.free)
        if io.leaving:
            return await io.save(job.to(_S.PENDING), JobRetrying)
        return await _send(io, job)


async def _send(io: IO, job: Job, *, replay: bool = False) -> Job:
    """The request that may cost money, and the record of what came of it, in one step."""
    with io.uncancellable():
        try:
            answer = await io.call(io.client.submit, job, timeout=_call_timeout(io, job))
        except WorkCanceledError:
            return await end(io, job, _S.CANCELED, JobCanceled)
        except Exception as exc:  # noqa: BLE001 - a client may raise anything; judged below
            verdict = _judge(io, exc)
            if replay:
                # It says nothing about the first submission of this attempt.
                return await _replay_failed(io, job, verdict)
            return await _submission_failed(io, job, verdict)
        io.got_through()
        if isinstance(answer, Accepted) and io.client.poll is None:
            wrong = JobError(
                kind=ErrorKind.CLIENT,
                message="submit answered Accepted, but the client has no poll method",
                remedy="give the client poll(handle), then resolve the job with its handle",
            )
            unsure = job.to(_S.UNCERTAIN, handle=answer.handle, error=uncertain_error(wrong))
            return await io.save(unsure, JobSubmitted, JobUncertain, power_safe=True)
        if isinstance(answer, Accepted):
            return await _accepted(io, job, answer)
        if isinstance(answer, Finished):
            return await finished(io, job, answer, answer.cost)
        wrong = JobError(
            kind=ErrorKind.CLIENT,
            message=f"submit returned {type(answer).__name__}, not Accepted or Finished",
            remedy="correct the client; the job may run at the provider",
        )
        failed = _replay_failed if replay else _submission_failed
        return await failed(io, job, Verdict(Proof.NOTHING, wrong))


def _judge(io: IO, exc: Exception) -> Verdict:
    client = io.client
    if client.free:
        return judge_free(exc, io.now())
    codes = client.capabilities.not_accepted
    return judge(exc, is_function=client.is_function, not_accepted=codes, now=io.now())


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


async def _submission_failed(io: IO, job: Job, verdict: Verdict) -> Job:
    proof = verdict.proof
    if proof is Proof.NOTHING and io.client.free:
        # Repeating costs nothing, so nothing has to be proved.
        proof = Proof.NOT_ACCEPTED
    if proof is not Proof.NOTHING:
        return await _not_accepted(io, job, verdict)
    unsure = job.to(_S.UNCERTAIN, error=uncertain_error(verdict.error))
    return await io.save(unsure, JobUncertain, power_safe=True)


async def _replay_failed(io: IO, job: Job, verdict: Verdict) -> Job:
    if verdict.error.kind in _PAUSING:
        io.pause_batch(verdict.error.message)
    elif _concerns_all(io, verdict):
        io.hold_back(verdict.error, verdict.retry_after)
    if job.status is _S.UNCERTAIN:
        return job
    return await io.save(job.to(_S.UNCERTAIN, error=uncertain_error(None)), JobUncertain)


async def _not_accepted(io: IO, job: Job, verdict: Verdict) -> Job:
    if verdict.error.kind in _PAUSING:
        io.pause_batch(verdict.error.message)
        waiting = job if job.status is _S.PENDING else job.to(_S.PENDING)
        return await io.save(waiting.evolve(error=verdict.error), JobRetrying)
    wants = io.config.retry_policy.whether
    if _concerns_all(io, verdict) and wants(verdict.error, job.retries):
        return await _hold_back(io, job, verdict)
    return await retry_or_fail(io, job, verdict.error, verdict.retry_after)


def _concerns_all(io: IO, verdict: Verdict) -> bool:
    """Whether the next job would fare no better: nobody answers, or everybody is to slow down."""
    if verdict.error.kind is ErrorKind.RATE_LIMIT:
        return True
    # A function may talk to another host for each job.
    return verdict.proof is Proof.NOT_SENT and not io.client.is_function


async def _hold_back(io: IO, job: Job, verdict: Verdict) -> Job:
    """All jobs wait, and this one has used up no retry: it is not its fault."""
    wait = io.hold_back(verdict.error, verdict.retry_after)
    waiting = job if job.status is _S.PENDING else job.to(_S.PENDING)
    waiting = waiting.evolve(error=verdict.error, not_before=io.now() + wait)
    return await io.save(waiting, JobRetrying)


# -- SUBMITTING after a death, UNCERTAIN: find out ------------------------------------------


async def _reconcile(io: IO, job: Job) -> Job:
    """Finds out what became of a submission; never sends it again without a licence to."""
    if io.client.free:
        return await io.save(job.to(_S.PENDING), JobRetrying)
    if io.unanswered(job):
        # Nobody is asked about a request that is still on its way; its end starts this again.
        return job
    handle: Handle | None = await io.evidence(job)
    if handle is not None and io.client.poll is not None:
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
    try:
        handle = await _find(io, job)
        if handle is None and (wait := _too_early(io, job)) > 0:
            # A slow provider may accept it yet, or list it late.
            await io.sleep(job, wait)
            handle = await _find(io, job)
    except Exception as exc:  # noqa: BLE001 - not knowing is an answer: the job stays as it is
        log.warning(
            "job %d: the look-up of its submission failed: %s", job.id, describe(exc).message
        )
        return await _decide(io, job)
    if handle is not None:
        return await _found(io, job, handle)
    if _too_early(io, job) > 0:
        # Somebody woke it; its absence still proves nothing.
        return await _decide(io, job)
    if _too_late(io, job):
        log.warning("job %d: the provider's list does not reach back to its submission", job.id)
        return await _decide(io, job)
    return await retry_or_fail(io, job, _again(job))


async def _find(io: IO, job: Job) -> Handle | None:
    """Asks the provider; a list that cannot be read just now is asked for again, which is free."""
    assert io.client.find is not None
    key, timeout = io.submit_key(job, job.attempt), io.config.request_timeout
    tries = 0
    while True:
        try:
            handle: Handle | None = await io.call(io.client.find, job, key, timeout=timeout)
        except Exception as exc:
            tries += 1
            lasting = not judge_free(exc, io.now()).error.retryable
            if lasting or tries > io.config.max_retries or io.held_back:
                raise
            log.info("job %d: its look-up is repeated: %s", job.id, describe(exc).message)
            await io.sleep(job, FREE_RETRY(tries, io.uniform))
        else:
            return handle


def _too_early(io: IO, job: Job) -> float:
    """Seconds until the absence of a submission proves that it was not accepted."""
    least = io.client.capabilities.find_after_seconds
    # At most that long: the wall clock may have been set back.
    return min(least, least - (io.now() - io.given_up_at(job)))


def _too_late(io: IO, job: Job) -> bool:
    """Whether the provider may have deleted the submission, so that its absence proves nothing."""
    most = io.client.capabilities.find_until_seconds
    return most is not None and io.now() - io.sent_at(job) > most


def _again(job: Job) -> JobError:
    """The reason of a repeat that is allowed; it counts as a retry, so that it has an end."""
    return attrs.evolve(job.error or uncertain_error(None), retryable=True)


async def _replay(io: IO, job: Job) -> Job:
    """Sends the same submit key again: this provider answers with what it answered first."""
    job = job.evolve(submit_key=io.submit_key(job, job.attempt))
    for tries in range(io.config.max_retries + 1):
        if tries:
            await io.sleep(job, FREE_RETRY(tries, io.uniform))
        job = await _send(io, job, replay=True)
        if job.status not in (_S.SUBMITTING, _S.UNCERTAIN) or io.held_back:
            break
    return job


async def _decide(io: IO, job: Job) -> Job:
    """Nobody knows. What the user said beforehand counts, and holding is the default."""
    choice = io.config.on_uncertain
    error = job.error or uncertain_error(None)
    if choice == "resubmit" and job.retries < io.config.retry_policy.max_retries:
        risk = await _risk(io, job)
        if io.may_pay_twice(risk):
            told = {"risk": risk}
            return await retry_or_fail(io, job, _again(job), told=JobResubmitted, facts=told)
    if choice == "fail":
        return await end(io, job, _S.FAILED, JobFailed, error)
    if job.status is _S.UNCERTAIN:
        return job
    return await io.save(job.to(_S.UNCERTAIN, error=error), JobUncertain, power_safe=True)


async def _risk(io: IO, job: Job) -> float | None:
    """What it costs at most if both submissions are billed."""
    if io.client.estimate is None:
        return None
    try:
        risk = await io.call(io.client.estimate, job, timeout=io.config.request_timeout)
        return None if risk is None else float(risk)
    except Exception as exc:  # noqa: BLE001 - an unknown cost is a known answer
        log.warning("job %d: its cost is unknown: %s", job.id, describe(exc).message)
        return None


_STEPS: Mapping[JobStatus, Callable[[IO, Job], Awaitable[Job]]] = {
    _S.PENDING: _submit,
    _S.SUBMITTING: _reconcile,
    _S.UNCERTAIN: _reconcile,
    _S.PROCESSING: follow,
    _S.COLLECTING: collect,
}
