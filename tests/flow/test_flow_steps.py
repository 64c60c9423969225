"""Every step of a job and every verdict on it, seen through a runner and a client's call counts."""

from __future__ import annotations

import contextvars
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
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
    OutcomeUnknownError,
    Output,
    RateLimitedError,
    RejectedError,
    RemoteState,
    RemoteStatus,
    ResultExpiredError,
    StorageFullError,
    report_progress,
)
from batchkit._engine import Engine
from batchkit._results import Artifact, JobResult
from batchkit.executors._blocking import drive
from batchkit.executors._calls import InlineCalls
from batchkit.testing import Crash, FakeClock

MakeRunner = Callable[..., BatchRunner]

INLINE = Capabilities(inline=True)
FREE = Capabilities(inline=True, repeat="free")
REPLAYS = Capabilities(inline=True, idempotency="replay")
WORKS = Capabilities(inline=True, sync_result=True)

HANDLE = Handle(id="remote-1")
ACCEPTED = Accepted(handle=HANDLE)
RUNNING = RemoteStatus(state=RemoteState.RUNNING)
SUCCEEDED = RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(text="done"))
LOST = OutcomeUnknownError("the connection broke")


class Scripted:
    """Answers each call with the next thing of a list, and the last one again and again.

    An exception is raised, a function is called, anything else is the answer. Optional methods are
    there only when the script names them.
    """

    def __init__(self, *, capabilities: Capabilities = INLINE, **script: Any) -> None:
        self.capabilities = capabilities
        self.calls: Counter[str] = Counter()
        self.jobs: list[Job] = []
        for name, answers in {"submit": ACCEPTED, "poll": SUCCEEDED, **script}.items():
            setattr(self, name, self._method(name, list(_several(answers))))

    def _method(self, name: str, answers: list[Any]) -> Callable[..., Any]:
        def method(*args: Any) -> Any:
            self.calls[name] += 1
            if name == "submit":
                self.jobs.append(args[0])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args) if callable(answer) else answer

        method.__name__ = name
        return method

    @property
    def keys(self) -> list[str]:
        """The submit keys that the provider saw."""
        return [job.submit_key for job in self.jobs]


def _several(answers: Any) -> Iterable[Any]:
    return answers if isinstance(answers, list) else [answers]


def running(progress: float) -> RemoteStatus:
    return RemoteStatus(state=RemoteState.RUNNING, progress=progress)


def ends(state: RemoteState, **fields: Any) -> RemoteStatus:
    return RemoteStatus(state=state, **fields)


def dies_at(name: str) -> Callable[[str], None]:
    def hook(point: str) -> None:
        if point == name:
            raise Crash(point)

    return hook


def run_one(runner: BatchRunner) -> Job:
    """The one job, after a run; added by the first."""
    job = runner.add("a")
    runner.run()
    return runner.job(job)


def after_death(runner: BatchRunner, point: str) -> Job:
    """The one job, after a run that died at a point, and another run."""
    runner.hook = dies_at(point)
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None
    return run_one(runner)


def error_of(job: Job) -> JobError:
    assert job.error is not None
    return job.error


def kinds(runner: BatchRunner) -> list[str]:
    return [event.kind for event in runner.events() if not event.kind.startswith("batch_")]


class Shelf:
    """An artifact store that keeps bytes in memory, and fails as told."""

    def __init__(self, *faults: Exception, found: JobResult | None = None) -> None:
        self.faults, self.found = list(faults), found
        self.kept: list[object] = []
        self.reports = 0

    def check(self, jobs: Iterable[Job]) -> None:
        list(jobs)

    def existing(self, job: Job) -> JobResult | None:
        return self.found

    def write(self, job: Job, output: Output, data: Any) -> tuple[Artifact, ...]:
        if self.faults:
            raise self.faults.pop(0)
        self.kept.append(data)
        return (Artifact(path=Path("kept"), size=1, sha256="0"),)

    def report(self, jobs: Iterable[Job]) -> None:
        list(jobs)
        self.reports += 1


WITH_OUTPUT = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(Output(ref="r"),)))


# -- prepare -------------------------------------------------------------------------------------


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


# -- nobody knows ----------------------------------------------------------------------------------


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
    assert client.calls == {"submit": 2, "find": 1, "poll": 1}


def test_a_provider_that_never_knows_is_not_asked_for_ever(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[LOST] * 50 + [ACCEPTED], find=None)

    run_one(make_runner(client, max_retries=2))

    assert client.calls["submit"] <= 3


def test_a_look_up_that_fails_decides_nothing(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    client = Scripted(submit=LOST, find=[ConnectionResetError("broke"), HANDLE])
    runner = make_runner(client)

    job = run_one(runner)
    assert job.status is JobStatus.UNCERTAIN
    assert "look-up of its submission failed" in caplog.text

    assert run_one(runner).status is JobStatus.COMPLETED, "the next run asks again"
    assert client.calls["submit"] == 1


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


# -- poll ------------------------------------------------------------------------------------------


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


# -- cancel ----------------------------------------------------------------------------------------


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


# -- collect ---------------------------------------------------------------------------------------


def collecting(*, fetch: Any = b"bytes", poll: RemoteStatus = WITH_OUTPUT) -> Scripted:
    return Scripted(poll=poll, fetch=fetch)


def test_fetched_bytes_reach_the_store_and_outputs_are_forgotten(
    executor: str, make_runner: MakeRunner
) -> None:
    shelf = Shelf()
    runner = make_runner(collecting(), artifacts=shelf, executor=executor)

    job = run_one(runner)

    assert shelf.kept == [b"bytes"]
    assert job.result is not None
    assert (job.result.outputs, len(job.result.artifacts)) == ((), 1)
    assert kinds(runner) == ["submitting", "submitted", "collecting", "completed"]


def test_what_lies_on_disk_already_is_not_submitted(executor: str, make_runner: MakeRunner) -> None:
    client = collecting()
    found = JobResult(text="from an earlier run")
    runner = make_runner(client, artifacts=Shelf(found=found), executor=executor)

    job = run_one(runner)

    assert (job.status, job.result) == (JobStatus.COMPLETED, found)
    assert client.calls == {}


def test_a_download_is_repeated_while_it_may_help(make_runner: MakeRunner) -> None:
    client = collecting(fetch=[*[ConnectionResetError("broke")] * 12, b"bytes"])

    job = run_one(make_runner(client, artifacts=Shelf()))

    assert job.status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 1, "fetch": 13}


def test_a_download_that_breaks_until_the_deadline_is_given_up(make_runner: MakeRunner) -> None:
    client = collecting(fetch=ConnectionResetError("broke"))

    job = run_one(make_runner(client, artifacts=Shelf(), job_timeout=600))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.COLLECT)
    assert error_of(job).remedy == "retry the failed jobs: only the download is repeated"


def test_a_faulty_fetch_is_tried_five_times(make_runner: MakeRunner) -> None:
    client = collecting(fetch=KeyError("url"))

    job = run_one(make_runner(client, artifacts=Shelf()))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.COLLECT)
    assert client.calls["fetch"] == 5


def test_a_refused_download_is_not_repeated(make_runner: MakeRunner) -> None:
    client = collecting(fetch=RejectedError("forbidden", code="403"))

    job = run_one(make_runner(client, artifacts=Shelf()))

    assert (job.status, error_of(job).code) == (JobStatus.FAILED, "403")
    assert client.calls["fetch"] == 1


@pytest.mark.parametrize("how", ["retry", "retry_failed"])
def test_a_failed_download_is_taken_up_without_paying_again(
    how: str, make_runner: MakeRunner, storage: Any
) -> None:
    client = collecting(fetch=[RejectedError("forbidden"), b"bytes"])
    runner = make_runner(client, artifacts=Shelf(), storage=storage)
    job = run_one(runner)

    assert runner.retry(job) if how == "retry" else runner.retry_failed() == 1

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 1, "fetch": 2}


def test_a_download_taken_up_again_has_a_deadline_too(make_runner: MakeRunner) -> None:
    endless = [ConnectionResetError("broke")] * 5000
    client = collecting(fetch=[RejectedError("forbidden"), *endless, b"bytes"])
    runner = make_runner(client, artifacts=Shelf(), job_timeout=600)
    runner.retry(run_one(runner))

    job = run_one(runner)

    assert error_of(job).kind is ErrorKind.COLLECT
    assert client.calls["fetch"] < 1000


def test_a_checksum_that_does_not_fit_is_no_result(make_runner: MakeRunner, tmp_path: Path) -> None:
    output = Output(ref="r", media_type="video/mp4", sha256="0" * 64)
    wrong = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(output,)))
    client = collecting(poll=wrong)

    job = run_one(make_runner(client, output=tmp_path / "out", job_timeout=60))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.COLLECT)
    assert not list((tmp_path / "out").glob("*.mp4"))
    assert client.calls["submit"] == 1


def test_a_result_that_is_gone_is_expired(make_runner: MakeRunner) -> None:
    client = collecting(fetch=ResultExpiredError("deleted", code="410"))

    job = run_one(make_runner(client, artifacts=Shelf()))

    assert (job.status, error_of(job).kind) == (JobStatus.EXPIRED, ErrorKind.EXPIRED)
    assert client.calls["fetch"] == 1


def test_a_full_disk_ends_the_run_and_keeps_the_job(executor: str, make_runner: MakeRunner) -> None:
    client = collecting()
    runner = make_runner(client, artifacts=Shelf(StorageFullError("full")), executor=executor)
    runner.add("a")

    with pytest.raises(StorageFullError, match="full"):
        runner.run()

    assert runner.counts() == {JobStatus.COLLECTING: 1}
    assert runner.run().ok
    assert client.calls == {"submit": 1, "poll": 1, "fetch": 2}


def test_outputs_that_need_no_fetch_are_written_as_they_are(make_runner: MakeRunner) -> None:
    poll = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(Output(data=b"small"),)))
    shelf = Shelf()
    client = collecting(poll=poll)

    assert run_one(make_runner(client, artifacts=shelf)).status is JobStatus.COMPLETED
    assert shelf.kept == [None]
    assert client.calls["fetch"] == 0


def test_without_a_store_outputs_stay_in_the_record(make_runner: MakeRunner) -> None:
    client = collecting()

    job = run_one(make_runner(client))

    assert job.result is not None
    assert job.result.outputs == (Output(ref="r"),)
    assert client.calls["fetch"] == 0


def test_a_job_that_died_collecting_for_a_store_ends_without_one(make_runner: MakeRunner) -> None:
    client = collecting()
    runner = make_runner(client, artifacts=Shelf())
    runner.hook = dies_at("fetch:before")
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook, runner.artifacts = None, None

    assert run_one(runner).status is JobStatus.COMPLETED
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


def test_a_mapping_of_anything_is_what_prepare_may_leave(make_runner: MakeRunner) -> None:
    prepared: Mapping[str, object] = {"n": 1}
    client = Scripted(prepare=lambda job: prepared)

    assert run_one(make_runner(client)).prepared == prepared


def test_a_replay_that_fails_after_a_death_is_held(make_runner: MakeRunner) -> None:
    client = Scripted(submit=[ACCEPTED, LOST], capabilities=REPLAYS)
    runner = make_runner(client)

    job = after_death(runner, "submit:after")

    assert job.status is JobStatus.UNCERTAIN
    assert len(set(client.keys)) == 1


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


class InPlace:
    """Every call in the engine's thread, and as many jobs as the user wants."""

    name, capacity = "in place", None

    def run(self, engine: Engine) -> None:
        with closing(InlineCalls()) as calls:
            drive(engine, calls)

    async def run_async(self, engine: Engine) -> None:
        raise NotImplementedError


def test_two_full_disks_are_one_fault(make_runner: MakeRunner) -> None:
    first, second = StorageFullError("first"), StorageFullError("second")
    client = Scripted(poll=WITH_OUTPUT, capabilities=INLINE)
    runner = make_runner(client, artifacts=Shelf(first, second), executor=InPlace())
    runner.add_many(["a", "b"])

    with pytest.raises(StorageFullError, match="first"):
        runner.run()

    assert runner.run().ok
    assert client.calls["submit"] == 2


def test_a_job_taken_up_again_while_the_run_goes_on(make_runner: MakeRunner) -> None:
    fetched: list[str] = []

    def fetch(job: Job, output: Output) -> bytes:
        fetched.append(job.title)
        if len(fetched) == 1:
            raise RejectedError("forbidden")
        return b"bytes"

    def submit(job: Job) -> Accepted:
        if job.title == "unsure":
            raise LOST
        return Accepted(handle=Handle(id=job.title))

    def poll(handle: Handle) -> RemoteStatus:
        if handle.id == "failed":
            return WITH_OUTPUT
        failed = runner.job(jobs["failed"])
        if failed.status is JobStatus.FAILED:
            assert runner.retry(failed)
        return SUCCEEDED if failed.status is JobStatus.COMPLETED else RUNNING

    runner = make_runner(Scripted(submit=submit, poll=poll, fetch=fetch), artifacts=Shelf())
    jobs = {name: runner.add(name) for name in ("unsure", "failed", "slow")}
    runner.run()

    assert fetched == ["failed", "failed"]
    assert [str(job.status) for job in runner.jobs()] == ["uncertain", "completed", "completed"]
