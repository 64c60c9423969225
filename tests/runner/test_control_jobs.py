"""Decisions about one job: cancel, hold, prioritize, remove, wake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from manual_kit import FAST, Manual

from batchkit import (
    BatchRunner,
    Handle,
    JobStatus,
    JobSubmitted,
    PollPolicy,
)
from batchkit.testing import FakeClient, FakeClock, FakeProvider

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def client() -> Iterator[Manual]:
    made = Manual()
    yield made
    made.finish.set()


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

    assert runner.cancel(waiting)
    assert runner.cancel(running)
    # A job that sleeps between polls, for a minute here, is woken.
    summary = handle.result(30)

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


def test_a_webhook_wakes_the_poll(client: Manual, make_runner: MakeRunner) -> None:
    runner = make_runner(client, clock=None, poll=PollPolicy.fixed(60))
    job = runner.add("a")
    accepted = threading.Event()
    runner.on(JobSubmitted)(lambda event: accepted.set())
    handle = runner.start()
    assert accepted.wait(10)

    client.finish.set()
    runner.wake(job)

    assert handle.result(30).ok


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
