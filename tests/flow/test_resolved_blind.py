"""A handle for a client that cannot ask: the job ends, says why, and keeps its handle."""

from __future__ import annotations

from collections.abc import Callable

from batchkit import BatchRunner, Handle, JobStatus, OutcomeUnknownError

MakeRunner = Callable[..., BatchRunner]


def test_a_job_that_nobody_can_ask_for_ends_and_keeps_its_handle(make_runner: MakeRunner) -> None:
    def work(request: object) -> str:
        raise OutcomeUnknownError("broke")

    runner = make_runner(work)
    job = runner.add("a cat")
    runner.run()
    assert runner.resolve(job, handle="found-at-the-provider")
    runner.run()
    ended = runner.job(job)
    assert ended.status is JobStatus.FAILED
    assert ended.handle == Handle(id="found-at-the-provider")
    assert ended.error is not None
    assert "reattach" in (ended.error.remedy or "")
