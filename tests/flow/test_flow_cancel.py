"""Cancelling what is at the provider, and local work."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flow_kit import RUNNING, SUCCEEDED, WITH_OUTPUT, Scripted, Shelf, ends, run_one

from batchkit import (
    BatchRunner,
    Capabilities,
    ErrorKind,
    Finished,
    Job,
    JobError,
    JobStatus,
    Output,
    RemoteState,
    report_progress,
)

MakeRunner = Callable[..., BatchRunner]


def cancels_at(runner: BatchRunner, point: str) -> None:
    """A person cancels whatever is in flight when the run passes a point."""

    def hook(passed: str) -> None:
        if passed == point:
            for job in runner.active():
                runner.cancel(job)

    runner.hook = hook


def test_a_confirmed_cancel_ends_the_job(executor: str, make_runner: MakeRunner) -> None:
    client = Scripted(poll=RUNNING, cancel=True)
    runner = make_runner(client, executor=executor)
    cancels_at(runner, "poll:after")

    job = run_one(runner)

    assert job.status is JobStatus.CANCELED
    assert client.calls["cancel"] == 1


@pytest.mark.parametrize("answer", [False, ConnectionResetError("broke")])
def test_an_unconfirmed_cancel_leaves_the_job_running(
    answer: object, make_runner: MakeRunner
) -> None:
    client = Scripted(poll=[RUNNING, RUNNING, SUCCEEDED], cancel=answer)
    runner = make_runner(client)
    cancels_at(runner, "poll:after")

    job = run_one(runner)

    assert job.status is JobStatus.COMPLETED
    # An answer is an answer; a call that failed is made again with the next query.
    assert client.calls["cancel"] == (1 if answer is False else 2)


def test_a_client_that_cannot_cancel_says_so(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(Scripted(poll=[RUNNING, RUNNING, SUCCEEDED]))
    cancels_at(runner, "poll:after")

    assert run_one(runner).status is JobStatus.COMPLETED
    assert "this client cannot cancel" in caplog.text


def test_a_cancelled_job_that_fails_is_not_submitted_again(make_runner: MakeRunner) -> None:
    again = JobError(kind=ErrorKind.PROVIDER, message="overloaded", retryable=True)
    client = Scripted(poll=[RUNNING, ends(RemoteState.FAILED, error=again), RUNNING], cancel=False)
    runner = make_runner(client, job_timeout=60)
    cancels_at(runner, "poll:after")

    run_one(runner)

    assert client.calls["submit"] == 1


@pytest.mark.parametrize("name", ["threads", "asyncio", "trio"])
def test_local_work_ends_where_it_reports_its_progress(name: str, make_runner: MakeRunner) -> None:
    started, moment = threading.Event(), threading.Event()

    def submit(job: Job) -> Finished:
        started.set()
        for _ in range(5000):
            report_progress(0.5)
            moment.wait(0.002)
        raise AssertionError("nobody ended it")

    capabilities = Capabilities(repeat="free", sync_result=True, local=True)
    runner = make_runner(Scripted(submit=submit, capabilities=capabilities), executor=name)
    job = runner.add("a")
    handle = runner.start()
    assert started.wait(10)
    assert runner.cancel(job)
    handle.result(20)

    assert runner.job(job).status is JobStatus.CANCELED


def test_a_fetch_that_reports_progress_outlives_a_cancel(make_runner: MakeRunner) -> None:
    def fetch(job: Job, output: Output) -> bytes:
        runner.cancel(job)
        assert runner._engine is not None
        runner._engine.dispatcher.cancels = {job.id}
        report_progress(0.5)
        return b"x"

    shelf = Shelf()
    runner = make_runner(Scripted(poll=WITH_OUTPUT, fetch=fetch), artifacts=shelf)

    assert run_one(runner).status in (JobStatus.COMPLETED, JobStatus.CANCELED)
