"""The command line in this process: what it answers, and with which exit code."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchkit import BatchRunner, JobStatus, Summary, __version__
from batchkit.cli import _app, _options
from batchkit.storage import SQLiteStorage

MEDIA = Path(__file__).parents[2] / "examples" / "media"
Cli = Callable[..., Result]

#: A client of the kind that people have in a file of their own.
MINE = """
from batchkit import Capabilities

def paint(request):
    if "bad" in request.prompt:
        raise ValueError("the prompt is bad")
    return b"video of " + request.prompt.encode()

paint.capabilities = Capabilities(repeat="free", sync_result=True)

def other(request):
    return b"x"

other.capabilities = paint.capabilities

def broken():
    raise RuntimeError("no configuration")
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command in an empty folder that holds ``mine.py`` and ``prompts.txt``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.delenv("BATCHKIT_LANG", raising=False)
    monkeypatch.setattr(_options, "LOCK_SECONDS", 0.05)
    Path("mine.py").write_text(MINE)
    Path("prompts.txt").write_text("a cat\na bad dog\na bird\n")

    def invoke(*words: str, lang: str = "en") -> Result:
        env = {"BATCHKIT_LANG": lang}
        return CliRunner().invoke(_app.cli, list(words), env=env, prog_name="batchkit")

    return invoke


def paint(cli: Cli, *words: str) -> Result:
    return cli("generate", "prompts.txt", "--client", "mine:paint", *words)


def refused(result: Result, code: int, *parts: str) -> None:
    """It ended with *code* and one line that holds *parts*, and no traceback."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    for part in parts:
        assert part in errors[0]
    assert result.stdout == ""


# -- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "transcribe",
        "generate",
        "status",
        "resume",
        "retry-failed",
        "list",
        "prune",
        "pause",
        "stop",
    ],
)
def test_every_command_explains_itself(cli: Cli, name: str) -> None:
    result = cli(name, "--help")
    assert result.exit_code == 0
    for option in ("--storage", "--name", "--json", "--lang", "--verbose"):
        assert option in result.stdout


@pytest.mark.parametrize("name", ["transcribe", "generate", "resume", "retry-failed"])
def test_commands_that_run_take_the_same_options(cli: Cli, name: str) -> None:
    for option in ("executor", "max-concurrent", "output", "template", "format", "limit"):
        assert f"--{option}" in cli(name, "--help").stdout
    assert "--stop-on-error" in cli(name, "--help").stdout


def test_version_and_help(cli: Cli) -> None:
    assert __version__ in cli("--version").stdout
    text = cli("-h").stdout
    assert "Examples:" in text
    assert "Exit codes:" in text
    # A first sentence that is cut tells nobody anything.
    assert "..." not in text.split("Commands:")[1].split("Examples:")[0]


# -- runs ------------------------------------------------------------------------------------


def test_generate_delivers_tells_what_failed_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    result = paint(cli)
    assert result.exit_code == 1
    assert "Batch videos · new jobs: 3 · known already: 0" in result.stderr
    assert "Failed: ValueError: the prompt is bad" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Finished with failures (batch videos): 2 of 3 jobs completed")
    assert "      example: item 2, a bad dog" in lines
    assert f"Results in: {tmp_path / 'videos'}" in lines
    assert lines[-1] == "Try the failed ones again: batchkit retry-failed --client MODULE:FACTORY"
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
    assert "Go on: batchkit resume --client MODULE:FACTORY" in sample.stdout
    stands = cli("status").stdout
    assert stands.startswith("Partly done: jobs are still queued (batch videos): 1 of 3")
    result = cli("resume", "--client", "mine:paint")
    assert result.exit_code == 0
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


# -- looking and steering --------------------------------------------------------------------


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


def test_pause_stop_and_resume(cli: Cli) -> None:
    Path("prompts.txt").write_text("a\nb\n")
    paint(cli, "--limit", "0")
    assert cli("pause").stdout.endswith("To go on: batchkit resume\n")
    paused = paint(cli)
    assert paused.exit_code == 3
    assert paused.stdout.startswith("Paused (batch videos): 0 of 2")
    assert "Go on: batchkit resume --client MODULE:FACTORY" in paused.stdout
    assert cli("resume", "--client", "mine:paint").exit_code == 0
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
        refused(cli("resume", "--client", "mine:paint"), 4, "another runner (process ")


def test_prune(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(cli)
    assert cli("prune", "--older-than", "1d").stdout.startswith("Jobs deleted from the database: 0")
    monkeypatch.setattr("batchkit.cli._look.time.time", lambda: 4e9)
    assert json.loads(cli("prune", "--older-than", "1w", "--json").stdout) == {"pruned": 3}
    assert Path("videos/0001-a-cat.mp4").exists()
    assert cli("prune", "--older-than", "1d", "--name", "videos").exit_code == 2
    refused(cli("prune", "--older-than", "30"), 2, "'30' is no age", "30d")


@pytest.mark.parametrize(("age", "seconds"), [("90s", 90), ("1.5h", 5400), (" 2W ", 1209600)])
def test_ages(age: str, seconds: float) -> None:
    assert _options.age(age) == seconds


# -- bad input -------------------------------------------------------------------------------


def untouched() -> bool:
    return not Path("batchkit.db").exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["transcribe", "nope.mp4"], ["there is no file", "nope.mp4"]),
        (["transcribe", "."], ["holds no recording"]),
        (["transcribe", "*.mp4"], ["the pattern", "holds no recording"]),
        (["transcribe", str(MEDIA), "--template", "{nope}.{ext}"], ["unknown field {nope}"]),
        (["transcribe", str(MEDIA), "--template", "../{ext}"], ["template"]),
        (["transcribe", str(MEDIA), "--format", "pdf"], ["'pdf'", "srt"]),
        (["generate", "nope.txt"], ["there is no file nope.txt"]),
        (["generate", "mine.py"], ["mine.py is no file of prompts"]),
        (["generate", "empty.txt"], ["empty.txt holds no prompt"]),
        (["generate", "bad.jsonl"], ["bad.jsonl, line 2", "not JSON"]),
        (["generate", "prompts.txt", "--client", "nope"], ["'nope' is not known"]),
        (["generate", "prompts.txt", "--client", "nope:f"], ["cannot be imported"]),
        (["generate", "prompts.txt", "--client", "mine:nope"], ["cannot be imported"]),
        (["generate", "prompts.txt", "--client", "mine:broken"], ["no configuration"]),
        (["status"], ["there is no batch database at batchkit.db", "--storage"]),
        (["resume"], ["there is no batch database"]),
        (["list"], ["there is no batch database"]),
    ],
)
def test_bad_calls_end_with_2_and_leave_nothing_behind(
    cli: Cli, words: list[str], parts: list[str]
) -> None:
    Path("empty.txt").write_text("\n\n")
    Path("bad.jsonl").write_text('"a"\n{\n')
    refused(cli(*words), 2, *parts)
    assert untouched()


def test_an_unknown_model(cli: Cli) -> None:
    Path("talk.mp4").write_bytes(b"x")
    result = cli("transcribe", "talk.mp4", "--model", "gigantic")
    refused(result, 2, "'gigantic' is no known model")


def test_a_language_that_the_model_does_not_know(cli: Cli) -> None:
    Path("talk.mp4").write_bytes(b"x")
    result = cli("transcribe", "talk.mp4", "--model", "tiny.en", "--language", "pt")
    refused(result, 2, "'pt'", "choose another model")


@pytest.mark.parametrize(
    "words",
    [
        ["--max-concurrent", "-1"],
        ["--max-concurrent", "0"],
        ["--limit", "-1"],
        ["--executor", "gpu"],
        ["--lang", "fr"],
        ["--nope"],
    ],
)
def test_bad_options(cli: Cli, words: list[str]) -> None:
    result = paint(cli, *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr
    assert untouched()


def test_an_output_folder_that_cannot_be(cli: Cli) -> None:
    result = paint(cli, "--output", "prompts.txt/videos")
    refused(result, 4, "cannot be written", "choose another folder")
    assert untouched()


def test_a_storage_whose_folder_is_missing(cli: Cli) -> None:
    refused(paint(cli, "--storage", "no/batch.db"), 4, "no/batch.db", "folder exists")


def test_a_locked_database(cli: Cli) -> None:
    paint(cli)
    other = sqlite3.connect("batchkit.db")
    other.execute("BEGIN EXCLUSIVE")
    try:
        refused(paint(cli), 4, "locked by another program")
    finally:
        other.close()


def test_a_corrupt_database(cli: Cli) -> None:
    Path("batchkit.db").write_bytes(b"not a database at all, whatever its name says" * 100)
    refused(paint(cli), 4, "damaged", "restore")
    refused(cli("status"), 4, "damaged")


def test_a_foreign_database(cli: Cli) -> None:
    with sqlite3.connect("batchkit.db") as other:
        other.execute("CREATE TABLE photos (id INTEGER)")
    other.close()
    refused(paint(cli), 4, "belongs to another program")


def test_a_newer_database(cli: Cli) -> None:
    SQLiteStorage("batchkit.db").close()
    other = sqlite3.connect("batchkit.db")
    other.execute("PRAGMA user_version = 999")
    other.close()
    refused(paint(cli), 4, "newer batchkit", "999")


def test_a_second_runner(cli: Cli) -> None:
    paint(cli, "--limit", "0")
    with BatchRunner.open("batchkit.db") as owner:
        owner.storage.acquire(owner.batch.id)
        result = paint(cli)
    assert result.exit_code == 4
    assert "Error: another runner (process " in result.stderr


def test_another_client_is_refused(cli: Cli) -> None:
    paint(cli)
    result = cli("generate", "prompts.txt", "--client", "mine:other")
    refused(result, 2, "was run with mine.paint, not with mine.other", "--output or --name")


def test_a_client_that_the_batch_does_not_tell(cli: Cli) -> None:
    paint(cli)
    refused(cli("resume"), 2, "mine.paint", "--client package.module:factory")
    refused(cli("retry-failed"), 2, "--client")
    assert json.loads(cli("status", "--json").stdout)["failed"] == 1
    with BatchRunner.open("batchkit.db") as runner:
        BatchRunner(None, name="new", storage=runner.storage)
    refused(cli("resume", "--name", "new"), 2, "was never run", "--client")


def test_several_batches_and_no_name(cli: Cli) -> None:
    paint(cli)
    again = paint(cli, "--name", "again")
    assert "batchkit retry-failed --name again" in again.stdout
    refused(cli("status"), 2, "several batches", "again, videos")
    refused(cli("status", "--name", "nope"), 2, "no batch 'nope'")


def test_verbose_shows_where_an_error_came_from_and_the_log(cli: Cli) -> None:
    result = cli("transcribe", "nope.mp4", "--verbose")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: there is no file")


def test_a_fault_of_batchkit_itself_is_one_line_too(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: BatchRunner) -> Summary:
        raise ZeroDivisionError("division by zero")

    paint(cli)
    monkeypatch.setattr(BatchRunner, "summary", fail)
    refused(cli("status"), 1, "ZeroDivisionError: division by zero", "--verbose")


def test_ctrl_c_at_any_time_ends_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: BatchRunner, **options: Any) -> Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchRunner, "run", interrupt)
    result = paint(cli)
    assert result.exit_code == 130
    assert "Interrupted. The same command goes on from here." in result.stderr


def test_warnings_of_the_library_are_seen(cli: Cli) -> None:
    Path("mine.py").write_text(MINE + "\ndef odd(request):\n    return object()\n")
    result = cli("generate", "prompts.txt", "--client", "mine:odd", "--limit", "1")
    assert "Warning: the function returned object, which is kept as text" in result.stderr


def test_jobs_have_every_status_as_a_choice(cli: Cli) -> None:
    text = cli("list", "--help").stdout
    assert all(str(status) in text for status in JobStatus)
