"""The commands that run a batch: what they answer, and with which exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cli_kit
import pytest
from cli_kit import MINE, Cli, paint

from batchkit import BatchRunner, Summary
from batchkit.cli import _options

cli = cli_kit.cli


def test_generate_delivers_tells_what_failed_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    result = paint(cli)
    assert result.exit_code == 1
    assert "Batch videos · new jobs: 3 · known already: 0" in result.stderr
    assert "Failed: ValueError: the prompt is bad" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Finished with failures (batch videos): 2 of 3 jobs completed")
    assert "      example: item 2, a bad dog" in lines
    assert f"Results in: {tmp_path / 'videos'}" in lines
    assert lines[-2:] == [
        "Try the failed ones again: batchkit retry-failed",
        "Give up on the failed ones: batchkit cancel --status failed --status expired",
    ]
    assert (tmp_path / "videos" / "0001-a-cat.mp4").read_bytes() == b"video of a cat"


def test_the_same_command_again_does_nothing_twice(cli: Cli, tmp_path: Path) -> None:
    paint(cli)
    before = sorted(Path("videos").iterdir())
    result = paint(cli)
    assert "new jobs: 0 · known already: 3" in result.stderr
    assert sorted(Path("videos").iterdir()) == before
    with BatchRunner.open("batchkit.db") as runner:
        assert [job.attempt for job in runner.jobs()] == [1, 1, 1]


def test_everything_done_ends_with_0_in_portuguese(cli: Cli) -> None:
    Path("prompts.txt").write_text("um gato\n")
    result = cli("generate", "prompts.txt", "--client", "mine:paint", lang="pt")
    assert result.exit_code == 0
    assert result.stdout.startswith("Tudo concluído (lote videos): 1 de 1 itens concluídos")
    assert "Lote videos · itens novos: 1" in result.stderr


def test_json_is_all_there_is_on_stdout_and_no_progress(cli: Cli, tmp_path: Path) -> None:
    result = paint(cli, "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    record = json.loads(result.stdout)
    assert record["ok"] is False
    assert record["exit_code"] == 1
    assert record["counts"] == {"completed": 2, "failed": 1}
    assert record["failures"][0]["message"] == "ValueError: the prompt is bad"
    assert record["output"] == str(tmp_path / "videos")


def test_a_limit_is_a_sample_and_resume_goes_on(cli: Cli) -> None:
    Path("prompts.txt").write_text("a\nb\nc\n")
    sample = paint(cli, "--limit", "1")
    assert sample.exit_code == 0
    assert sample.stdout.startswith("Sample done (batch videos): 1 of 3 jobs completed")
    assert sample.stdout.endswith("Go on: batchkit resume\n")
    stands = cli("status").stdout
    assert stands.startswith("Partly done: jobs are still queued (batch videos): 1 of 3")
    result = cli("resume")
    assert result.exit_code == 0
    assert "Client, as last time: mine:paint" in result.stderr
    assert result.stdout.startswith("All done (batch videos): 3 of 3")


def test_stop_on_error_ends_the_run(cli: Cli) -> None:
    Path("prompts.txt").write_text("bad\na\nb\n")
    result = paint(cli, "--stop-on-error", "--executor", "sequential")
    assert result.exit_code == 1
    assert "Cause: stopped at the first failure" in result.stdout


@pytest.mark.parametrize("executor", ["sequential", "threads", "asyncio", "trio"])
def test_every_executor(cli: Cli, executor: str) -> None:
    assert paint(cli, "--executor", executor).exit_code == 1


def test_options_reach_the_batch(cli: Cli, tmp_path: Path) -> None:
    words = ["--output", "o", "--template", "{slug}.{ext}", "--max-concurrent", "7"]
    paint(cli, *words, "--name", "mine", "--language", "en", "--model", "m1", "--format", "srt,TXT")
    assert (tmp_path / "o" / "a-cat.mp4").exists()
    with BatchRunner.open("batchkit.db", name="mine") as runner:
        assert runner.config.output == str(tmp_path / "o")
        assert runner.config.max_concurrent == 7
        assert runner.config.formats == ("srt", "txt")
        requests: list[Any] = [job.request for job in runner.jobs()]
        assert {(request.language, request.model) for request in requests} == {("en", "m1")}


@pytest.mark.parametrize(
    ("output", "name"),
    [("videos/", "videos"), ("./a/../b", "b"), ("{cwd}/inside", "inside"), ("../out", "../out")],
)
def test_the_batch_is_named_after_the_folder(cli: Cli, output: str, name: str) -> None:
    assert _options.batch_name(output.format(cwd=Path.cwd())) == name


def test_storyboard_is_the_default(cli: Cli, tmp_path: Path) -> None:
    Path("prompts.jsonl").write_text('{"prompt": "a cat", "duration": 0.2}\n')
    assert cli("generate", "prompts.jsonl").exit_code == 0
    assert b"ftyp" in (tmp_path / "videos" / "0001-a-cat.mp4").read_bytes()[:16]
    # The client follows from what the batch remembers.
    assert cli("resume").exit_code == 0


def test_retry_failed_takes_them_up_and_runs(cli: Cli) -> None:
    paint(cli)
    Path("mine.py").write_text(MINE.replace('"bad" in', '"worse" in'))
    sys.modules.pop("mine")
    result = cli("retry-failed", "--client", "mine:paint")
    assert result.exit_code == 0, result.output
    assert "Queued again: 1" in result.stderr


def test_retry_failed_can_leave_the_run_to_later(cli: Cli) -> None:
    paint(cli)
    result = cli("retry-failed", "--no-run", "--json")
    assert json.loads(result.stdout) == {"batch": "videos", "queued": 1}
    assert cli("retry-failed", "--no-run").stdout == "Queued again: 0\n"
    assert json.loads(cli("status", "--json").stdout)["counts"] == {"completed": 2, "pending": 1}


def test_warnings_of_the_library_are_seen(cli: Cli) -> None:
    Path("mine.py").write_text(MINE + "\ndef odd(request):\n    return object()\n")
    result = cli("generate", "prompts.txt", "--client", "mine:odd", "--limit", "1")
    assert "Warning: the function returned object, which is kept as text" in result.stderr


def test_ctrl_c_at_any_time_ends_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: BatchRunner, **options: Any) -> Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchRunner, "run", interrupt)
    result = paint(cli)
    assert result.exit_code == 130
    assert "Interrupted. The same command goes on from here." in result.stderr
