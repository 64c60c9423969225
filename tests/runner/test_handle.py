"""A run in the background: waited for, watched, told what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError

import anyio
import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Event,
    Handle,
    Job,
    JobStatus,
    PollPolicy,
    RemoteState,
    RemoteStatus,
    StorageError,
    Summary,
)
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    moment, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        moment.wait(0.002)


class Steps:
    """A provider that finishes one more job each time the test says so."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.submitted: list[str] = []

    def submit(self, job: Job) -> Accepted:
        self.submitted.append(job.title)
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        done = handle.id in self.finished
        return RemoteStatus(state=RemoteState.SUCCEEDED if done else RemoteState.RUNNING)


@pytest.fixture
def steps() -> Iterator[Steps]:
    made = Steps()
    yield made
    made.finished |= {"a", "b", "c"}


FAST = {"clock": None, "poll": PollPolicy.fixed(0.01)}


def test_result_waits_only_as_long_as_told(
    executor: str, steps: Steps, make_runner: MakeRunner
) -> None:
    runner = make_runner(steps, executor=executor, **FAST)
    runner.add("a")
    handle = runner.start()

    with pytest.raises((TimeoutError, FutureTimeoutError)):
        handle.result(0.02)
    assert not handle.done()

    steps.finished.add("a")
    assert handle.result(20).ok
    assert handle.done()


def test_a_handle_shows_how_far_it_is(steps: Steps, make_runner: MakeRunner) -> None:
    runner = make_runner(steps, **FAST)
    runner.add("a")
    handle = runner.start()
    assert repr(handle) == "<BatchHandle running 0 % (0/1, 0 failed)>"
    steps.finished.add("a")
    handle.result(20)

    assert repr(handle) == "<BatchHandle done 100 % (1/1, 0 failed)>"
    assert "100 %" in handle._repr_html_()
    assert handle.progress().completed == 1


def test_whoever_asked_is_told_of_the_end(make_runner: MakeRunner) -> None:
    told: list[Summary] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add("a")
    handle = runner.start()
    handle.add_done_callback(told.append)
    summary = handle.result(20)
    until(lambda: bool(told))
    handle.add_done_callback(told.append)

    assert told == [summary, summary]


def test_a_run_without_a_summary_tells_nobody_and_raises(make_runner: MakeRunner) -> None:
    told: list[Summary] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add("a")
    runner.storage.acquire(runner.batch.id)
    handle = runner.start()
    handle.add_done_callback(told.append)

    with pytest.raises(StorageError, match="another runner"):
        handle.result(20)
    assert told == []
    assert handle.done()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_wait_leaves_the_loop_free(backend: str, steps: Steps, make_runner: MakeRunner) -> None:
    runner = make_runner(steps, **FAST)
    runner.add("a")

    async def main() -> Summary:
        handle = runner.start()
        found: list[Summary] = []
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                found.append(await handle.wait())

            group.start_soon(wait)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert not handle.done()
            steps.finished.add("a")
        return found[0]

    assert anyio.run(main, backend=backend).ok


def test_a_wait_that_is_cancelled_leaves_the_run_alone(
    steps: Steps, make_runner: MakeRunner
) -> None:
    runner = make_runner(steps, **FAST)
    runner.add("a")
    handle = runner.start()

    async def main() -> None:
        with anyio.move_on_after(0.02):
            await handle.wait()

    anyio.run(main)
    assert not handle.done()
    steps.finished.add("a")
    assert handle.result(20).ok


def test_results_come_as_they_finish(steps: Steps, make_runner: MakeRunner) -> None:
    runner = make_runner(steps, max_concurrent=3, **FAST)
    runner.add_many(["a", "b", "c"])
    handle = runner.start()
    seen: list[str] = []
    steps.finished.add("b")
    for job in handle.results():
        seen.append(job.title)
        assert job.status is JobStatus.COMPLETED
        steps.finished |= {"c"} if job.title == "b" else {"a"}

    assert seen == ["b", "c", "a"]
    assert handle.done()


def test_results_begin_with_those_of_earlier_runs(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add("a")
    runner.run()
    runner.add_many(["b [reject]", "c"])

    assert [job.title for job in runner.start().results()] == ["a", "c"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_events_end_with_the_run(backend: str, steps: Steps, make_runner: MakeRunner) -> None:
    runner = make_runner(steps, **FAST)
    runner.add("a")
    heard: list[Event] = []

    async def main() -> None:
        handle = runner.start()
        async for event in handle.events():
            heard.append(event)
            if event.kind == "submitted":
                steps.finished.add("a")

    anyio.run(main, backend=backend)

    assert [event.kind for event in heard] == [
        "batch_started",
        "submitting",
        "submitted",
        "collecting",
        "completed",
        "batch_finished",
    ]


def test_events_may_begin_later(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add("a")
    runner.run()
    last = list(runner.events())[-1].seq
    runner.add("b")

    async def main() -> list[str]:
        handle = runner.start()
        await handle.wait()
        return [event.kind async for event in handle.events(last)]

    assert anyio.run(main)[0] == "batch_started"
    assert list(runner.events(10_000)) == []


def test_pause_resume_and_stop_through_the_handle(steps: Steps, make_runner: MakeRunner) -> None:
    runner = make_runner(steps, max_concurrent=1, **FAST)
    runner.add_many(["a", "b", "c"])
    handle = runner.start()
    until(lambda: steps.submitted == ["a"])
    handle.pause()
    steps.finished.add("a")
    until(lambda: runner.job(1).done)
    assert handle.progress().paused
    assert steps.submitted == ["a"]

    handle.resume()
    until(lambda: steps.submitted == ["a", "b"])
    handle.stop()
    steps.finished.add("b")

    assert handle.result(20).stopped
    assert steps.submitted == ["a", "b"]
