"""Submissions of which nobody knows whether they were accepted, and what settles them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import (
    ACCEPTED,
    FREE,
    HANDLE,
    LOST,
    REPLAYS,
    Scripted,
    after_death,
    error_of,
    kinds,
    run_one,
)

from batchkit import (
    AuthenticationError,
    BatchRunner,
    Capabilities,
    ClientError,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobStatus,
    NotAcceptedError,
    RateLimitedError,
    RejectedError,
)
from batchkit.testing import FakeClock

MakeRunner = Callable[..., BatchRunner]


def test_held_until_a_person_decides(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST)
    runner = make_runner(client)

    job = run_one(runner)
    runner.run()

    assert job.status is JobStatus.UNCERTAIN
    assert error_of(job).kind is ErrorKind.UNCERTAIN
    assert "the connection broke" in error_of(job).message
    assert client.calls == {"submit": 1}
    assert kinds(runner) == ["submitting", "uncertain"]


def test_failed_when_the_user_said_so(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST)

    job = run_one(make_runner(client, on_uncertain="fail"))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.UNCERTAIN)
    assert client.calls == {"submit": 1}


def test_submitted_again_when_the_user_said_so(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST, ACCEPTED])

    job = run_one(make_runner(client, on_uncertain="resubmit"))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert client.calls["submit"] == 2


def test_submitting_again_has_an_end(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST] * 50 + [ACCEPTED])

    run_one(make_runner(client, on_uncertain="resubmit", max_retries=2))

    assert client.calls["submit"] <= 3


def test_a_death_while_submitting_is_held_too(executor: str, make_runner: MakeRunner) -> None:
    client = Scripted()

    job = after_death(make_runner(client, executor=executor), "submit:after")

    assert job.status is JobStatus.UNCERTAIN
    assert "the run died while it was sent" in error_of(job).message
    assert client.calls == {"submit": 1}


@pytest.mark.parametrize("capabilities", [FREE, Capabilities(repeat="free", sync_result=True)])
def test_free_work_is_repeated_after_a_death(
    capabilities: Capabilities, make_runner: MakeRunner
) -> None:
    client = Scripted(capabilities=capabilities, submit=Finished(text="x"))

    job = after_death(make_runner(client), "submit:after")

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)


def test_found_by_its_key(make_runner: MakeRunner) -> None:
    asked: list[str] = []

    def find(job: Job, submit_key: str) -> Handle:
        asked.append(submit_key)
        return HANDLE

    client = Scripted(submit=LOST, find=find)
    runner = make_runner(client)

    job = run_one(runner)

    assert (job.status, job.handle) == (JobStatus.COMPLETED, HANDLE)
    assert client.calls["submit"] == 1
    assert asked == client.keys
    assert kinds(runner)[:3] == ["submitting", "uncertain", "submitted"]


def test_not_found_is_proof_and_it_is_submitted_again(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST, ACCEPTED], find=None)

    job = run_one(make_runner(client))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert client.calls == {"submit": 2, "find": 2, "poll": 1}


def test_a_provider_that_never_knows_is_not_asked_for_ever(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST] * 50 + [ACCEPTED], find=None)

    run_one(make_runner(client, max_retries=2))

    assert client.calls["submit"] <= 3


def test_a_look_up_that_fails_decides_nothing(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    client = Scripted(submit=LOST, find=[*[ConnectionResetError("broke")] * 3, HANDLE])
    runner = make_runner(client, max_retries=2)

    job = run_one(runner)
    assert job.status is JobStatus.UNCERTAIN
    assert "look-up of its submission failed" in caplog.text

    assert run_one(runner).status is JobStatus.COMPLETED, "the next run asks again"
    assert client.calls["submit"] == 1


def test_a_look_up_that_fails_decides_nothing_however_late(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Scripted(submit=LOST, find=[ClientError("the list is out of order")] * 9)
    runner = make_runner(client)
    run_one(runner)
    clock.advance(1e6)

    assert run_one(runner).status is JobStatus.UNCERTAIN
    assert client.calls["submit"] == 1


def test_a_look_up_that_breaks_is_repeated(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST, find=[ConnectionResetError("broke"), HANDLE])

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED

    assert (client.calls["submit"], client.calls["find"]) == (1, 2)


def test_a_look_up_that_cannot_decide_is_not_repeated(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST, find=[ClientError("the list is too long"), HANDLE])

    assert run_one(make_runner(client)).status is JobStatus.UNCERTAIN

    assert client.calls["find"] == 1


def test_a_replay_sends_the_same_key(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST, LOST, ACCEPTED], capabilities=REPLAYS)

    job = run_one(make_runner(client))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
    assert len(client.keys) == 3
    assert len(set(client.keys)) == 1


def test_a_replay_after_a_death_sends_the_same_key(executor: str, make_runner: MakeRunner) -> None:
    client = Scripted(capabilities=REPLAYS)

    job = after_death(make_runner(client, executor=executor), "submit:after")

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
    assert client.calls["submit"] == 2
    assert len(set(client.keys)) == 1


def test_a_replay_may_answer_with_the_result(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST, Finished(text="x")], capabilities=REPLAYS)

    assert run_one(make_runner(client)).status is JobStatus.COMPLETED


def test_a_replay_that_never_answers_is_held(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST, capabilities=REPLAYS)

    job = run_one(make_runner(client, max_retries=3))

    assert job.status is JobStatus.UNCERTAIN
    assert client.calls["submit"] == 1 + 4
    assert len(set(client.keys)) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        ConnectionRefusedError("nobody listens"),
        NotAcceptedError("the service is busy"),
        RateLimitedError("slow down"),
        AuthenticationError("wrong key"),
        RejectedError("the prompt is not allowed"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_a_refused_replay_proves_nothing_about_the_first_submission(
    refusal: Exception, make_runner: MakeRunner
) -> None:
    client = Scripted(submit=[LOST, refusal, ACCEPTED], capabilities=REPLAYS)
    runner = make_runner(client)

    run_one(runner)
    run_one(runner)

    assert len(set(client.keys)) == 1, "the first submission may have been accepted"


def test_the_journals_evidence_comes_first(make_runner: MakeRunner) -> None:
    client = Scripted(submit=LOST, find=HANDLE)
    client.find = None  # type: ignore[attr-defined]
    runner = make_runner(client)
    job = run_one(runner)
    _append_handle(runner, job)

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 1}


def _append_handle(runner: BatchRunner, job: Job) -> None:
    from batchkit.storage import Entry

    data = {"handle": {"id": HANDLE.id}}
    entry = Entry("submitted", runner.clock.time(), job.id, job.attempt, data)
    runner.storage.append(job.batch_id, [entry])


def test_a_replay_that_fails_after_a_death_is_held(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[ACCEPTED, LOST], capabilities=REPLAYS)
    runner = make_runner(client)

    job = after_death(runner, "submit:after")

    assert job.status is JobStatus.UNCERTAIN
    assert len(set(client.keys)) == 1


def test_a_rejected_replay_does_not_end_the_job(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST, RejectedError("not allowed")], capabilities=REPLAYS)
    runner = make_runner(client)

    job = run_one(runner)

    assert job.status is JobStatus.UNCERTAIN
    assert error_of(job).kind is ErrorKind.UNCERTAIN
    assert run_one(runner).status is JobStatus.UNCERTAIN
    assert len(set(client.keys)) == 1


@pytest.mark.parametrize("how", ["retry", "retry_failed"])
def test_a_failure_that_hides_a_doubt_is_not_submitted_again(
    how: str, make_runner: MakeRunner, storage: Any
) -> None:
    client = Scripted(submit=[LOST, ACCEPTED])
    runner = make_runner(client, on_uncertain="fail", storage=storage)
    job = run_one(runner)
    assert job.status is JobStatus.FAILED

    assert runner.retry(job) if how == "retry" else runner.retry_failed() == 1

    assert runner.job(job).status is JobStatus.UNCERTAIN
    assert error_of(runner.job(job)).kind is ErrorKind.UNCERTAIN
    assert run_one(runner).status is JobStatus.FAILED
    assert client.calls == {"submit": 1}


def test_a_cancel_does_not_clear_up_a_doubt(make_runner: MakeRunner, storage: Any) -> None:
    client = Scripted(submit=[LOST, ACCEPTED])
    runner = make_runner(client, storage=storage)
    job = run_one(runner)
    assert runner.cancel(job)

    assert runner.retry(job)

    assert run_one(runner).status is JobStatus.UNCERTAIN
    assert client.calls == {"submit": 1}
