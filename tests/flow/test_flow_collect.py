"""Fetching outputs, and taking a failed download up again without paying."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flow_kit import (
    INLINE,
    LOST,
    RUNNING,
    SUCCEEDED,
    WITH_OUTPUT,
    Scripted,
    Shelf,
    dies_at,
    ends,
    error_of,
    kinds,
    run_one,
)

from batchkit import (
    Accepted,
    BatchRunner,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobStatus,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
    ResultExpiredError,
    StorageFullError,
)
from batchkit._engine import Engine
from batchkit._results import JobResult
from batchkit.executors._blocking import drive
from batchkit.executors._calls import InlineCalls
from batchkit.testing import Crash

MakeRunner = Callable[..., BatchRunner]


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

    job = run_one(runner)

    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.outputs == (Output(ref="r"),), "nobody has brought it anywhere else"
    assert client.calls["submit"] == 1


class InPlace:
    """Every call in the engine's thread, and as many jobs as the user wants."""

    name, capacity = "in place", None

    def run(self, engine: Engine) -> None:
        with closing(InlineCalls()) as calls:
            drive(engine, calls)

    async def run_async(self, engine: Engine) -> None:
        raise NotImplementedError


def test_a_full_disk_ends_the_run_before_the_next_delivery(make_runner: MakeRunner) -> None:
    first, second = StorageFullError("first"), StorageFullError("second")
    client = Scripted(poll=WITH_OUTPUT, capabilities=INLINE)
    shelf = Shelf(first, second)
    runner = make_runner(client, artifacts=shelf, executor=InPlace())
    runner.add_many(["a", "b"])

    with pytest.raises(StorageFullError, match="first"):
        runner.run()
    assert shelf.faults == [second]

    shelf.faults.clear()
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
