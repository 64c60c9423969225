"""The commands that steer a batch, and single jobs of it."""

from __future__ import annotations

import json
from pathlib import Path

import cli_kit
import pytest
from cli_kit import Cli, paint, refused

from batchkit import BatchRunner, JobStatus
from batchkit.cli import _options

cli = cli_kit.cli


def test_pause_stop_and_resume(cli: Cli) -> None:
    Path("prompts.txt").write_text("a\nb\n")
    paint(cli, "--limit", "0")
    assert cli("pause").stdout.endswith("To go on: batchkit unpause\n")
    paused = paint(cli)
    assert paused.exit_code == 3
    assert paused.stdout.startswith("Paused (batch videos): 0 of 2")
    assert "Go on: batchkit resume\n" in paused.stdout
    assert cli("resume").exit_code == 0
    assert cli("stop").stdout.startswith("Batch videos: whoever runs it")
    assert json.loads(cli("stop", "--now", "--json").stdout)["control"] == "aborting"
    # A stop is of a run, not of the batch.
    assert paint(cli).exit_code == 0


def test_resume_of_a_paused_batch_that_runs_elsewhere_lets_it_go_on(cli: Cli) -> None:
    paint(cli, "--limit", "0")
    cli("pause")
    with BatchRunner.open("batchkit.db") as owner:
        owner.storage.acquire(owner.batch.id)
        result = cli("resume", "--client", "mine:paint")
        assert result.stdout == "The batch goes on in the process that runs it.\n"
        assert result.exit_code == 0
        assert not owner.progress().paused
        refused(cli("resume", "--client", "mine:paint"), 4, "this very program", "batchkit stop")


def test_prune(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(cli)
    assert cli("prune", "--older-than", "1d").stdout.startswith("Jobs deleted from the database: 0")
    monkeypatch.setattr("batchkit.cli._steer.time.time", lambda: 4e9)
    assert json.loads(cli("prune", "--older-than", "1w", "--json").stdout) == {"pruned": 3}
    assert Path("videos/0001-a-cat.mp4").exists()
    assert cli("prune", "--older-than", "1d", "--name", "videos").exit_code == 2
    refused(cli("prune", "--older-than", "30"), 2, "'30' is no age", "30d")


@pytest.mark.parametrize(("age", "seconds"), [("90s", 90), ("1.5h", 5400), (" 2W ", 1209600)])
def test_ages(age: str, seconds: float) -> None:
    assert _options.age(age) == seconds


# -- single jobs -----------------------------------------------------------------------------


def statuses() -> list[str]:
    with BatchRunner.open("batchkit.db") as runner:
        return [str(job.status) for job in runner.jobs()]


@pytest.fixture
def waiting(cli: Cli) -> Cli:
    """Three jobs that wait; nobody runs them."""
    paint(cli, "--limit", "0")
    return cli


def test_unpause_lets_the_batch_go_on_without_running_it(waiting: Cli) -> None:
    waiting("pause")
    result = waiting("unpause")
    assert result.stdout == "Batch videos may go on. If nobody runs it: batchkit resume\n"
    assert json.loads(waiting("unpause", "--json").stdout)["control"] == "running"
    assert statuses() == ["pending"] * 3


def test_hold_and_release(waiting: Cli) -> None:
    assert waiting("hold", "1", "3").stdout == "Held: 1, 3\n"
    again = waiting("hold", "1", "2")
    assert again.exit_code == 1
    assert (again.stdout, again.stderr) == ("Held: 2\n", "Job 1 was not changed: Paused\n")
    assert statuses() == ["paused"] * 3
    assert waiting("release", "2").stdout == "Queued again: 2 · batchkit resume\n"
    record = json.loads(waiting("release", "--status", "paused", "--json").stdout)
    assert record["changed"] == [{"id": n, "status": "pending"} for n in (1, 3)]
    assert statuses() == ["pending"] * 3


def test_remove_takes_only_what_was_never_submitted(cli: Cli) -> None:
    paint(cli, "--limit", "1", "--executor", "sequential")
    result = cli("remove", "1", "2")
    assert result.exit_code == 1
    assert (result.stdout, result.stderr) == ("Removed: 2\n", "Job 1 was not changed: Completed\n")
    assert statuses() == ["completed", "pending"]


def test_cancel_of_what_waits_is_done_at_once(waiting: Cli) -> None:
    assert waiting("cancel", "2").stdout.startswith("Off the list: 2 (nothing was cancelled")
    assert waiting("resume").exit_code == 0
    assert statuses() == ["completed", "canceled", "completed"]
    assert waiting("cancel", "2").exit_code == 1


def test_cancel_of_what_is_in_flight_is_asked_for(waiting: Cli) -> None:
    with BatchRunner.open("batchkit.db") as runner:
        job = runner.job(1)
        assert runner.storage.steer(job.to(JobStatus.SUBMITTING), job.status, None)
    result = waiting("cancel", "1", "2", lang="pt")
    asked, done = sorted(result.stdout.splitlines())
    assert asked.startswith("Cancelamento pedido: 1; quem executa o lote cancela no provedor")
    assert done.startswith("Fora da lista: 2")


@pytest.mark.parametrize("name", ["hold", "release", "cancel", "remove"])
def test_a_job_has_to_be_named_and_to_exist(waiting: Cli, name: str) -> None:
    refused(waiting(name), 2, "say which jobs")
    refused(waiting(name, "1", "77"), 2, "has no job 77")
    assert statuses() == ["pending"] * 3
    none = waiting(name, "--status", "expired")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "No jobs\n")
