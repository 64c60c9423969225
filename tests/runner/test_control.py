"""Pause, resume, stop: from any thread, and from another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from manual_kit import FAST, Manual

from batchkit import (
    AuthenticationError,
    BatchRunner,
    Event,
    JobStatus,
)
from batchkit._dispatch import CONTROL_INTERVAL
from batchkit.testing import FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def client() -> Iterator[Manual]:
    made = Manual()
    yield made
    made.finish.set()


def test_pause_stops_submissions_and_collects_what_runs(
    executor: str, client: Manual, make_runner: MakeRunner, storage: Any
) -> None:
    runner = make_runner(client, executor=executor, storage=storage, max_concurrent=1, **FAST)
    runner.add_many(["a", "b", "c"])
    handle = runner.start()
    assert client.polled.wait(10)

    handle.pause()
    client.finish.set()
    until(lambda: runner.job(1).status is JobStatus.COMPLETED)
    counts = handle.progress().counts

    assert client.submitted == ["a"]
    assert counts[JobStatus.PAUSED] == 2
    assert not handle.done()
    handle.resume()
    assert handle.result(10).ok
    assert client.submitted == ["a", "b", "c"]


def test_a_pause_survives_a_restart_which_still_collects(
    client: Manual, make_runner: MakeRunner, tmp_path: Path
) -> None:
    db = str(tmp_path / "batch.db")
    runner = make_runner(client, storage=db, max_concurrent=1, **FAST)
    runner.add_many(["a", "b"])
    handle = runner.start()
    assert client.polled.wait(10)
    handle.pause()
    handle.stop(now=True)
    handle.result(10)
    runner.pause()
    runner.close()
    client.finish.set()

    with make_runner(client, storage=db, max_concurrent=1, **FAST) as again:
        summary = again.run()
        assert [str(job.status) for job in again.jobs()] == ["completed", "pending"]
        assert again.counts() == {JobStatus.COMPLETED: 1, JobStatus.PAUSED: 1}
        assert summary.exit_code == 3
        assert summary.paused == ""
        again.resume()
        assert again.run().ok


def test_another_process_pauses_and_resumes_within_half_a_second(
    client: Manual, make_runner: MakeRunner, tmp_path: Path
) -> None:
    db = tmp_path / "batch.db"
    runner = make_runner(client, storage=str(db), max_concurrent=1, **FAST)
    runner.add_many(["a", "b"])
    handle = runner.start()
    assert client.polled.wait(10)

    steer(db, "pause")
    # It looks twice in half a second at least; that it may sleep no longer, test_waits.py shows.
    assert CONTROL_INTERVAL <= 0.25
    until(lambda: handle.progress().paused and runner.why(2).endswith("pausado"))
    client.finish.set()
    until(lambda: runner.job(1).done)
    assert client.submitted == ["a"]

    steer(db, "resume")
    until(lambda: client.submitted == ["a", "b"])
    assert handle.result(10).ok
    runner.close()


def steer(db: Path, what: str) -> None:
    code = f"from batchkit import BatchRunner as R; R.open({str(db)!r}).{what}()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_stop_lets_jobs_in_flight_end(
    executor: str, client: Manual, make_runner: MakeRunner
) -> None:
    runner = make_runner(client, executor=executor, max_concurrent=1, **FAST)
    runner.add_many(["a", "b"])
    handle = runner.start()
    assert client.polled.wait(10)

    handle.stop()
    client.finish.set()
    summary = handle.result(10)

    assert client.submitted == ["a"]
    assert [str(job.status) for job in runner.jobs()] == ["completed", "pending"]
    assert summary.exit_code == 130
    assert runner.run().ok


def test_stop_now_leaves_jobs_at_the_provider_for_the_next_run(
    executor: str, client: Manual, make_runner: MakeRunner, storage: Any
) -> None:
    runner = make_runner(client, executor=executor, storage=storage, max_concurrent=2, **FAST)
    runner.add_many(["a", "b", "c"])
    handle = runner.start()
    assert client.polled.wait(10)

    handle.stop(now=True)
    handle.result(10)
    in_flight = runner.counts().get(JobStatus.PROCESSING, 0)
    client.finish.set()

    assert in_flight == len(client.submitted) >= 1
    assert runner.run().ok
    assert sorted(client.submitted) == ["a", "b", "c"]


def test_stop_on_error_leaves_the_rest(executor: str, make_runner: MakeRunner) -> None:
    client = FakeClient(FakeProvider())
    runner = make_runner(client, executor=executor, stop_on_error=True, max_concurrent=1)
    runner.add_many(["a", "b [reject]", "c"])

    summary = runner.run()

    assert [str(job.status) for job in runner.jobs()] == ["completed", "failed", "pending"]
    assert summary.stopped == "stopped at the first error"
    assert summary.exit_code == 1


def test_limit_runs_a_sample_first(executor: str, make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), executor=executor)
    runner.add_many(f"p{i}" for i in range(10))

    runner.run(limit=3)

    assert sum(provider.ledger.charges.values()) == 3
    assert runner.run().ok
    assert sum(provider.ledger.charges.values()) == 10


def test_a_wrong_key_pauses_the_batch_and_the_next_run_goes_on(
    executor: str, make_runner: MakeRunner
) -> None:
    provider, key = FakeProvider(), ["wrong"]

    def before(operation: str) -> None:
        if key[0] == "wrong":
            raise AuthenticationError("the key is wrong")

    runner = make_runner(FakeClient(provider, before=before), executor=executor)
    runner.add_many(["a", "b"])

    summary = runner.run()

    assert summary.paused == "the key is wrong"
    assert summary.exit_code == 3
    assert provider.ledger.submissions == {}
    key[0] = "right"
    assert runner.run().ok


def test_a_wrong_key_while_polling_leaves_the_job_at_the_provider(
    executor: str, make_runner: MakeRunner
) -> None:
    provider, key = FakeProvider(), ["right"]

    def before(operation: str) -> None:
        if operation == "poll" and key[0] == "wrong":
            raise AuthenticationError("the key has been revoked")

    runner = make_runner(FakeClient(provider, before=before), executor=executor)
    runner.add("a")
    key[0] = "wrong"

    assert runner.run().counts == {JobStatus.PROCESSING: 1}
    key[0] = "right"
    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1}


def test_events_reach_another_process_through_the_journal(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    db = str(tmp_path / "batch.db")
    runner = make_runner(FakeClient(FakeProvider()), storage=db)
    heard: list[Event] = []
    runner.on()(heard.append)
    runner.add("a")
    runner.run()
    runner.close()

    with BatchRunner.open(db) as other:
        stored = list(other.events())

    assert [e.kind for e in stored] == [e.kind for e in heard if e.kind != "progress"]
    assert [e.seq for e in stored] == sorted({e.seq for e in stored})
