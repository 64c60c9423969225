"""Answers that come after their time-out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fault_kit import Faulty, HeldClock

from batchkit import (
    Accepted,
    BatchHandle,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobStatus,
    PollPolicy,
    RemoteState,
    RemoteStatus,
    StorageFullError,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


class Late:
    """A client whose first submission answers only after its time-out."""

    def __init__(self, answer: object, **capabilities: Any) -> None:
        self.capabilities = Capabilities(**capabilities)
        self.answer = answer
        self.entered, self.leave = threading.Event(), threading.Event()
        self.submitted = 0
        self.polled: list[str] = []

    def submit(self, job: Job) -> Any:
        self.submitted += 1
        if self.submitted == 1:
            self.entered.set()
            assert self.leave.wait(20)
            return self.answer
        return self.again()

    def again(self) -> Any:
        return Accepted(handle=Handle(id="second"))

    def poll(self, handle: Handle) -> RemoteStatus:
        self.polled.append(handle.id)
        return RemoteStatus(state=RemoteState.SUCCEEDED)


@pytest.fixture
def held_clock() -> HeldClock:
    return HeldClock()


def pass_time(runner: BatchRunner, seconds: float) -> None:
    """The clock of the run jumps, and the run looks at it."""
    assert isinstance(runner.clock, HeldClock)
    assert runner._engine is not None
    runner.clock.advance(seconds)
    runner._engine.nudge()


def pass_the_timeout(runner: BatchRunner, seconds: float = 301.0) -> None:
    """The same, once the run waits for a call."""
    engine = runner._engine
    assert engine is not None
    until(lambda: engine.calls_in_flight == 1 and bool(engine.scheduler._heap))
    pass_time(runner, seconds)


def missed(client: Late, runner: BatchRunner, seconds: float = 301.0) -> tuple[Job, BatchHandle]:
    """A job whose submission has missed its time-out, in a run that goes on."""
    job = runner.add("a")
    handle = runner.start()
    assert client.entered.wait(10)
    pass_the_timeout(runner, seconds)
    until(lambda: runner.job(job).status is JobStatus.UNCERTAIN)
    return job, handle


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
