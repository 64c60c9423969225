"""Submissions that miss their time-out, on a clock that only the test moves."""

from __future__ import annotations

import threading
from typing import Any

from fault_kit import HeldClock

from batchkit import (
    Accepted,
    BatchHandle,
    BatchRunner,
    Capabilities,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    RemoteStatus,
)
from waiting_kit import until


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
