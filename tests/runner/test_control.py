"""Pause, resume, stop, cancel, hold: from any thread, and from another process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchRunner,
    Capabilities,
    Event,
    Finished,
    Handle,
    Job,
    JobStatus,
    JobSubmitted,
    PollPolicy,
    RemoteState,
    RemoteStatus,
)
from batchkit.testing import FakeClient, FakeClock, FakeProvider

MakeRunner = Callable[..., BatchRunner]


class Manual:
    """A provider whose jobs end when the test says so."""

    capabilities = Capabilities(inline=True, cancel="running")

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.polled = threading.Event()
        self.finish = threading.Event()
        self.canceled: list[str] = []

    def submit(self, job: Job) -> Accepted:
        self.submitted.append(job.title)
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        self.polled.set()
        if handle.id in self.canceled:
            return RemoteStatus(state=RemoteState.CANCELED)
        done = self.finish.is_set()
        state = RemoteState.SUCCEEDED if done else RemoteState.RUNNING
        return RemoteStatus(state=state, finished=Finished() if done else None)

    def cancel(self, handle: Handle) -> bool:
        self.canceled.append(handle.id)
        return True


FAST = {"poll": PollPolicy.fixed(0.02), "clock": None}


@pytest.fixture
def client() -> Iterator[Manual]:
    made = Manual()
    yield made
    made.finish.set()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for another thread or process; fails loudly instead of for ever."""
    moment, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        moment.wait(0.005)


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
    begin = time.monotonic()
    until(lambda: handle.progress().paused and runner.why(2).endswith("pausado"))
    assert time.monotonic() - begin < 0.5
    client.finish.set()
    until(lambda: runner.job(1).done)
    assert client.submitted == ["a"]

    steer(db, "resume")
    begin = time.monotonic()
    until(lambda: client.submitted == ["a", "b"])
    assert time.monotonic() - begin < 0.5
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
    assert client.submitted == ["a", "b", "c"]


def test_cancel_one_job_wherever_it_stands(
    executor: str, client: Manual, make_runner: MakeRunner
) -> None:
    slow = {"poll": PollPolicy.fixed(60), "clock": None}
    runner = make_runner(client, executor=executor, max_concurrent=1, **slow)
    running, waiting = runner.add("a"), runner.add("b")
    accepted = threading.Event()
    runner.on(JobSubmitted)(lambda event: accepted.set())
    handle = runner.start()
    assert accepted.wait(10)

    begin = time.monotonic()
    assert runner.cancel(waiting)
    assert runner.cancel(running)
    summary = handle.result(10)

    assert time.monotonic() - begin < 0.5, "a job that sleeps between polls is woken"
    assert client.canceled == ["a"]
    assert summary.counts == {JobStatus.CANCELED: 2}
    assert not runner.cancel(running)


def test_a_cancel_that_the_provider_does_not_confirm_changes_nothing(
    make_runner: MakeRunner,
) -> None:
    class Refusing(Manual):
        def cancel(self, handle: Handle) -> bool:
            self.finish.set()
            return False

    client = Refusing()
    runner = make_runner(client, **FAST)
    job = runner.add("a")
    runner.on(JobSubmitted)(lambda event: runner.cancel(job))

    assert runner.run().ok


def test_hold_release_and_priority(executor: str, make_runner: MakeRunner) -> None:
    done: list[str] = []
    work = lambda request: done.append(request.prompt)  # noqa: E731 - one line says it
    runner = make_runner(work, executor=executor, max_concurrent=1)
    a, b, c = (runner.add(name) for name in "abc")

    assert runner.hold(b)
    assert not runner.hold(b)
    assert runner.prioritize(c, 5)
    summary = runner.run()

    assert done == ["c", "a"]
    assert summary.exit_code == 3
    assert runner.why(b).startswith("Pausado")
    assert runner.release(b)
    assert not runner.release(a)
    assert runner.run().ok
    assert done == ["c", "a", "b"]


def test_remove_says_whether_it_was_there(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)
    job = runner.add("a")

    assert runner.remove(job)
    assert not runner.remove(job)
    assert runner.add("a").id != job.id
    runner.run()
    assert not runner.remove(runner.add("a"))


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


def test_a_webhook_wakes_the_poll(client: Manual, make_runner: MakeRunner) -> None:
    runner = make_runner(client, clock=None, poll=PollPolicy.fixed(60))
    job = runner.add("a")
    accepted = threading.Event()
    runner.on(JobSubmitted)(lambda event: accepted.set())
    handle = runner.start()
    assert accepted.wait(10)

    client.finish.set()
    runner.wake(job)

    assert handle.result(5).ok


def test_why_says_what_a_job_waits_for(make_runner: MakeRunner, clock: FakeClock) -> None:
    said: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()), max_concurrent=1, rate_limit="1/min")
    first, second = runner.add("a"), runner.add("b")
    assert "ninguém executa" in runner.why(first)

    class Ask:
        def __call__(self, point: str) -> None:
            if point == "poll:before":
                said.append(runner.why(second))

    runner.hook = Ask()
    runner.max_concurrent = 2
    runner.run()

    assert said[0].startswith("Pendente: espera o limite de envio 1/min, em cerca de")
    assert runner.why(first) == "Concluído"


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
