"""Which result is collected first, what a stuck disk or download does, and what a death leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_kit import INLINE, WITH_OUTPUT, Scripted, Shelf, dies_at, ends, run_one

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobStatus,
    Output,
    PollPolicy,
    RemoteState,
    RemoteStatus,
    StorageError,
    StorageFullError,
)
from batchkit._results import Artifact
from batchkit.executors._calls import COLLECT_THREADS
from batchkit.testing import Crash, FakeClock

MakeRunner = Callable[..., BatchRunner]
FAST = PollPolicy(first=0.01, cap=0.02)


class Dated:
    """Every job is done at once, and its result goes at the time that its prompt names."""

    capabilities = INLINE

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        expires = None if handle.id == "unknown" else float(handle.id)
        output = Output(data=b"x", ref=handle.id, expires=expires)
        return ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(output,)))


class Ordered(Shelf):
    """Notes in which order outputs are brought; none ends before all that fit have begun."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.order: list[str] = []
        self.together = threading.Barrier(at_once)

    def write(self, job: Job, output: Output, data: Any) -> tuple[Artifact, ...]:
        self.order.append(job.title)
        if len(self.order) <= self.together.parties:
            self.together.wait(10)
        return super().write(job, output, data)


SOON = [f"{n}e10" for n in range(1, COLLECT_THREADS + 1)]
LATE = ["5e11", "7e11", "9e11", "unknown"]


def test_what_expires_soonest_is_collected_first(executor: str, make_runner: MakeRunner) -> None:
    titles = [*reversed(LATE), *SOON]
    dying = make_runner(
        Dated(), artifacts=Shelf(), max_concurrent=len(titles), executor="threads",
        hook=dies_at("write:before"),
    )  # fmt: skip
    dying.add_many(titles)
    with pytest.raises(Crash):
        dying.run()
    assert dying.counts() == {JobStatus.COLLECTING: len(titles)}
    shelf = Ordered(1 if executor == "sequential" else COLLECT_THREADS)

    make_runner(Dated(), artifacts=shelf, storage=dying.storage, executor=executor).run()

    assert sorted(shelf.order[:COLLECT_THREADS]) == SOON
    assert sorted(shelf.order[COLLECT_THREADS:]) == LATE
    if executor == "sequential":
        assert shelf.order == SOON + LATE


def test_how_long_a_provider_keeps_results_dates_them(
    make_runner: MakeRunner, clock: FakeClock
) -> None:
    keeps = Capabilities(inline=True, result_ttl_seconds=3600.0)
    outputs = (Output(ref="r"), Output(ref="s", expires=5.0), Output(data=b"x"))
    poll = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=outputs))
    runner = make_runner(Scripted(capabilities=keeps, poll=poll))

    job = run_one(runner)

    assert job.result is not None
    assert [out.expires for out in job.result.outputs] == [clock.time() + 3600, 5.0, None]
    assert job.result.expires == 5.0


# -- what is stuck


@pytest.mark.parametrize("run", ["threads", "asyncio"])
@pytest.mark.parametrize("what", ["fetch", "write"])
def test_a_stuck_download_is_given_up_and_tried_again(
    make_runner: MakeRunner, run: str, what: str
) -> None:
    leave, tries = threading.Event(), list[str]()

    def slow(*_: Any) -> Any:
        tries.append(what)
        if len(tries) == 1:
            leave.wait(30)
        return b"bytes" if what == "fetch" else (Artifact(path=Path("x"), size=1, sha256="0"),)

    shelf = Shelf()
    client = Scripted(poll=WITH_OUTPUT, fetch=slow if what == "fetch" else b"bytes")
    if what == "write":
        shelf.write = slow  # type: ignore[method-assign, assignment]
    runner = make_runner(
        client, artifacts=shelf, executor=run, clock=None, collect_timeout=0.2, poll=FAST
    )
    runner.hook = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchkit._engine_io.GRACE_SECONDS", 0.0)
        job = run_one(runner)
    leave.set()

    assert job.status is JobStatus.COMPLETED
    assert 2 <= len(tries) <= 4


def test_a_place_that_does_not_answer_ends_the_run_before_anything_is_paid(
    make_runner: MakeRunner,
) -> None:
    leave = threading.Event()
    shelf, client = Shelf(), Scripted(poll=WITH_OUTPUT, fetch=b"x")

    def hang(job: Job) -> None:
        leave.wait(30)

    shelf.existing = hang  # type: ignore[method-assign]
    runner = make_runner(
        client, artifacts=shelf, executor="threads", clock=None, collect_timeout=0.2
    )
    runner.add("a")

    with pytest.raises(StorageError, match=r"has not answered within 0\.2 s"):
        runner.run()
    leave.set()

    assert client.calls == {}
    assert runner.counts() == {JobStatus.PENDING: 1}


def raises(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [OSError("broken sector"), KeyError("x")], ids=["disk", "bug"])
def test_what_cannot_be_looked_at_is_not_there(
    executor: str, make_runner: MakeRunner, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    shelf.existing = raises(error)  # type: ignore[method-assign]
    client = Scripted(poll=WITH_OUTPUT, fetch=b"bytes")

    assert run_one(make_runner(client, artifacts=shelf, executor=executor)).status == "completed"
    assert "what lies on disk is not used" in caplog.text


def test_a_place_that_cannot_be_used_ends_the_run_before_anything_is_paid(
    make_runner: MakeRunner,
) -> None:
    shelf, client = Shelf(), Scripted(poll=WITH_OUTPUT, fetch=b"bytes")
    shelf.existing = raises(StorageFullError("no such disk"))  # type: ignore[method-assign]
    runner = make_runner(client, artifacts=shelf)
    runner.add("a")

    with pytest.raises(StorageFullError, match="no such disk"):
        runner.run()

    assert client.calls == {}


# -- deaths between outputs


TWO = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(Output(ref="one"), Output(ref="two"))))


class Fetching:
    """Two outputs for each job; notes what is fetched."""

    capabilities = INLINE

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id="remote-1"))

    def poll(self, handle: Handle) -> RemoteStatus:
        return TWO

    def fetch(self, job: Job, output: Output) -> bytes:
        self.fetched.append(str(output.ref))
        return str(output.ref).encode()


def dead_between_outputs(runner: BatchRunner) -> None:
    seen = list[str]()

    def hook(point: str) -> None:
        seen.append(point)
        if seen.count("write:before") == 2:
            raise Crash(point)

    runner.hook = hook
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None


def test_a_death_between_outputs_repeats_none(
    executor: str, make_runner: MakeRunner, storage: Any, tmp_path: Path
) -> None:
    client, out = Fetching(), tmp_path / "out"
    runner = make_runner(client, output=out, executor=executor, storage=storage)
    dead_between_outputs(runner)

    job = run_one(runner)

    assert client.fetched == ["one", "two", "two"]
    assert job.result is not None
    assert [each.path.read_bytes() for each in job.result.artifacts] == [b"one", b"two"]
    assert (job.result.outputs, job.result.collected) == ((), 0)
    assert len(list(out.glob("*.mp4"))) == 2


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_what_was_collected_and_is_gone_is_collected_again(
    make_runner: MakeRunner, tmp_path: Path, damage: str
) -> None:
    client, out = Fetching(), tmp_path / "out"
    runner = make_runner(client, output=out)
    dead_between_outputs(runner)
    (first,) = out.glob("*.mp4")
    first.unlink()
    if damage == "changed":
        first.write_bytes(b"0ne")

    job = run_one(runner)

    assert client.fetched == ["one", "two", "one", "two"]
    assert job.result is not None
    assert [each.path.read_bytes() for each in job.result.artifacts] == [b"one", b"two"]


@pytest.mark.parametrize("fault", ["none", "broken"])
def test_a_store_that_cannot_tell_what_it_holds_gets_it_again(
    make_runner: MakeRunner, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, shelf = Fetching(), Shelf()
    if fault == "broken":
        shelf.holds = raises(OSError("no disk"))  # type: ignore[attr-defined]
    runner = make_runner(client, artifacts=shelf)
    dead_between_outputs(runner)

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.fetched == ["one", "two", "one", "two"]
    assert ("holds failed" in caplog.text) == (fault == "broken")


def test_without_a_store_the_addresses_of_a_job_that_died_stay(make_runner: MakeRunner) -> None:
    runner = make_runner(Fetching(), artifacts=Shelf())
    runner.hook = dies_at("fetch:before")
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook, runner.artifacts = None, None

    job = run_one(runner)

    assert job.result is not None
    assert [out.ref for out in job.result.outputs] == ["one", "two"]


# -- promise 4


def whole(job: Job, folder: Path) -> bool:
    assert job.result is not None
    found = [each.path.read_bytes() for each in job.result.artifacts]
    return found == [b"one", b"two"] and all(
        each.path.parent == folder for each in job.result.artifacts
    )


def test_nothing_is_completed_before_its_result_is_on_disk(
    executor: str, make_runner: MakeRunner, storage: Any, tmp_path: Path
) -> None:
    """Dies at every point, and looks at the records and the disk as a stranger finds them."""
    points = list[str]()
    count = make_runner(
        Fetching(), output=tmp_path / "count", executor=executor, hook=points.append
    )
    count.add("a")
    count.run()
    completed = 0
    for point in range(1, len(points) + 1):
        out = tmp_path / str(point)
        runner = make_runner(
            Fetching(), output=out, executor=executor, storage=storage, name=str(point),
            hook=at_point(point),
        )  # fmt: skip
        job = runner.add("a")
        with pytest.raises(Crash):
            runner.run()
        stored = storage.get(job.id)
        if stored is not None and stored.status is JobStatus.COMPLETED:
            completed += 1
            assert whole(stored, out), f"died at {points[point - 1]}"
        runner.hook = None
        runner.artifacts.hook = None  # type: ignore[union-attr]
        if run_one(runner).status is JobStatus.COMPLETED:
            assert whole(runner.job(job), out), f"died at {points[point - 1]}"
    assert completed


def at_point(number: int) -> Callable[[str], None]:
    passed = list[str]()

    def hook(point: str) -> None:
        passed.append(point)
        if len(passed) == number:
            raise Crash(point)

    return hook
