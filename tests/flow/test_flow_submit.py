"""Preparing and submitting, seen through a runner and a client's call counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest
from flow_kit import (
    ACCEPTED,
    FREE,
    HANDLE,
    LOST,
    RUNNING,
    SUCCEEDED,
    WORKS,
    Scripted,
    ends,
    error_of,
    kinds,
    run_one,
)

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchRunner,
    Capabilities,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobStatus,
    NotAcceptedError,
    RateLimitedError,
    RejectedError,
    RemoteState,
    RemoteStatus,
)
from batchkit.testing import FakeClock

MakeRunner = Callable[..., BatchRunner]


# -- prepare ---------------------------------------------------------------------------------------


def test_what_prepare_leaves_reaches_submit(executor: str, make_runner: MakeRunner) -> None:
    client = Scripted(prepare={"upload": "u-1"})

    job = run_one(make_runner(client, executor=executor))

    assert job.status is JobStatus.COMPLETED
    assert client.jobs[0].prepared == {"upload": "u-1"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(RejectedError("no"), ErrorKind.INVALID_INPUT), (ValueError("odd"), ErrorKind.CLIENT)],
)
def test_a_prepare_that_cannot_work_fails_the_job_unpaid(
    fault: Exception, kind: ErrorKind, make_runner: MakeRunner
) -> None:
    client = Scripted(prepare=fault)

    job = run_one(make_runner(client))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, kind)
    assert client.calls == {"prepare": 1}
    assert job.attempt == 0


def test_a_broken_connection_in_prepare_is_free_to_repeat(make_runner: MakeRunner) -> None:
    client = Scripted(prepare=[ConnectionResetError("broke"), {}])
    runner = make_runner(client)

    job = run_one(runner)

    assert job.status is JobStatus.COMPLETED
    assert client.calls == {"prepare": 2, "submit": 1, "poll": 1}
    assert (job.attempt, job.retries) == (1, 1)
    assert kinds(runner)[0] == "retrying"


def test_a_wrong_key_in_prepare_pauses_the_batch(make_runner: MakeRunner) -> None:
    runner = make_runner(Scripted(prepare=[AuthenticationError("wrong key"), {}]))
    runner.add("a")

    assert runner.run().paused == "wrong key"
    assert runner.run().ok


# -- submit ----------------------------------------------------------------------------------------


def test_a_finished_answer_needs_no_poll(executor: str, make_runner: MakeRunner) -> None:
    client = Scripted(submit=Finished(text="hi", cost=2.0), capabilities=WORKS)

    job = run_one(make_runner(client, executor=executor))

    assert (job.status, job.cost, job.progress) == (JobStatus.COMPLETED, 2.0, 1.0)
    assert job.result is not None
    assert job.result.text == "hi"
    assert client.calls == {"submit": 1}


def test_a_nonsense_answer_may_have_been_paid_for(make_runner: MakeRunner) -> None:
    client = Scripted(submit="remote-1")
    runner = make_runner(client)

    job = run_one(runner)
    runner.run()

    assert job.status is JobStatus.UNCERTAIN
    assert "submit returned str, not Accepted or Finished" in error_of(job).message
    assert client.calls == {"submit": 1}


def test_a_nonsense_answer_of_free_work_is_a_failure(make_runner: MakeRunner) -> None:
    client = Scripted(submit=None, capabilities=FREE)

    job = run_one(make_runner(client))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.CLIENT)
    assert error_of(job).remedy == "correct the client; the job may run at the provider"


def test_not_accepted_is_tried_again_with_a_new_key(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[NotAcceptedError("busy"), ACCEPTED])

    job = run_one(make_runner(client))

    assert (job.status, job.attempt, job.retries) == (JobStatus.COMPLETED, 2, 1)
    assert len(set(client.keys)) == 2


def test_refusals_are_tried_as_often_as_allowed(make_runner: MakeRunner) -> None:
    client = Scripted(submit=NotAcceptedError("busy"))

    job = run_one(make_runner(client, max_retries=4))

    assert (job.status, client.calls["submit"]) == (JobStatus.FAILED, 5)
    assert error_of(job).kind is ErrorKind.NETWORK


def test_a_rate_limit_slows_everybody_down(make_runner: MakeRunner, clock: FakeClock) -> None:
    times: list[float] = []

    def submit(job: Job) -> Accepted:
        times.append(clock.ticks)
        if len(times) == 1:
            raise RateLimitedError("slow down", retry_after=30.0)
        return ACCEPTED

    runner = make_runner(Scripted(submit=submit), max_concurrent=1)
    runner.add_many(["a", "b"])

    assert runner.run().ok
    assert times[1] - times[0] >= 30.0
    assert len(times) == 3


def test_a_rate_limit_without_a_time_waits_all_the_same(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    times: list[float] = []

    def submit(job: Job) -> Accepted:
        times.append(clock.ticks)
        if len(times) == 1:
            raise RateLimitedError("slow down")
        return ACCEPTED

    class Always:
        def random(self) -> float:
            return 1.0

    runner = make_runner(Scripted(submit=submit), max_concurrent=1, rng=Always())
    runner.add_many(["a", "b"])

    assert runner.run().ok
    assert times[1] - times[0] >= 1.0


def test_a_job_polls_no_earlier_than_its_provider_asks(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    polled: list[float] = []

    def poll(handle: Handle) -> RemoteStatus:
        polled.append(clock.ticks)
        return SUCCEEDED if len(polled) == 3 else ends(RemoteState.RUNNING, poll_after=40.0)

    begin = clock.ticks
    runner = make_runner(
        Scripted(
            submit=Accepted(handle=HANDLE, poll_after=1.0),
            poll=poll,
            capabilities=Capabilities(inline=True, min_poll_seconds=20.0),
        )
    )
    runner.add("a")

    assert runner.run().ok
    waits = [after - before for before, after in zip([begin, *polled], polled, strict=False)]
    assert [round(wait) for wait in waits] == [20, 40, 40]


def test_a_mapping_of_anything_is_what_prepare_may_leave(make_runner: MakeRunner) -> None:
    prepared: Mapping[str, object] = {"n": 1}
    client = Scripted(prepare=lambda job: prepared)

    assert run_one(make_runner(client)).prepared == prepared


def test_why_says_what_a_pending_job_waits_for(make_runner: MakeRunner) -> None:
    said: dict[str, str] = {}

    def ask(name: str) -> RemoteStatus:
        said[name] = runner.why(jobs[1])
        return RUNNING

    def hold_up(handle: Handle) -> RemoteStatus:
        runner.pause()
        assert runner._engine is not None
        runner._engine.dispatcher.touch()
        runner._engine.dispatcher.refresh()
        ask("paused")
        runner.resume()
        return SUCCEEDED

    client = Scripted(
        submit=[ACCEPTED, NotAcceptedError("busy", retry_after=100.0), ACCEPTED],
        poll=[lambda handle: ask("slot"), lambda handle: ask("retry"), hold_up, SUCCEEDED],
    )
    runner = make_runner(client, max_concurrent=1)
    jobs = [runner.add(name) for name in "ab"]
    runner.hook = lambda point: (
        setattr(runner, "max_concurrent", 2) if point == "poll:after" else None
    )

    assert runner.run().ok
    assert len(set(said.values())) == 3, said
    assert re.search(r"(100|9\d) s", said["retry"]), said


@pytest.mark.parametrize("fault", [LOST, ConnectionResetError("broke"), TimeoutError()])
def test_a_broken_connection_of_free_work_is_tried_again(
    fault: Exception, executor: str, make_runner: MakeRunner
) -> None:
    client = Scripted(submit=[fault, ACCEPTED], capabilities=FREE)

    job = run_one(make_runner(client, executor=executor))

    assert (job.status, job.attempt, job.retries) == (JobStatus.COMPLETED, 2, 1)
    assert client.calls["submit"] == 2


def test_a_fault_of_free_work_that_nothing_can_help_fails(make_runner: MakeRunner) -> None:
    client = Scripted(submit=KeyError("model"), capabilities=FREE)

    job = run_one(make_runner(client))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.CLIENT)
    assert client.calls == {"submit": 1}
