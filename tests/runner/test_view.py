"""What a view of a batch says, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    BatchRunner,
    GenerateVideo,
    Handle,
    JobStatus,
    TranscribeVideo,
    UsageError,
)
from batchkit._batch_steering import BatchSteering
from batchkit.storage import Entry, MemoryStorage, SQLiteStorage
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


def test_a_job_of_another_batch_is_not_there(make_runner: MakeRunner) -> None:
    storage = MemoryStorage()
    mine = make_runner(lambda request: None, storage=storage)
    other = make_runner(lambda request: None, storage=storage, name="other")
    job = other.add("a")

    with pytest.raises(LookupError):
        mine.job(job)
    with pytest.raises(LookupError):
        mine.remove(job)
    assert other.counts() == {JobStatus.PENDING: 1}


def test_what_waits_and_what_is_uncertain_can_be_listed(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add_many(["a [drop_after]", "b [reject]"])
    assert len(list(runner.pending())) == 2
    runner.run()

    assert [job.title for doubt in runner.uncertain() for job in doubt.jobs] == ["a [drop_after]"]
    assert [job.title for job in runner.jobs("failed")] == ["b [reject]"]
    assert "a.db" not in repr(runner)
    assert "1 uncertain" in repr(runner)
    assert "<b>default</b>" in runner._repr_html_()


def test_why_names_the_fault_and_the_remedy(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    jobs = [runner.add(prompt) for prompt in ("a [reject]", "b [drop_after]", "c [busy]", "d")]
    held = runner.add("e")
    runner.hold(held)
    runner.max_concurrent = 10
    runner.config = runner.config.replace(max_retries=0)
    runner.run()

    said = [runner.why(job, lang="en") for job in [*jobs, held]]

    assert "the prompt is not allowed" in said[0]
    assert "check the connection, then retry" in said[2]
    assert said[4] == "Paused: held by a person"
    assert len(set(said)) == 5
    assert runner.why(jobs[2], lang="pt").endswith(
        "(verifique a conexão e repita os itens que falharam)"
    )


def test_an_uncertain_job_can_be_resolved_both_ways(make_runner: MakeRunner, storage: Any) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider), storage=storage)
    found, lost = runner.add("a [drop_after]"), runner.add("b [drop_before]")
    runner.run()
    (remote,) = provider.jobs

    assert runner.resolve(found, Handle(id=remote))
    assert runner.resolve(lost, "not accepted")
    assert not runner.resolve(lost, "not accepted")

    assert runner.run().ok
    assert provider.ledger.charges == {"a": 1, "b": 1}


def test_an_uncertain_job_is_submitted_again_only_when_told_so(make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider))
    job = runner.add("a [drop_before]")
    runner.run()

    assert not runner.retry(job)
    assert runner.retry(job, resubmit=True)
    assert runner.run().ok


def test_only_what_has_not_begun_can_be_prioritized(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.run()

    assert not runner.prioritize(job, 5)
    assert not runner.cancel(job)
    assert not runner.retry(job)


def test_prune_refuses_the_future_and_deletes_the_past(make_runner: MakeRunner, clock: Any) -> None:
    storage = MemoryStorage()
    old = make_runner(FakeClient(FakeProvider()), storage=storage, name="old")
    old.add_many(["a", "b"])
    old.run()
    clock.advance(86400 * 40)
    runner = make_runner(FakeClient(FakeProvider()), storage=storage, name="new")

    with pytest.raises(UsageError, match="older_than is negative"):
        runner.prune(-1)
    assert runner.prune(86400 * 30) == 2
    assert [batch.name for batch in storage.batches()] == ["new"]


def test_lines_of_removed_jobs_are_passed_over(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.hold(job)
    runner.release(job)
    runner.remove(job)

    assert list(runner.events()) == []


def test_a_line_of_a_newer_version_is_passed_over(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.storage.append(job.batch_id, [Entry("from_the_future", 0.0, job.id)])
    runner.hold(job)

    assert [event.kind for event in runner.events()] == ["held"]


def test_a_storage_without_a_batch_has_nothing_to_open(tmp_path: Path) -> None:
    SQLiteStorage(tmp_path / "batch.db").close()

    with pytest.raises(UsageError, match="has no batch yet"):
        BatchRunner.open(tmp_path / "batch.db")


def test_a_webhook_without_a_run_is_harmless(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a")
    runner.wake(job)
    runner.wake(job.id)

    assert runner.run().ok


def test_what_is_added_may_have_defaults(make_runner: MakeRunner, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt,duration\na,3\nb,\n")
    (tmp_path / "talk.mp4").write_bytes(b"x")
    runner = make_runner(lambda request: None)
    ready = GenerateVideo(prompt="ready")

    runner.add_many([{"prompt": "c", "duration": 9}, "d", ready], duration=5)
    runner.add_prompts(tmp_path / "prompts.csv", duration=5)
    runner.add_files(tmp_path / "talk.mp4")
    with pytest.raises(UsageError, match="int is not a prompt, a mapping or a request"):
        runner.add_many([12], duration=5)

    requests = [job.request for job in runner.jobs()]
    durations = [getattr(request, "duration", None) for request in requests]
    assert durations == [9, 5, None, 3, 5, None]
    assert requests[5] == TranscribeVideo(source=str(tmp_path / "talk.mp4"))


def test_a_request_may_have_a_key_of_its_own(make_runner: MakeRunner) -> None:
    # BUG: _batch_adding.py add() wraps the request as {"request": ...}, which sources.to_request
    # does not know: "prompt is missing: a generate request needs it".
    runner = make_runner(lambda request: None)
    ready = GenerateVideo(prompt="ready")

    first = runner.add(ready, key="mine")
    same = runner.add(ready, key="mine")
    other = runner.add(ready, key="yours")

    assert (first.request, first.identity) == (ready, "key:mine")
    assert first.id == same.id != other.id


def test_a_batch_can_be_asked_without_a_runner(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    done, waiting = runner.add("a"), runner.add("b")
    runner.run(limit=1)
    view = BatchSteering(runner.storage, runner.batch, runner.clock)

    assert view.why(done) == "Concluído"
    assert "ninguém executa" in view.why(waiting)
    view.pause()
    assert view.counts() == {JobStatus.COMPLETED: 1, JobStatus.PAUSED: 1}


def test_the_concurrency_is_the_batchs_own(make_runner: MakeRunner) -> None:
    storage = MemoryStorage()
    one, other = (make_runner(FakeClient(FakeProvider()), storage=storage) for _ in range(2))

    one.max_concurrent = 7

    assert (one.max_concurrent, other.max_concurrent) == (7, 7)
    with pytest.raises(UsageError, match="max_concurrent is 0"):
        one.max_concurrent = 0
