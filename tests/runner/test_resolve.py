"""What a person says of uncertain submissions, and of jobs that ended too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchkit import BatchRunner, Handle, Job, JobStatus, OutcomeUnknownError, UsageError
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def runner(make_runner: MakeRunner, provider: FakeProvider) -> BatchRunner:
    runner = make_runner(FakeClient(provider))
    runner.add_many(["cat [drop_after]", "dog [drop_before]", "elk [lost]", "fox [expire]", "gnu"])
    return runner


def doubtful(runner: BatchRunner) -> dict[str, Job]:
    return {job.title[:3]: job for doubt in runner.uncertain() for job in doubt.jobs}


def test_doubts_are_grouped_by_cause_and_say_what_to_look_for(runner: BatchRunner) -> None:
    runner.run()
    before, after = runner.uncertain()
    assert {len(before.jobs), len(after.jobs)} == {1}
    assert "the connection broke" in before.message
    assert "1 submission(s) made from " in before.check("en")
    assert "procure 1 envio(s)" in before.check("pt")
    assert "2 jobs" not in repr(before)


def test_the_same_cause_is_one_doubt(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(f"item {n} [drop_after]" for n in range(4))
    runner.run()
    (doubt,) = runner.uncertain()
    assert len(doubt.jobs) == 4


def test_found_and_not_accepted(runner: BatchRunner, provider: FakeProvider) -> None:
    runner.run()
    doubts = doubtful(runner)
    assert runner.resolve(doubts["cat"], handle="remote-1")
    assert runner.resolve(doubts["dog"], "not accepted")
    assert not runner.resolve(doubts["cat"], handle="remote-1")
    runner.run()
    assert runner.job(doubts["cat"]).status is JobStatus.COMPLETED
    assert runner.job(doubts["dog"]).status is JobStatus.COMPLETED
    assert provider.ledger.charged_twice() == []


@pytest.mark.parametrize("said", [(), ("accepted",), ("remote-1",)])
def test_what_is_not_understood_changes_nothing(runner: BatchRunner, said: Any) -> None:
    runner.run()
    cat: Any = doubtful(runner)["cat"]
    with pytest.raises(UsageError, match="not accepted"):
        runner.resolve(cat, *said)
    with pytest.raises(UsageError, match="not accepted"):
        runner.resolve(cat, "not accepted", handle="remote-1")
    assert runner.job(cat).status is JobStatus.UNCERTAIN


def test_a_job_that_seemed_lost_is_polled_again(
    runner: BatchRunner, provider: FakeProvider
) -> None:
    runner.run()
    (elk,) = runner.jobs("failed")
    remote = provider.jobs[elk.handle.id if elk.handle else ""]
    remote.script = "ok"
    assert runner.reattach(elk)
    runner.run()
    assert runner.job(elk).status is JobStatus.COMPLETED
    assert provider.ledger.submissions["elk"] == 1


def test_a_canceled_job_turns_out_to_run(make_runner: MakeRunner, provider: FakeProvider) -> None:
    runner = make_runner(FakeClient(provider))
    job = runner.add("cat")
    handle = provider.submit("cat", "by hand")
    runner.cancel(job)
    with pytest.raises(UsageError, match="no handle"):
        runner.reattach(job)
    assert runner.reattach(job, handle)
    runner.run()
    assert runner.job(job).status is JobStatus.COMPLETED
    assert provider.ledger.submissions["cat"] == 1


def test_only_what_ended_without_a_result_is_polled_again(runner: BatchRunner) -> None:
    waiting = runner.add("hen")
    assert not runner.reattach(waiting, Handle(id="x"))
    runner.run()
    assert not runner.reattach(waiting, Handle(id="x"))
    assert runner.job(waiting).status is JobStatus.COMPLETED


def test_an_answer_that_is_only_in_the_journal_is_found(make_runner: MakeRunner) -> None:
    provider = FakeProvider()

    class Broken(FakeClient):
        def submit(self, job: Job) -> Any:
            super().submit(job)
            raise OutcomeUnknownError("broke")

    runner = make_runner(Broken(provider))
    job = runner.add("cat")
    runner.run()
    with pytest.raises(UsageError, match="no handle"):
        runner.reattach(job)
