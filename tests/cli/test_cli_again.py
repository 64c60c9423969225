"""The same command again: what it judges, what it tries again, and what it remembers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cli_kit
import pytest
from cli_kit import MINE, Cli, buy, paint, refused

from batchkit import BatchRunner

cli = cli_kit.cli


def repair() -> None:
    """From now on the client does not mind bad prompts."""
    Path("mine.py").write_text(MINE.replace('"bad" in', '"worse" in'))
    sys.modules.pop("mine")


# -- the exit code is about what was asked for -------------------------------------------------


def test_a_bad_item_of_earlier_fails_no_command_that_does_not_name_it(cli: Cli) -> None:
    assert paint(cli).exit_code == 1
    Path("prompts.txt").write_text("a cat\na horse\n")
    result = paint(cli)
    assert result.exit_code == 0
    assert result.stdout.startswith("Done what was asked for (batch videos): 3 of 4 jobs completed")
    assert "Failures of earlier runs, which this command did not ask for: 1" in result.stdout
    record = json.loads(paint(cli, "--json").stdout)
    assert (record["ok"], record["exit_code"]) == (True, 0)
    assert (record["failed"], record["failed_earlier"]) == (1, 1)
    # Commands about the whole batch still count it.
    assert cli("resume").exit_code == 1
    assert json.loads(cli("status", "--json").stdout)["exit_code"] == 1


def test_a_bad_item_that_is_named_again_still_fails(cli: Cli) -> None:
    paint(cli)
    result = paint(cli)
    assert result.exit_code == 1
    assert "Failed earlier and not tried again: 1 (to try them again: --retry)" in result.stderr


def test_what_fails_in_this_very_run_counts_although_it_was_not_named(cli: Cli) -> None:
    paint(cli, "--limit", "0")
    Path("prompts.txt").write_text("a horse\n")
    assert paint(cli).exit_code == 1


def test_a_failed_job_can_be_given_up(cli: Cli) -> None:
    paint(cli)
    assert cli("cancel", "2").exit_code == 0
    assert cli("resume").exit_code == 0
    assert json.loads(cli("status", "--json").stdout)["ok"] is True
    assert not Path("videos/failed.jsonl").exists()


# -- trying again ------------------------------------------------------------------------------


def test_failed_items_are_tried_again_when_that_is_asked_for(cli: Cli) -> None:
    paint(cli)
    repair()
    result = paint(cli, "--retry")
    assert result.exit_code == 0, result.output
    assert "Queued again: 1" in result.stderr
    with BatchRunner.open("batchkit.db") as runner:
        assert [job.attempt for job in runner.jobs()] == [1, 2, 1]


def test_the_file_of_failed_items_is_one_to_try_again(cli: Cli) -> None:
    paint(cli)
    repair()
    words = ("generate", "videos/failed.jsonl", "--client", "mine:paint")
    idle = cli(*words)
    assert idle.exit_code == 1
    assert "known already: 1" in idle.stderr
    assert "not tried again: 1 (to try them again: --retry)" in idle.stderr
    assert cli(*words, "--retry").exit_code == 0
    assert not Path("videos/failed.jsonl").exists()


def test_failed_items_are_not_paid_for_in_another_batch_unawares(cli: Cli) -> None:
    paint(cli, "--output", "sample")
    repair()
    words = ("generate", "sample/failed.jsonl", "--client", "mine:paint")
    refused(cli(*words), 2, "of batch 'sample'", "--output sample --retry")
    with BatchRunner.open("batchkit.db") as runner:
        assert runner.name == "sample"
    assert cli(*words, "--output", "sample", "--retry").exit_code == 0
    assert cli("list", "--batches").stdout == "sample: 3 Completed\n"


def test_lists_are_no_recordings(cli: Cli) -> None:
    Path("failed.jsonl").write_text("{}\n")
    refused(cli("transcribe", "failed.jsonl"), 2, "is no recording", "batchkit retry-failed")


def test_single_jobs_are_retried_by_their_numbers(cli: Cli) -> None:
    Path("prompts.txt").write_text("bad cat\nbad dog\n")
    paint(cli)
    repair()
    result = cli("retry-failed", "2")
    assert result.exit_code == 1
    assert "Queued again: 1" in result.stderr
    assert json.loads(cli("status", "--json").stdout)["counts"] == {"completed": 1, "failed": 1}
    refused(cli("retry-failed", "9"), 2, "has no job 9")


def test_a_new_submission_is_for_jobs_that_are_named(cli: Cli) -> None:
    Path("prompts.txt").write_text("lost cat\n")
    buy(cli, "--on-uncertain", "fail")
    refused(cli("retry-failed", "--resubmit"), 2, "name the jobs")
    # It is still uncertain, and only looked at again.
    cli("retry-failed", "1", "--no-run")
    assert json.loads(cli("status", "--json").stdout)["counts"] == {"uncertain": 1}
    assert cli("retry-failed", "1", "--resubmit").exit_code == 0


# -- what a batch remembers --------------------------------------------------------------------


def test_the_client_is_found_again_where_it_lies(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(cli)
    repair()
    assert cli("retry-failed").exit_code == 0
    assert "--client" not in paint(cli).stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in (str(tmp_path), "")])
    monkeypatch.delitem(sys.modules, "mine")
    result = cli("resume", "--storage", str(tmp_path / "batchkit.db"))
    refused(result, 2, "client 'mine:paint'", "in the folder where it lies", "--client")


def test_a_template_that_cannot_work_is_not_remembered(cli: Cli) -> None:
    paint(cli, "--limit", "1")
    refused(cli("resume", "--template", "{meta[shot]}.{ext}"), 2, "has no metadata 'shot'")
    assert cli("resume").exit_code == 1
    assert Path("videos/0003-a-bird.mp4").exists()


def test_a_folder_that_a_program_named_relatively_stays_where_it_was(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchRunner("mine:paint", storage="mine.db", output="out", delay=0) as runner:
        runner.add_many(["a cat", "a dog"])
        runner.run(limit=1)
    monkeypatch.chdir("/")
    assert cli("resume", "--storage", str(tmp_path / "mine.db")).exit_code == 0
    assert (tmp_path / "out" / "0002-a-dog.mp4").exists()
