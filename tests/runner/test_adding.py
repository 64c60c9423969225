"""Adding jobs: identity, counting, cleaning, and that running again pays nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Added,
    BatchRunner,
    GenerateVideo,
    Job,
    JobStatus,
    PollPolicy,
    Request,
    RetryPolicy,
    TranscribeVideo,
    UsageError,
    run,
)
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


def test_text_is_split_counted_and_cleaned(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)

    added = runner.add_text("um gato surfando\r\n\n  uma cidade \x07à noite  \n")

    assert added == Added(new=2, existing=0, empty=1)
    assert [job.title for job in runner.jobs()] == ["um gato surfando", "uma cidade à noite"]
    assert all(job.request.language == "pt" for job in runner.jobs())  # type: ignore[attr-defined]


def test_a_delimiter_of_your_own(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)

    assert runner.add_text("a\nb ;; c", delimiter=";;", language="en").new == 2
    assert [job.title for job in runner.jobs()] == ["a\nb", "c"]


def test_the_same_script_three_times_pays_once(tmp_path: Path) -> None:
    provider = FakeProvider()
    prompts = ["a", "b", "b", "c"]

    for _ in range(3):
        with BatchRunner(
            FakeClient(provider),
            storage=tmp_path / "batch.db",
            delay=0,
            poll=PollPolicy.fixed(0),
        ) as runner:
            runner.add_many(prompts)
            assert runner.run().ok

    assert provider.ledger.charges == {"a": 1, "b": 2, "c": 1}
    assert provider.ledger.downloads == {}


def test_a_changed_list_adds_only_what_is_new(make_runner: MakeRunner) -> None:
    provider = FakeProvider()
    runner = make_runner(FakeClient(provider))
    runner.add_many(["a", "b"])
    runner.run()

    again = runner.add_many(["b", "c", "a"])
    assert again == Added(new=1, existing=2)
    assert [runner.job(number).title for number in again.ids] == ["b", "c", "a"]
    runner.run()
    assert provider.ledger.charges == {"a": 1, "b": 1, "c": 1}


def test_equal_items_are_numbered_and_found_again(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)

    assert runner.add_many(["cat", "cat", "dog"]).new == 3
    assert runner.add_many(["cat", "dog", "cat"]).existing == 3
    assert runner.add("cat").index == 0


def test_a_key_of_your_own_decides(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)

    one = runner.add("cat", key="scene-1")
    same = runner.add("another text", key="scene-1")
    other = runner.add("cat", key="scene-2")

    assert one.id == same.id != other.id


def test_requests_mappings_and_texts(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None)

    runner.add(TranscribeVideo(source="talk.mp4"))
    runner.add({"prompt": "a", "duration": 5, "shot": "wide"})
    runner.add("b", language="en", duration=2.5, metadata={"shot": "close"}, priority=3)
    jobs = list(runner.jobs())

    assert jobs[0].request == TranscribeVideo(source="talk.mp4")
    assert jobs[1].request == GenerateVideo(prompt="a", duration=5.0)
    assert jobs[1].metadata == {"shot": "wide"}
    assert jobs[2].request == GenerateVideo(prompt="b", language="en", duration=2.5)
    assert (jobs[2].metadata, jobs[2].priority) == ({"shot": "close"}, 3)


def test_bad_items_are_refused_at_once(make_runner: MakeRunner) -> None:
    runner = make_runner(lambda request: None, max_prompt_length=10)

    with pytest.raises(UsageError, match="empty"):
        runner.add("  \n ")
    with pytest.raises(UsageError, match="10"):
        runner.add("a prompt that is too long")
    with pytest.raises(UsageError):
        runner.add(12)  # type: ignore[arg-type]
    assert runner.counts() == {}


def test_a_clients_own_check_refuses_before_anything_is_paid(make_runner: MakeRunner) -> None:
    class Picky(FakeClient):
        def check(self, request: Request) -> None:
            if request.title == "bad":
                raise UsageError("this model needs a seed: give it one")

    runner = make_runner(Picky(FakeProvider()))

    with pytest.raises(UsageError, match="needs a seed"):
        runner.add("bad")


def test_on_done_hears_of_its_own_job(make_runner: MakeRunner) -> None:
    heard: list[Job] = []
    runner = make_runner(FakeClient(FakeProvider()))
    runner.add("a", on_done=heard.append)
    runner.add("b [reject]", on_done=heard.append)
    runner.add("c")
    runner.run()

    assert sorted((job.title, job.status) for job in heard) == [
        ("a", JobStatus.COMPLETED),
        ("b [reject]", JobStatus.FAILED),
    ]
    again: list[Job] = []
    runner.add("a", on_done=again.append)
    assert [job.status for job in again] == [JobStatus.COMPLETED]


def test_one_line_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    summary = run(lambda request: request.prompt.upper(), ["a", "b"], delay=0)

    assert summary.ok
    with BatchRunner.open() as stored:
        assert [job.result.text for job in stored.results() if job.result] == ["A", "B"]


def test_open_restores_the_configuration(tmp_path: Path) -> None:
    db = tmp_path / "batch.db"
    with BatchRunner(
        FakeClient(FakeProvider()),
        storage=db,
        name="night",
        max_concurrent=7,
        delay=0,
        rate_limit="30/min",
        retry=RetryPolicy(max_retries=9),
        rng=random.Random(1),
    ) as runner:
        runner.run()

    with BatchRunner.open(db) as again:
        assert again.name == "night"
        assert (again.config.max_concurrent, str(again.config.rate_limit)) == (7, "30/min")
        assert again.config.retry is None, "code is not stored"
        with pytest.raises(UsageError, match="no client"):
            again.run()


def make_two(db: Path) -> None:
    for name in "ab":
        BatchRunner(storage=db, name=name).close()


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (lambda db: None, None, "there is no batch storage"),
        (lambda db: BatchRunner(storage=db, name="a").close(), "b", "it has: a"),
        (
            make_two,
            None,
            "name one of a, b",
        ),
    ],
)
def test_open_says_what_is_wrong(
    tmp_path: Path, prepare: Callable[[Path], Any], name: str | None, message: str
) -> None:
    prepare(tmp_path / "batch.db")

    with pytest.raises(UsageError, match=message):
        BatchRunner.open(tmp_path / "batch.db", name=name)
