"""What a run leaves behind: results, chains of jobs, summaries, and no garbage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    BatchRunner,
    Capabilities,
    ExitCode,
    Finished,
    Job,
    JobCompleted,
    JobStatus,
    Output,
    Transcript,
)
from batchkit._io import Park
from batchkit._scheduler import Scheduler
from batchkit.storage import Change
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


def only_result(runner: BatchRunner) -> Any:
    (job,) = runner.results()
    return job.result


def test_a_callback_may_add_the_next_job_of_a_chain(executor: str, make_runner: MakeRunner) -> None:
    done: list[str] = []
    runner = make_runner(lambda request: done.append(request.prompt), executor=executor)

    @runner.on(JobCompleted)
    def chain(event: JobCompleted) -> None:
        if len(event.job.title) < 5:
            runner.add(event.job.title + "+")

    runner.add("a")

    assert runner.run().ok
    assert done == ["a", "a+", "a++", "a+++", "a++++"]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("text", {"text": "text"}),
        ({"n": [1, 2]}, {"value": {"n": [1, 2]}}),
        (None, {"value": None}),
        (Transcript(text="hi"), {"text": "hi", "transcript": Transcript(text="hi")}),
        (b"bytes", {"outputs": (Output(data=b"bytes"),)}),
        (Path("made.mp4"), {"outputs": (Output(path="made.mp4"),)}),
        (Output(url="https://x/v.mp4"), {"url": "https://x/v.mp4"}),
        (Finished(text="t", cost=2.5), {"text": "t"}),
    ],
)
def test_what_a_function_returns_is_kept(
    returned: object, expected: dict[str, Any], make_runner: MakeRunner, storage: Any
) -> None:
    runner = make_runner(lambda request: returned, storage=storage)
    runner.add("a")

    assert runner.run().ok
    result = only_result(runner)
    assert {name: getattr(result, name) for name in expected} == expected


def test_what_cannot_be_kept_as_json_is_kept_as_text(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(lambda request: {1, 2})
    runner.add("a")

    assert runner.run().ok
    assert only_result(runner).text == "{1, 2}"
    assert "returned set" in caplog.text


def test_files_are_delivered_and_outputs_forgotten(
    executor: str, make_runner: MakeRunner, tmp_path: Path
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), executor=executor, output=tmp_path / "out")
    runner.add("a cat")

    assert runner.run().ok
    result = only_result(runner)
    assert result.path == tmp_path / "out" / "0001-a-cat.mp4"
    assert result.path.read_bytes().startswith(b"video of a cat")
    assert result.outputs == ()


def test_the_cost_is_added_up(make_runner: MakeRunner, storage: Any) -> None:
    runner = make_runner(FakeClient(FakeProvider(price=1.5)), storage=storage)
    assert runner.progress().cost is None
    runner.add_many(["a", "b [flaky]", "c [reject]"])

    assert runner.run().progress.cost == 4.5


def test_a_sample_is_not_called_held(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)
    runner.add_many(["a", "b"])

    summary = runner.run(limit=1)

    assert summary.exit_code is ExitCode.DONE
    assert summary.headline("en").startswith("Sample done: 1 Completed, 1 Pending")


def test_a_partly_failed_batch_is_no_success(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(["a", "b [reject]"])

    summary = runner.run()

    assert not summary.ok
    assert summary.exit_code is ExitCode.FAILED
    assert "Terminou com erros" in str(summary)
    assert summary.failures[0].count == 1
    assert "<table>" in summary._repr_html_()


def test_retry_failed_takes_them_up_again(executor: str, make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), executor=executor)
    runner.add_many(["a [reject]", "b [fail]", "c"])
    runner.run()

    assert runner.retry_failed() == 2
    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1, "b": 2, "c": 1}


def test_local_work_that_died_is_repeated_for_free(executor: str, make_runner: MakeRunner) -> None:
    class Local:
        capabilities = Capabilities(repeat="free", sync_result=True, local=True)

        def submit(self, job: Job) -> Finished:
            return Finished(text="done")

    runner = make_runner(Local(), executor=executor)
    job = runner.add("a")
    epoch = runner.storage.acquire(runner.batch.id)
    (claimed,) = runner.storage.claim(runner.batch.id, epoch, 1, 0)
    started = claimed.to(JobStatus.SUBMITTING, attempt=1)
    runner.storage.save([Change(started, claimed)])
    runner.storage.release(runner.batch.id)

    assert runner.run().ok
    assert runner.job(job).attempt == 2


def test_deadlines_of_waits_that_ended_early_are_forgotten() -> None:
    scheduler = Scheduler(lambda task, error: None)

    async def flow(token: int) -> None:
        for _ in range(3):
            await Park(1e9, token)

    for key in range(1, 2001):
        scheduler.start(flow(key), key, None)
    for _ in range(3):
        while scheduler.ready:
            scheduler.step(scheduler.ready.popleft())
        for key in range(1, 2001):
            scheduler.post(key)
        scheduler.drain()

    assert len(scheduler._heap) <= 4000
