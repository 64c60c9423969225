"""The commands that look at batches, and change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import cli_kit
from cli_kit import Cli, paint, refused

from batchkit import BatchRunner, JobStatus
from batchkit.storage import SQLiteStorage

cli = cli_kit.cli


def test_status_tells_and_ends_with_0(cli: Cli) -> None:
    paint(cli)
    result = cli("status")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "Finished with failures (batch videos): 2 of 3 jobs completed\n"
    )
    record = json.loads(cli("status", "--json").stdout)
    assert (record["exit_code"], record["client"]) == (1, "mine.paint")


def test_list(cli: Cli, tmp_path: Path) -> None:
    paint(cli)
    lines = cli("list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["1", "Completed"],
        ["2", "Failed"],
        ["3", "Completed"],
    ]
    assert lines[1].endswith("a bad dog  ValueError: the prompt is bad")
    only = cli("list", "--status", "failed", "--status", "expired")
    assert only.stdout.splitlines() == [lines[1]]
    none = cli("list", "--status", "pending")
    assert (none.stdout, none.stderr) == ("", "No jobs\n")
    jobs = json.loads(cli("list", "--json").stdout)
    assert jobs[0]["files"] == [str(tmp_path / "videos" / "0001-a-cat.mp4")]
    assert jobs[1]["error"]["kind"] == "client"
    assert json.loads(cli("list", "--json", "--status", "pending").stdout) == []


def test_list_batches(cli: Cli) -> None:
    paint(cli)
    assert cli("list", "--batches").stdout == "videos: 2 Completed, 1 Failed\n"
    (record,) = json.loads(cli("list", "--batches", "--json").stdout)
    assert (record["name"], record["counts"]) == ("videos", {"completed": 2, "failed": 1})
    SQLiteStorage("empty.db").close()
    assert cli("list", "--batches", "--storage", "empty.db").stderr == "No batches\n"


def test_why(cli: Cli) -> None:
    Path("prompts.txt").write_text("a bad dog\na cat\na bird\n")
    paint(cli, "--limit", "1", "--executor", "sequential")
    cli("hold", "2")
    assert cli("why").stdout.splitlines() == [
        "    1  a bad dog",
        "       Failed: ValueError: the prompt is bad",
        "    2  a cat",
        "       Paused: held by a person",
        "    3  a bird",
        "       Pending: nobody is running the batch",
    ]
    assert cli("why", "3", lang="pt").stdout.endswith("Pendente: ninguém executa o lote agora\n")
    (record,) = json.loads(cli("why", "2", "--json").stdout)
    assert record == {"id": 2, "status": "paused", "why": "Paused: held by a person"}
    refused(cli("why", "77"), 2, "has no job 77")


def test_events(cli: Cli) -> None:
    paint(cli)
    told = json.loads(cli("events", "--json").stdout)
    assert told[0]["event"] == "batch_started"
    assert [e["seq"] for e in told] == sorted(e["seq"] for e in told)
    of_one = json.loads(cli("events", "--json", "--job", "2").stdout)
    assert [e["event"] for e in of_one] == ["submitting", "failed"]
    assert {e["title"] for e in of_one} == {"a bad dog"}
    line = cli("events", "--job", "2").stdout.splitlines()[-1]
    assert line.endswith("    2  a bad dog  ValueError: the prompt is bad")
    last = str(told[-1]["seq"])
    none = cli("events", "--since", last)
    assert (none.stdout, none.stderr) == ("", "Nothing has happened yet\n")


def test_verify_finds_what_is_missing_and_another_name_makes_only_that_again(
    cli: Cli, tmp_path: Path
) -> None:
    Path("prompts.txt").write_text("a cat\na bird\n")
    paint(cli)
    assert cli("verify").stdout == "Files checked: 2 · missing or changed: 0\n"
    (tmp_path / "videos" / "0002-a-bird.mp4").unlink()
    result = cli("verify")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "Files checked: 2 · missing or changed: 1",
        f"    2  {tmp_path / 'videos' / '0002-a-bird.mp4'}",
    ]
    assert json.loads(cli("verify", "--json").stdout)["bad"][0]["id"] == 2
    # The same command says that all is done, and leaves it so.
    assert paint(cli).exit_code == 0
    assert cli("verify").exit_code == 1
    assert paint(cli, "--name", "again").exit_code == 0
    assert cli("verify", "--name", "again").exit_code == 0
    with BatchRunner.open("batchkit.db", name="again") as runner:
        assert [job.attempt for job in runner.jobs()] == [0, 1]


def test_local_work_is_in_processing_wherever_it_is_shown(cli: Cli) -> None:
    Path("prompts.txt").write_text("a cat\na bird\n")
    cli("generate", "prompts.txt", "--limit", "0")
    with BatchRunner.open("batchkit.db") as runner:
        job = runner.job(1)
        # As a run leaves it that was killed.
        assert runner.storage.steer(job.to(JobStatus.SUBMITTING), job.status, None)
    assert "1  Processing" in cli("list").stdout
    assert "1 Processing" in cli("list", "--batches").stdout
    assert "  Processing       1" in cli("status").stdout
    assert "Processando" in cli("why", "1", lang="pt").stdout
