"""Callbacks hear everything, in order, and can break nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import anyio
import pytest

from batchkit import (
    BatchFinished,
    BatchHandle,
    BatchRunner,
    BatchStarted,
    Capabilities,
    Event,
    Finished,
    Job,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobProgress,
    JobStatus,
    JobSubmitted,
    UsageError,
    report_progress,
)
from batchkit import _bus as bus_module
from batchkit._bus import Subscription
from batchkit.testing import FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "CALLBACK_GRACE", 0.05)


def test_events_arrive_in_the_order_of_the_journal(executor: str, make_runner: MakeRunner) -> None:
    heard: list[Event] = []
    runner = make_runner(FakeClient(FakeProvider(polls=1)), executor=executor)
    runner.on()(heard.append)
    runner.add_many(["a", "b [busy]", "c [reject]"])

    runner.run()

    told = [event for event in heard if event.seq]
    assert [event.seq for event in told] == [event.seq for event in runner.events()]
    assert isinstance(heard[0], BatchStarted)
    assert isinstance(heard[-1], BatchFinished)


def test_a_callback_hears_only_the_classes_it_asked_for(make_runner: MakeRunner) -> None:
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()))

    @runner.on(JobCompleted, JobFailed)
    def note(event: JobEvent) -> None:
        heard.append(f"{event.kind} {event.job.title}")

    runner.add_many(["a", "b [reject]"])
    runner.run()

    assert sorted(heard) == ["completed a", "failed b [reject]"]
    assert note.__name__ == "note", "on() gives back what it decorates"


def test_a_base_class_hears_what_is_below_it(make_runner: MakeRunner) -> None:
    heard: list[Event] = []
    runner = make_runner(FakeClient(FakeProvider(polls=1)))
    runner.on(JobEvent)(heard.append)
    runner.add("a")
    runner.run()

    assert {event.kind for event in heard} == {
        "submitting",
        "submitted",
        "collecting",
        "completed",
    }


def test_all_callbacks_run_on_one_thread_of_their_own(make_runner: MakeRunner) -> None:
    names: set[str] = set()
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on()(lambda event: names.add(threading.current_thread().name))
    runner.add_many(["a", "b"])
    runner.run()
    runner.run()

    assert names == {"batchkit-callbacks"}


def test_a_screen_gets_its_calls_where_it_wants_them(make_runner: MakeRunner) -> None:
    later: list[tuple[int, Callable[[], None]]] = []
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on(JobCompleted, via=lambda delay, call: later.append((delay, call)))(
        lambda event: heard.append(threading.current_thread().name)
    )
    runner.add("a")
    runner.run()

    assert heard == []
    ((delay, call),) = later
    call()
    assert (delay, heard) == (0, [threading.current_thread().name])


def test_a_screen_that_is_gone_breaks_nothing(make_runner: MakeRunner) -> None:
    def gone(delay: int, call: Callable[[], None]) -> None:
        raise RuntimeError("the window was closed")

    heard: list[Event] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on(JobSubmitted, via=gone)(heard.append)
    runner.on(JobCompleted)(heard.append)
    runner.add("a")

    summary = runner.run()

    assert summary.ok
    assert summary.callback_errors == 1
    assert [event.kind for event in heard] == ["completed"]


def test_a_callback_that_raises_on_a_screen_is_counted_too(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on(JobCompleted, via=lambda delay, call: call())(lambda event: 1 / 0)
    runner.add("a")

    assert runner.run().callback_errors == 1


def test_async_callbacks_run_to_their_end(executor: str, make_runner: MakeRunner) -> None:
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()), executor=executor)

    @runner.on(JobCompleted)
    async def note(event: JobCompleted) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(event.job.title)

    runner.add_many(["a", "b"])
    runner.run()

    assert sorted(heard) == ["a", "b"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_that_raises_is_counted_logged_and_harmless(
    is_async: bool, make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()))

    def fails(event: Event) -> None:
        raise ValueError("my own fault")

    async def fails_async(event: Event) -> None:
        fails(event)

    runner.on(JobCompleted)(fails_async if is_async else fails)
    runner.on(JobCompleted)(lambda event: heard.append(event.job.title))
    runner.add_many(["a", "b"])

    summary = runner.run()

    assert summary.ok
    assert (summary.callback_errors, len(heard)) == (2, 2)
    records = [record for record in caplog.records if record.name == "batchkit.callbacks"]
    assert [record.levelno for record in records] == [logging.ERROR] * 2
    assert "my own fault" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_exits_silences_nobody(make_runner: MakeRunner) -> None:
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()))

    @runner.on(JobSubmitted)
    def exits(event: Event) -> None:
        raise SystemExit

    runner.on(JobCompleted)(lambda event: heard.append(event.job.title))
    runner.add("a")
    summary = runner.run()

    assert heard == ["a"]
    assert summary.callback_errors == 1


def test_progress_of_local_work_reaches_callbacks(make_runner: MakeRunner) -> None:
    heard: list[float | None] = []

    class Local:
        capabilities = Capabilities(repeat="free", sync_result=True, local=True)

        def submit(self, job: Job) -> Finished:
            report_progress(0.5)
            return Finished()

    runner = make_runner(Local())
    runner.on(JobProgress)(lambda event: heard.append(event.job.progress))
    runner.add("a")
    runner.run()

    assert heard == [0.5]


def test_waiting_for_the_run_inside_a_callback_is_refused(make_runner: MakeRunner) -> None:
    raised: list[BaseException] = []
    handles: list[BatchHandle] = []
    ready = threading.Event()
    runner = make_runner(FakeClient(FakeProvider()))

    @runner.on(JobCompleted)
    def wait_here(event: JobCompleted) -> None:
        assert ready.wait(10)
        try:
            handles[0].result()
        except UsageError as exc:
            raised.append(exc)

    runner.add("a")
    handles.append(runner.start())
    ready.set()

    assert handles[0].result(20).ok
    assert "inside a callback" in str(raised[0])


def test_on_done_is_called_however_fast_the_job_is(make_runner: MakeRunner) -> None:
    heard: list[Job] = []
    runner = make_runner(FakeClient(FakeProvider(polls=1)))
    subscribe = runner.bus.subscribe

    def late(subscription: Subscription) -> Callable[[], None]:
        runner.run()
        return subscribe(subscription)

    runner.bus.subscribe = late  # type: ignore[method-assign]
    runner.add("a", on_done=heard.append)
    runner.run()
    runner.bus.drain()

    assert [job.status for job in heard] == [JobStatus.COMPLETED]


@pytest.mark.usefixtures("short_grace")
def test_a_callback_that_hangs_does_not_keep_a_run_from_ending(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    leave = threading.Event()
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on(JobCompleted)(lambda event: leave.wait(20))
    runner.add("a")

    summary = runner.run()
    leave.set()

    assert summary.ok
    assert "callbacks are still busy" in caplog.text


def test_callbacks_are_heard_again_after_close(make_runner: MakeRunner) -> None:
    heard: list[str] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.on(JobCompleted)(lambda event: heard.append(event.job.title))
    runner.add("a")
    runner.run()
    runner.close()
    until(lambda: runner.bus._thread is None)
    runner.add("b")
    runner.run()
    runner.close()

    assert heard == ["a", "b"]


def test_a_job_added_by_the_last_callback_as_it_ends_is_run(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    settled, asked = runner.bus.settled, list[bool]()

    def just_then(then: Callable[[], None]) -> bool:
        # The callback ends between the run's look at its work and its look at the callbacks.
        if not asked:
            runner.add("b")
        asked.append(settled(then))
        return asked[-1]

    runner.bus.settled = just_then  # type: ignore[method-assign]
    runner.add("a")

    assert runner.run().counts == {JobStatus.COMPLETED: 2}
