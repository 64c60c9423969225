"""A hint moves the next status query, as far as the provider allows, and decides nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
from flow_kit import ACCEPTED, RUNNING, SUCCEEDED, Scripted, after_death, ends, run_one

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobError,
    JobStatus,
    PollPolicy,
    RateLimitedError,
    RemoteState,
    RemoteStatus,
)
from batchkit._io import Park
from batchkit._scheduler import Scheduler
from batchkit.testing import FakeClock
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]
HOUR = PollPolicy.fixed(3600)


def seconds_between(times: list[float]) -> list[float]:
    # The fake clock goes a microsecond too far each time.
    return [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]


class Flooded(Scripted):
    """During every query, somebody sends a hundred hints about the job; an hour is the pace."""

    def __init__(
        self,
        clock: FakeClock,
        answers: Iterable[object],
        capabilities: Capabilities | None = None,
        about: str = "remote-1",
    ) -> None:
        self.polled: list[float] = []
        self.known: set[bool] = set()
        self.runner: BatchRunner | None = None
        left = iter(answers)

        def poll(handle: Handle) -> RemoteStatus:
            assert self.runner is not None
            self.polled.append(clock.ticks)
            for _ in range(100):
                self.known.add(self.runner.wake(handle_id=about))
            answer = next(left)
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, RemoteStatus)
            return answer

        super().__init__(poll=poll, capabilities=capabilities or Capabilities(inline=True))

    @property
    def gaps(self) -> list[float]:
        return seconds_between(self.polled)


def run_flooded(make_runner: MakeRunner, client: Flooded, **options: object) -> Job:
    client.runner = make_runner(client, **{"poll": HOUR, **options})
    return run_one(client.runner)


@pytest.mark.parametrize("least", [5.0, 20.0])
@pytest.mark.parametrize("inline", [True, False])
def test_a_flood_of_hints_polls_as_often_as_the_provider_allows(
    inline: bool, least: float, executor: str, make_runner: MakeRunner, clock: FakeClock
) -> None:
    allowed = Capabilities(inline=inline, min_poll_seconds=least)
    client = Flooded(clock, [RUNNING, RUNNING, RUNNING, SUCCEEDED], allowed)

    job = run_flooded(make_runner, client, executor=executor)

    assert job.status is JobStatus.COMPLETED
    assert client.gaps == [least, least, least]
    assert client.known == {True}


def test_where_the_provider_names_no_minimum_it_is_a_second(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Flooded(clock, [RUNNING, RUNNING, SUCCEEDED])
    run_flooded(make_runner, client)

    assert client.gaps == [1.0, 1.0]


def test_a_hint_never_makes_a_wait_longer(make_runner: MakeRunner, clock: FakeClock) -> None:
    client = Flooded(clock, [RUNNING, RUNNING, SUCCEEDED])
    run_flooded(make_runner, client, poll=PollPolicy.fixed(0.25))

    assert client.gaps == [0.25, 0.25]


def test_a_hint_overrules_the_pace_that_the_last_answer_asked_for(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Flooded(clock, [ends(RemoteState.RUNNING, poll_after=900.0), SUCCEEDED])
    run_flooded(make_runner, client)

    assert client.gaps == [1.0]


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (RateLimitedError("slow down", retry_after=700.0), 700.0),
        (ConnectionResetError("broke"), 600.0),
        # "Succeeded" without a result, which some say too early.
        (ends(RemoteState.SUCCEEDED, finished=Finished()), 600.0),
    ],
)
def test_after_a_failed_query_no_hint_shortens_the_wait(
    answer: object, least: float, make_runner: MakeRunner, clock: FakeClock, tmp_path: object
) -> None:
    client = Flooded(clock, [answer, SUCCEEDED])
    run_flooded(make_runner, client, poll=PollPolicy.fixed(600), output=tmp_path)

    assert client.gaps[0] >= least


def test_after_a_good_answer_hints_count_again(make_runner: MakeRunner, clock: FakeClock) -> None:
    client = Flooded(clock, [ConnectionResetError("broke"), RUNNING, SUCCEEDED])
    run_flooded(make_runner, client, poll=PollPolicy.fixed(600))

    assert client.gaps == [600.0, 1.0]


@pytest.mark.parametrize("about", ["remote-2", "", "remote-1 "])
def test_a_hint_about_an_unknown_job_is_nothing(
    about: str, make_runner: MakeRunner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "batchkit")
    client = Flooded(clock, [RUNNING, SUCCEEDED], about=about)
    run_flooded(make_runner, client)

    assert client.known == {False}
    assert client.gaps == [3600.0]
    assert "nobody to wake" in caplog.text


def test_a_job_that_waits_is_woken(make_runner: MakeRunner, clock: FakeClock) -> None:
    polled: list[tuple[str, float]] = []

    def submit(job: Job) -> Accepted:
        return Accepted(handle=Handle(id=job.title))

    def poll(handle: Handle) -> RemoteStatus:
        polled.append((handle.id, clock.ticks))
        last = sum(name == handle.id for name, _ in polled) == 3
        if handle.id == "b" and not last:
            runner.wake(handle_id="a")
            runner.wake(handle_id="a")
        pace = 3600.0 if handle.id == "a" else 50.0
        return SUCCEEDED if last else ends(RemoteState.RUNNING, poll_after=pace)

    client = Scripted(
        submit=submit, poll=poll, capabilities=Capabilities(inline=True, min_poll_seconds=20.0)
    )
    runner = make_runner(client, poll=PollPolicy.fixed(20.0), max_concurrent=2)
    runner.add_many(["a", "b"])

    assert runner.run().ok
    times = [at for name, at in polled if name == "a"]
    # The first hint came just after its first query, the second while it had been waiting.
    assert seconds_between(times) == [20.0, 30.0]


def test_another_attempt_is_another_handle(make_runner: MakeRunner) -> None:
    error = JobError(kind=ErrorKind.PROVIDER, message="busy", retryable=True)
    known: list[tuple[bool, bool]] = []

    def poll(handle: Handle) -> RemoteStatus:
        known.append((runner.wake(handle_id="r1"), runner.wake(handle_id="r2")))
        return ends(RemoteState.FAILED, error=error) if handle.id == "r1" else SUCCEEDED

    accepted = [Accepted(handle=Handle(id=name)) for name in ("r1", "r2")]
    runner = make_runner(Scripted(submit=accepted, poll=poll))

    assert run_one(runner).status is JobStatus.COMPLETED
    assert known == [(True, False), (False, True)]


def test_two_jobs_under_one_handle(make_runner: MakeRunner, clock: FakeClock) -> None:
    asked: list[float] = []

    def poll(handle: Handle) -> RemoteStatus:
        asked.append(clock.ticks)
        if len(asked) == 2:
            # The first one has ended; the other one is still polled.
            assert runner.wake(handle_id=handle.id)
        return RUNNING if len(asked) == 2 else SUCCEEDED

    runner = make_runner(Scripted(submit=ACCEPTED, poll=poll), max_concurrent=2, poll=HOUR)
    runner.add_many(["a", "b"])

    assert runner.run().ok
    assert seconds_between(asked)[1] == 1.0
    assert not runner.wake(handle_id="remote-1")


def test_a_hint_that_comes_as_the_job_ends_is_nothing(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    client = Flooded(clock, [SUCCEEDED])
    job = run_flooded(make_runner, client)

    assert job.status is JobStatus.COMPLETED
    assert client.calls["poll"] == 1
    assert client.runner is not None
    assert not client.runner.wake(job)


@pytest.mark.parametrize("inline", [True, False])
def test_a_hint_does_not_hold_up_a_cancel(
    inline: bool, make_runner: MakeRunner, clock: FakeClock
) -> None:
    polled: list[float] = []

    def poll(handle: Handle) -> RemoteStatus:
        polled.append(clock.ticks)
        runner.wake(handle_id=handle.id)
        runner.cancel(job)
        engine = runner._engine
        if not inline and engine is not None:
            # It reaches the run while this query is under way.
            until(lambda: job.id in engine.dispatcher.cancels)
        return RUNNING

    allowed = Capabilities(inline=inline, cancel="running", min_poll_seconds=20.0)
    client = Scripted(poll=poll, cancel=True, capabilities=allowed)
    runner = make_runner(client, poll=HOUR, executor="threads")
    job = runner.add("a")
    runner.run()

    assert runner.job(job).status is JobStatus.CANCELED
    assert len(polled) == 1
    assert inline or clock.ticks - polled[0] < 20.0


def test_a_job_that_is_taken_up_is_known_at_once(make_runner: MakeRunner) -> None:
    known: list[bool] = []

    def poll(handle: Handle) -> RemoteStatus:
        known.append(runner.wake(handle_id=handle.id))
        return SUCCEEDED

    runner = make_runner(Scripted(poll=poll))

    assert after_death(runner, "poll:before").status is JobStatus.COMPLETED
    assert known == [True]


def test_a_wait_that_is_hastened_ends_once() -> None:
    scheduler = Scheduler(lambda task, error: None)
    woken: list[int] = []

    async def flow() -> None:
        for turn in range(2):
            await Park(5.0 + 100 * turn, 7)
            woken.append(turn)

    scheduler.start(flow(), 7, None)
    scheduler.step(scheduler.ready.popleft())
    for until_ in (5.0, 5.0, 3.0):
        scheduler.hasten(7, until_)
    scheduler.hasten(8, 1.0)

    assert scheduler.next_due() == 3.0
    scheduler.release_due(5.0)
    scheduler.step(scheduler.ready.popleft())
    assert woken == [0]
    assert not scheduler.ready
    assert scheduler.next_due() == 105.0


def test_deadlines_of_waits_that_were_hastened_are_forgotten() -> None:
    scheduler = Scheduler(lambda task, error: None)

    async def flow(token: int) -> None:
        while True:
            await Park(1e9, token)

    for key in range(1, 501):
        scheduler.start(flow(key), key, None)
    for _ in range(20):
        while scheduler.ready:
            scheduler.step(scheduler.ready.popleft())
        for key in range(1, 501):
            scheduler.hasten(key, 0.0)
        scheduler.release_due(0.0)

    assert len(scheduler._heap) <= 2000
    for task in list(scheduler.tasks.values()):
        scheduler.drop(task)
