"""Querying a job until it ends, seen through a runner and a client's call counts."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

import pytest
from flow_kit import (
    ACCEPTED,
    INLINE,
    RUNNING,
    SUCCEEDED,
    WORKS,
    Scripted,
    dies_at,
    ends,
    error_of,
    run_one,
    running,
)

from batchkit import (
    AuthenticationError,
    BatchRunner,
    Capabilities,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobError,
    JobProgress,
    JobStatus,
    NotAcceptedError,
    NotFoundError,
    RateLimitedError,
    RemoteState,
    RemoteStatus,
    report_progress,
)
from batchkit.testing import Crash, FakeClock

MakeRunner = Callable[..., BatchRunner]


@pytest.mark.parametrize("nonsense", [None, "succeeded", {"state": "succeeded"}])
def test_a_nonsense_status_only_moves_the_next_query(
    nonsense: object, make_runner: MakeRunner
) -> None:
    client = Scripted(poll=[nonsense, nonsense, SUCCEEDED])

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 3}


def test_poll_errors_are_shown_and_forgotten(make_runner: MakeRunner) -> None:
    seen: list[int] = []
    client = Scripted(poll=[ConnectionResetError("broke"), TimeoutError(), RUNNING, SUCCEEDED])
    runner = make_runner(client)
    runner.hook = lambda point: seen.extend(
        job.poll_errors for job in runner.active() if point == "poll:before"
    )

    job = run_one(runner)

    assert seen == [0, 1, 2, 0]
    assert (job.status, job.poll_errors) == (JobStatus.COMPLETED, 0)


def test_a_poll_that_asks_for_time_gets_it(make_runner: MakeRunner, clock: FakeClock) -> None:
    begin = clock.ticks
    client = Scripted(poll=[RateLimitedError("slow", retry_after=500.0), SUCCEEDED])

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED
    assert clock.ticks - begin >= 500.0


def test_a_handle_that_stays_unknown_for_minutes_is_gone(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    begin = clock.ticks
    client = Scripted(poll=NotFoundError("no such job"))

    job = run_one(make_runner(client))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.NOT_FOUND)
    assert clock.ticks - begin >= 120.0
    assert client.calls["poll"] >= 3
    assert client.calls["submit"] == 1


def test_a_list_that_lags_behind_is_waited_for(make_runner: MakeRunner) -> None:
    client = Scripted(poll=[*[NotFoundError("no such job")] * 3, SUCCEEDED])

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED


def test_other_faults_do_not_count_towards_gone(make_runner: MakeRunner) -> None:
    outage = [ConnectionResetError("broke")] * 20
    client = Scripted(poll=[*outage, *[NotFoundError("no such job")] * 3, SUCCEEDED])

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED


def test_the_deadline_ends_a_job_that_does_not(make_runner: MakeRunner, clock: FakeClock) -> None:
    begin = clock.ticks
    client = Scripted(poll=RUNNING)
    runner = make_runner(client, job_timeout=600)

    job = run_one(runner)

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.DEADLINE)
    assert "600 s" in error_of(job).message
    assert 600 <= clock.ticks - begin < 630


def test_a_job_given_up_is_polled_again_and_not_paid_again(make_runner: MakeRunner) -> None:
    client = Scripted(poll=[*[RUNNING] * 100, SUCCEEDED])
    runner = make_runner(client, job_timeout=60)
    job = run_one(runner)
    assert error_of(job).kind is ErrorKind.DEADLINE

    assert runner.retry(job)
    runner.config = runner.config.replace(job_timeout=86400)

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.calls["submit"] == 1


def test_a_job_that_ended_while_nobody_ran_is_collected_after_its_deadline(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Scripted()
    runner = make_runner(client)
    runner.hook = dies_at("poll:before")
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None
    clock.advance(2 * 86400)

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 1}


def test_a_job_submitted_days_after_its_first_try_gets_its_whole_time(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Scripted(submit=[NotAcceptedError("busy"), ACCEPTED])
    runner = make_runner(client)
    runner.add("a")
    runner.run(limit=1)
    assert runner.counts() == {JobStatus.PENDING: 1}
    clock.advance(2 * 86400)

    assert run_one(runner).status is JobStatus.COMPLETED


def test_local_work_that_died_days_ago_gets_its_whole_time(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    left: list[float] = []

    def submit(job: Job) -> Finished:
        left.append((job.deadline or 0.0) - clock.time())
        return Finished(text="x")

    client = Scripted(
        submit=submit, capabilities=Capabilities(repeat="free", sync_result=True, inline=True)
    )
    runner = make_runner(client)
    runner.hook = dies_at("submit:after")
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None
    clock.advance(2 * 86400)

    assert run_one(runner).status is JobStatus.COMPLETED
    assert left[1] > 86000


def test_progress_never_goes_back(make_runner: MakeRunner) -> None:
    told: list[float | None] = []
    reports = [0.4, 0.2, 7.0, 0.1]
    client = Scripted(poll=[*[running(value) for value in reports], RUNNING, SUCCEEDED])
    runner = make_runner(client)
    runner.hook = lambda point: told.extend(
        job.progress for job in runner.active() if point == "poll:before"
    )

    run_one(runner)

    assert told == [None, 0.4, 0.4, 1.0, 1.0, 1.0]


def test_progress_is_told(make_runner: MakeRunner) -> None:
    heard: list[float | None] = []
    runner = make_runner(Scripted(poll=[running(0.5), SUCCEEDED]))
    runner.on(JobProgress)(lambda event: heard.append(event.job.progress))

    run_one(runner)

    assert heard == [0.5]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ends(RemoteState.CANCELED, cost=0.5), JobStatus.CANCELED),
        (ends(RemoteState.EXPIRED, cost=0.5), JobStatus.EXPIRED),
        (ends(RemoteState.FAILED, cost=0.5), JobStatus.FAILED),
    ],
)
def test_the_providers_end_is_the_jobs_end(
    status: RemoteStatus, expected: JobStatus, executor: str, make_runner: MakeRunner
) -> None:
    client = Scripted(poll=status)

    job = run_one(make_runner(client, executor=executor))

    assert (job.status, job.cost) == (expected, 0.5)
    assert client.calls == {"submit": 1, "poll": 1}


def test_a_provider_that_gives_no_reason_is_said_to_give_none(make_runner: MakeRunner) -> None:
    job = run_one(make_runner(Scripted(poll=ends(RemoteState.FAILED))))

    assert error_of(job).message == "the provider gave no reason"
    assert error_of(job).kind is ErrorKind.PROVIDER


def test_costs_of_attempts_add_up(make_runner: MakeRunner) -> None:
    again = JobError(kind=ErrorKind.PROVIDER, message="overloaded", retryable=True)
    failed = ends(RemoteState.FAILED, error=again, cost=0.5)
    done = ends(RemoteState.SUCCEEDED, cost=1.0)
    client = Scripted(poll=[failed, done])

    job = run_one(make_runner(client))

    assert (job.status, job.cost, job.attempt) == (JobStatus.COMPLETED, 1.5, 2)


def test_a_failure_after_the_deadline_is_not_tried_again(make_runner: MakeRunner) -> None:
    again = JobError(kind=ErrorKind.PROVIDER, message="overloaded", retryable=True)
    slow = ends(RemoteState.RUNNING, poll_after=59.0)
    client = Scripted(poll=[slow, ends(RemoteState.FAILED, error=again)])
    runner = make_runner(client, job_timeout=60)
    runner.hook = lambda point: (
        runner.clock.advance(5) if point == "poll:after" else None  # type: ignore[attr-defined]
    )

    job = run_one(runner)

    assert job.status is JobStatus.FAILED
    assert client.calls["submit"] == 1


def test_polling_pauses_the_batch_when_the_key_is_wrong(make_runner: MakeRunner) -> None:
    client = Scripted(poll=[AuthenticationError("wrong key"), SUCCEEDED])
    runner = make_runner(client)
    runner.add("a")

    summary = runner.run()

    assert (summary.paused, summary.counts) == ("wrong key", {JobStatus.PROCESSING: 1})
    assert runner.run().ok
    assert client.calls == {"submit": 1, "poll": 2}


def test_a_client_that_accepts_and_cannot_be_polled_is_told_at_once(
    make_runner: MakeRunner,
) -> None:
    client = Scripted(capabilities=WORKS)
    del client.poll  # type: ignore[attr-defined]
    runner = make_runner(client)
    clock = runner.clock
    begin = clock.time()

    job = run_one(runner)

    assert job.status is not JobStatus.COMPLETED
    assert clock.time() - begin < 60


def test_progress_outside_of_a_run_goes_nowhere(make_runner: MakeRunner) -> None:
    contexts: list[contextvars.Context] = []

    def submit(job: Job) -> Finished:
        contexts.append(contextvars.copy_context())
        return Finished()

    runner = make_runner(Scripted(submit=submit, capabilities=WORKS))
    report_progress(0.5)
    job = run_one(runner)
    contexts[0].run(report_progress, 0.5)

    assert runner.job(job) == job, "a thread that outlives its job changes nothing"


@pytest.mark.parametrize("capabilities", [INLINE, Capabilities()])
def test_a_wake_that_comes_during_a_query_is_not_lost(
    capabilities: Capabilities, make_runner: MakeRunner, clock: FakeClock
) -> None:
    polled: list[float] = []

    def poll(handle: Handle) -> RemoteStatus:
        polled.append(clock.ticks)
        if len(polled) == 1:
            # As a webhook that overtakes the answer to the query.
            runner.wake(job)
            return ends(RemoteState.RUNNING, poll_after=3600.0)
        return SUCCEEDED

    runner = make_runner(Scripted(poll=poll, capabilities=capabilities), executor="threads")
    job = runner.add("a")

    assert runner.run().ok
    assert polled[1] - polled[0] < 60.0
