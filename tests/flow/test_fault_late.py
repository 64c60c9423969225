"""Answers that come after their time-out."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest
from fault_kit import Faulty, HeldClock
from late_kit import Late, missed, pass_the_timeout, pass_time

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    JobStatus,
    PollPolicy,
    RemoteStatus,
    StorageFullError,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def held_clock() -> HeldClock:
    return HeldClock()


def test_a_late_answer_is_believed(make_runner: MakeRunner, held_clock: HeldClock) -> None:
    client = Late(Accepted(handle=Handle(id="late")))
    runner = make_runner(client, clock=held_clock, poll=PollPolicy.fixed(0))
    _, handle = missed(client, runner)

    client.leave.set()

    assert handle.result(20).ok
    assert (client.submitted, client.polled) == (1, ["late"])


def test_a_late_answer_for_a_cancelled_job_stays_in_the_journal(
    make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    client = Late(Accepted(handle=Handle(id="late")))
    runner = make_runner(client, clock=held_clock)
    job, handle = missed(client, runner)
    assert runner.cancel(job)

    client.leave.set()
    handle.result(20)

    assert runner.job(job).status is JobStatus.CANCELED
    assert [attempt.handle for attempt in runner.attempts(job)] == [Handle(id="late")]
    assert client.polled == []


def test_a_late_failure_says_nothing(make_runner: MakeRunner, held_clock: HeldClock) -> None:
    client = Late("not an answer at all")
    runner = make_runner(client, clock=held_clock)
    job, handle = missed(client, runner)

    client.leave.set()
    handle.result(20)

    assert runner.job(job).status is JobStatus.UNCERTAIN


def test_a_late_result_that_was_paid_for_is_kept(
    make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    client = Late(Finished(text="paid for"), sync_result=True)
    runner = make_runner(client, clock=held_clock, job_timeout=100)
    job, handle = missed(client, runner, 101.0)

    client.leave.set()
    handle.result(20)

    assert runner.job(job).status is JobStatus.COMPLETED


def test_evidence_that_cannot_be_written_ends_the_run_and_is_not_paid_again(
    make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    storage, client = Faulty(), Late(Accepted(handle=Handle(id="late")))
    runner = make_runner(client, clock=held_clock, storage=storage)
    _, handle = missed(client, runner)
    storage.broken.add("append")

    client.leave.set()
    with pytest.raises(StorageFullError):
        handle.result(20)

    storage.broken.clear()
    runner.run()
    assert client.submitted == 1


def test_a_run_does_not_wait_for_ever_for_a_late_answer(
    make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    client = Late(None)
    runner = make_runner(client, clock=held_clock)
    job, handle = missed(client, runner)
    assert not handle.done()

    pass_time(runner, 31.0)
    handle.result(20)
    client.leave.set()

    assert runner.job(job).status is JobStatus.UNCERTAIN


@pytest.mark.parametrize("name", ["asyncio", "trio", "threads"])
def test_an_async_query_that_takes_too_long_is_ended(
    name: str, make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    ended: list[str] = []

    class Hangs(AsyncFakeClient):
        hangs = True

        async def poll(self, handle: Handle) -> RemoteStatus:
            if not self.hangs:
                return await super().poll(handle)
            self.hangs = False
            started.set()
            try:
                await anyio.sleep_forever()
            except BaseException as exc:
                ended.append(type(exc).__name__)
                raise
            raise AssertionError

    started = threading.Event()
    client = Hangs(FakeProvider(polls=1))
    runner = make_runner(client, executor=name, clock=held_clock, poll=PollPolicy.fixed(0))
    job = runner.add("a")
    handle = runner.start()
    assert started.wait(10)
    pass_the_timeout(runner)
    until(lambda: any(live.poll_errors for live in runner.active()))
    pass_time(runner, 100.0)

    assert handle.result(20).ok
    assert len(ended) == 1
    assert runner.job(job).attempt == 1


def test_a_plain_query_that_takes_too_long_is_left_behind(
    make_runner: MakeRunner, held_clock: HeldClock
) -> None:
    started, leave = threading.Event(), threading.Event()

    class Hangs(FakeClient):
        hangs = True

        def poll(self, handle: Handle) -> RemoteStatus:
            if self.hangs:
                self.hangs = False
                started.set()
                assert leave.wait(20)
            return super().poll(handle)

    client = Hangs(FakeProvider(polls=1), capabilities=Capabilities())
    runner = make_runner(client, clock=held_clock, poll=PollPolicy.fixed(0))
    runner.add("a")
    handle = runner.start()
    assert started.wait(10)
    pass_the_timeout(runner)
    until(lambda: any(live.poll_errors for live in runner.active()))
    pass_time(runner, 100.0)

    assert handle.result(20).ok, "nobody waits for it"
    leave.set()
