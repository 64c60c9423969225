"""The way out of uncertain submissions on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cli_kit
import pytest
from cli_kit import Cli, buy, refused

from batchkit import BatchRunner

cli = cli_kit.cli


@pytest.fixture
def doubtful(cli: Cli) -> Cli:
    """A batch with two uncertain jobs, 1 and 3, and a completed one."""
    Path("prompts.txt").write_text("lost cat\nbird\nlost dog\n")
    assert buy(cli).exit_code == 3
    return cli


def statuses() -> list[str]:
    with BatchRunner.open("batchkit.db") as runner:
        return [str(job.status) for job in runner.jobs()]


def test_they_are_listed_by_cause_with_what_to_do(doubtful: Cli) -> None:
    result = doubtful("uncertain")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "2 × the submission may have been accepted (no answer)"
    assert lines[1].split()[:3] == ["1", "lost", "cat"]
    assert " UTC  " in lines[1]
    assert lines[1].endswith("-0-1")
    assert lines[-3:] == [
        "  it is there: batchkit resolve 1 --handle ID",
        "  it is not there, submit it again: batchkit resolve 1 3 --not-accepted",
        "  give up; cancels nothing there: batchkit cancel 1 3",
    ]


def test_programs_get_the_same(doubtful: Cli) -> None:
    (cause,) = json.loads(doubtful("uncertain", "--json").stdout)
    assert (cause["count"], cause["message"]) == (
        2,
        "the submission may have been accepted (no answer)",
    )
    first, second = cause["jobs"]
    assert (first["id"], second["title"]) == (1, "lost dog")
    assert first["submit_key"].endswith("-0-1")
    assert first["submitted"] > 0


def test_there_may_be_none(cli: Cli) -> None:
    Path("prompts.txt").write_text("bird\n")
    buy(cli)
    result = cli("uncertain")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No uncertain submissions\n"
    assert json.loads(cli("uncertain", "--json").stdout) == []


def test_one_that_was_found_is_polled_and_one_that_was_not_is_submitted_again(
    doubtful: Cli, tmp_path: Path
) -> None:
    found = doubtful("resolve", "1", "--handle", "the real cat")
    assert found.stdout == "Polled on, without a new submission: 1 · batchkit resume\n"
    absent = doubtful("resolve", "3", "--not-accepted", "--json")
    assert json.loads(absent.stdout) == {
        "batch": "videos",
        "changed": [{"id": 3, "status": "pending"}],
        "unchanged": [],
    }
    assert doubtful("resume").exit_code == 0
    videos = tmp_path / "videos"
    assert (videos / "0001-lost-cat.mp4").read_bytes() == b"video of the real cat"
    assert (videos / "0003-lost-dog.mp4").read_bytes() == b"video of lost dog"
    with BatchRunner.open("batchkit.db") as runner:
        assert [job.attempt for job in runner.jobs()] == [1, 1, 2]


def test_all_at_once(doubtful: Cli) -> None:
    assert doubtful("resolve", "--all", "--not-accepted").exit_code == 0
    assert statuses() == ["pending", "completed", "pending"]


def test_a_job_that_is_not_uncertain_is_left_alone(doubtful: Cli) -> None:
    result = doubtful("resolve", "1", "2", "--not-accepted")
    assert result.exit_code == 1
    assert result.stdout.startswith("To be submitted again: 1")
    assert result.stderr == "Job 2 was not changed: Completed\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["1"], "--handle with the id at the provider, or --not-accepted"),
        (["1", "--handle", "x", "--not-accepted"], "say one of them"),
        (["--not-accepted"], "their numbers"),
        (["1", "--all", "--not-accepted"], "or --all"),
        (["1", "3", "--handle", "x"], "--handle is of one job"),
        (["1", "--not-accepted", "--data", "{}"], "--data goes with --handle"),
        (["1", "--handle", "x", "--data", "{"], "--data is no JSON object"),
        (["1", "--handle", "x", "--data", "[]"], "--data is no JSON object"),
        (["1", "9", "--not-accepted"], "has no job 9"),
    ],
)
def test_what_is_not_clear_changes_nothing(doubtful: Cli, words: list[str], part: str) -> None:
    refused(doubtful("resolve", *words), 2, part)
    assert statuses() == ["uncertain", "completed", "uncertain"]


def test_what_polling_needs_besides_comes_along(doubtful: Cli) -> None:
    doubtful("resolve", "1", "--handle", "x", "--data", '{"region": "sa"}')
    with BatchRunner.open("batchkit.db") as runner:
        handle = runner.job(1).handle
        assert handle is not None
        assert (handle.id, dict(handle.data)) == ("x", {"region": "sa"})


def test_giving_up_lets_the_batch_be_done(doubtful: Cli) -> None:
    result = doubtful("cancel", "1", "3")
    assert result.stdout == "Off the list: 1, 3 (nothing was cancelled at a provider)\n"
    assert doubtful("resume").exit_code == 0


def test_the_choice_can_be_made_beforehand(cli: Cli) -> None:
    Path("prompts.txt").write_text("lost cat\n")
    assert buy(cli, "--on-uncertain", "fail").exit_code == 1
    Path("prompts.txt").write_text("lost dog\n")
    words = ("--on-uncertain", "resubmit", "--name", "again", "--output", "again")
    assert buy(cli, *words).exit_code == 0
    with BatchRunner.open("batchkit.db", name="again") as runner:
        assert [job.attempt for job in runner.jobs()] == [2]
