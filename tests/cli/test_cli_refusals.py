"""Bad calls and bad places: one line, an exit code, and nothing left behind."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import cli_kit
import pytest
from cli_kit import MEDIA, MINE, Cli, paint, refused, untouched

from batchkit import BatchRunner, StorageFullError, Summary
from batchkit.artifacts import LocalFolder
from batchkit.storage import SQLiteStorage

cli = cli_kit.cli


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
    refused(result, 2, "'pt'", "--model base")


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
    assert "Error: this very program runs batch" in result.stderr


def test_another_client_is_refused(cli: Cli) -> None:
    paint(cli)
    result = cli("generate", "prompts.txt", "--client", "mine:other")
    refused(result, 2, "was run with mine.paint, not with mine.other", "--output or --name")


def test_a_client_that_the_batch_does_not_tell(cli: Cli) -> None:
    paint(cli)
    with BatchRunner.open("batchkit.db") as runner:
        # As a program leaves it that was given an object.
        runner.storage.update_batch(runner.batch.id, config="{}")
        BatchRunner(None, name="new", storage=runner.storage)
    refused(cli("resume", "--name", "videos"), 2, "mine.paint", "or package.module:factory")
    refused(cli("retry-failed", "--name", "videos"), 2, "--client")
    assert json.loads(cli("status", "--name", "videos", "--json").stdout)["failed"] == 1
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


def test_a_model_that_is_not_here_is_refused_before_there_is_a_batch(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    whisper = pytest.importorskip("faster_whisper")

    def offline(name: str, **options: object) -> str:
        raise FileNotFoundError("no route to the hub")

    monkeypatch.setattr(whisper, "download_model", offline)
    monkeypatch.setattr(whisper, "WhisperModel", offline)
    Path("talk.mp4").write_bytes(b"x")
    result = cli("transcribe", "talk.mp4", "--model", "base")
    assert result.stderr.startswith("Downloading the model base, this once\n")
    refused(result, 2, "the model 'base' is not on this machine", "connect to the internet")
    assert untouched()


def test_a_folder_that_is_lost_ends_with_4_and_a_summary(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = StorageFullError("/videos cannot be written (gone): allow writing there, then run again")

    def report(self: LocalFolder, jobs: object) -> None:
        raise lost

    monkeypatch.setattr(LocalFolder, "report", report)
    Path("prompts.txt").write_text("a cat\n")
    result = paint(cli)
    assert result.exit_code == 4
    assert result.stdout.startswith("All done (batch videos): 1 of 1")
    assert "Cause: /videos cannot be written" in result.stdout or "Error: /videos" in result.stderr
    record = json.loads(paint(cli, "--json").stdout)
    assert (record["ok"], record["exit_code"]) == (False, 4)
    assert record["stopped"].startswith("/videos cannot be written")


def test_a_folder_that_became_a_file_ends_with_4(cli: Cli) -> None:
    Path("mine.py").write_text(
        MINE.replace(
            'return b"video of "',
            'Path("videos").exists() and shutil.rmtree("videos")\n    Path("videos").touch()\n'
            '    return b"video of "',
        ).replace("\nfrom", "\nimport shutil\nfrom pathlib import Path\nfrom", 1)
    )
    Path("prompts.txt").write_text("a cat\n")
    result = paint(cli)
    assert result.exit_code == 4
    assert "remove what is there" in result.stdout
    assert "Go on: batchkit resume" in result.stdout
