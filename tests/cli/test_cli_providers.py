"""Real providers on the command line: by their names, with keys from the environment only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import cli_kit
import pytest
from cli_kit import Cli, paint, refused, untouched

from batchkit import BatchRunner
from batchkit.clients import names
from batchkit.testing.vendors import VendorServer

cli = cli_kit.cli

KEY = "sk-made-up-for-this-test"
FAL = ("--client", "fal", "--model", "fal-ai/veo3.1/fast", "--delay", "0")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FAL_KEY", "ASSEMBLYAI_API_KEY", "OPENAI_VIDEOS_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("FAL_KEY", KEY)
    with VendorServer("fal", api_key=KEY, polls=1) as server:
        yield server


def at(server: VendorServer, *words: str) -> tuple[str, ...]:
    return ("generate", "prompts.txt", *FAL, "--base-url", server.url, *words)


def test_a_provider_is_named_and_its_key_comes_from_the_environment(
    cli: Cli, fal: VendorServer
) -> None:
    result = cli(*at(fal, "--param", "resolution=1080p", "--param", "duration=5"))
    assert result.exit_code == 0, result.output
    told = f"Paid: up to 3 submissions to fal@{fal.url} · model: fal-ai/veo3.1/fast"
    assert told in result.stderr
    assert fal.submissions() == 3
    assert len(list(Path("videos").glob("*.mp4"))) == 3
    with BatchRunner.open("batchkit.db") as runner:
        params = [job.request.params for job in runner.jobs()]
        assert params == [{"resolution": "1080p", "duration": 5}] * 3


def test_the_key_is_neither_stored_nor_shown(cli: Cli, fal: VendorServer) -> None:
    shown = [cli(*at(fal)).output, cli("clients").output, cli("clients", "--json").output]
    shown += [cli("status", "--json").output, cli("events", "--json").output]
    assert not [text for text in shown if KEY in text]
    with sqlite3.connect("batchkit.db") as database:
        stored = "\n".join(database.iterdump())
    database.close()
    assert fal.url in stored
    assert KEY not in stored


def test_a_batch_finds_its_provider_again(cli: Cli, fal: VendorServer) -> None:
    assert cli(*at(fal, "--limit", "1")).exit_code == 0
    result = cli("resume")
    assert result.exit_code == 0, result.output
    assert f"Client, as last time: fal@{fal.url}" in result.stderr
    assert "Paid: up to 2 submissions" in result.stderr
    assert fal.submissions() == 3


def test_failed_items_are_tried_again_at_the_same_provider(cli: Cli, fal: VendorServer) -> None:
    Path("prompts.txt").write_text("a cat\na dog [reject]\n")
    assert cli(*at(fal)).exit_code == 1
    result = cli("retry-failed", "2")
    assert f"Client, as last time: fal@{fal.url}" in result.stderr
    assert "Paid: up to 1 submissions" in result.stderr


def test_without_its_key_a_batch_stays_as_it_is(
    cli: Cli, fal: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli(*at(fal, "--limit", "1"))
    monkeypatch.delenv("FAL_KEY")
    refused(cli("resume"), 2, "needs a key: set the environment variable FAL_KEY")
    assert fal.submissions() == 1


def test_what_is_done_is_neither_announced_nor_sent_again(cli: Cli, fal: VendorServer) -> None:
    cli(*at(fal))
    again = cli(*at(fal))
    assert again.exit_code == 0
    assert "Paid:" not in again.stderr
    assert fal.submissions() == 3


def test_a_row_of_the_file_knows_better_than_the_command(cli: Cli, fal: VendorServer) -> None:
    rows = [{"prompt": "a cat", "params": {"seed": 7}}, {"prompt": "a dog"}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("generate", "rows.jsonl", *FAL, "--base-url", fal.url)
    result = cli(*words, "--param", "seed=1", "--param", "style=[1, 2]", "--param", "x=1e999")
    assert result.exit_code == 0, result.output
    with BatchRunner.open("batchkit.db") as runner:
        first, second = (job.request.params for job in runner.jobs())
    assert (first["seed"], second["seed"]) == (7, 1)
    # What no provider could read as JSON is a text.
    assert (first["style"], first["x"]) == ([1, 2], "1e999")


def test_work_in_flight_is_not_looked_for_at_another_address(cli: Cli, fal: VendorServer) -> None:
    Path("prompts.txt").write_text("a cat\n")
    fal.drop_next()
    assert cli(*at(fal)).exit_code == 3
    with VendorServer("fal", api_key=KEY) as other:
        result = cli("resume", "--base-url", other.url)
        assert result.exit_code == 2, result.output
        assert "in flight at batchkit.clients.fal.FalClient@" in result.stderr
        assert other.submissions() == 0


def test_files_and_addresses_are_transcribed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)
    Path("talk.wav").write_text("talk.wav")
    paths = ("talk.wav", "https://media.example/lecture.mp4")
    options = ("--client", "deepgram", "--param", "utterances=true", "--delay", "0")
    with VendorServer("deepgram", api_key=KEY) as server:
        words = ("transcribe", *paths, *options, "--base-url", server.url)
        result, again = (cli(*words) for _ in range(2))
        assert server.submissions() == 2
    assert (result.exit_code, again.exit_code) == (0, 0), result.output
    assert "Paid: up to 2 submissions to deepgram@" in result.stderr
    assert len(list(Path("transcripts").glob("*.srt"))) == 2
    with BatchRunner.open("batchkit.db") as runner:
        assert [job.request.params for job in runner.jobs()] == [{"utterances": True}] * 2


# -- refusals, before anything is stored --------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "english", "portuguese"),
    [
        (["--client", "fla"], "choose one of assemblyai, ", "escolha um destes: assemblyai, "),
        (
            ["--client", "fal"],
            "FalClient needs a key: set the environment variable FAL_KEY",
            "FalClient precisa de uma chave: defina a variável de ambiente FAL_KEY",
        ),
        (
            ["--client", "openai-videos"],
            "needs the address of a gateway: say --base-url",
            "precisa do endereço de um gateway: diga --base-url",
        ),
        (
            ["--client", "openai-videos", "--base-url", "gateway/v1"],
            "--base-url is 'gateway/v1': write it as https://",
            "--base-url é 'gateway/v1': escreva como https://",
        ),
        (
            ["--client", "openai-videos", "--base-url", "https://me:pw@gateway/v1"],
            "leave user, password and query out",
            "tire usuário, senha e consulta",
        ),
        (
            ["--client", "storyboard", "--base-url", "https://gateway/v1"],
            "--base-url is for providers by their names, and 'storyboard' is none",
            "--base-url é para provedores pelo nome, e 'storyboard' não é um",
        ),
        (
            ["--client", "fal", "--param", "seed"],
            "--param 'seed' is not understood: write it as NAME=VALUE",
            "--param 'seed' não foi entendido: escreva como NOME=VALOR",
        ),
    ],
)
def test_a_bad_call_says_what_to_change(
    cli: Cli, words: list[str], english: str, portuguese: str
) -> None:
    for lang, said in (("en", english), ("pt", portuguese)):
        result = cli("generate", "prompts.txt", *words, lang=lang)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "Traceback" not in result.output
    assert untouched()


def test_a_model_that_is_missing_is_told_before_there_is_a_database(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    refused(cli("generate", "prompts.txt", "--client", "fal"), 2, "needs a model: say --model")
    assert "diga --model" in cli("generate", "prompts.txt", "--client", "fal", lang="pt").stderr
    assert untouched()


def test_a_transcriber_takes_no_prompts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    result = cli("generate", "prompts.txt", "--client", "assemblyai", lang="pt")
    assert "AssemblyAI transcreve: use batchkit transcribe" in result.stderr
    assert result.exit_code == 2
    assert untouched()


def test_recordings_are_checked_before_there_is_a_database(cli: Cli) -> None:
    Path("talk.mp4").write_bytes(b"x")
    words = ("transcribe", "talk.mp4", "--client", "assemblyai")
    refused(cli(*words), 2, "needs a key", "ASSEMBLYAI_API_KEY")
    assert untouched()


# -- what there is --------------------------------------------------------------------------------


def test_clients_are_listed_with_their_keys(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    lines = cli("clients").stdout.splitlines()
    assert [line.split()[0] for line in lines] == names()
    told = {line.split()[0]: line.split(None, 1)[1] for line in lines}
    assert told["fal"] == "FAL_KEY: set"
    assert told["assemblyai"] == "ASSEMBLYAI_API_KEY: not set"
    assert told["openai-videos"] == "OPENAI_VIDEOS_KEY: not set (optional)"
    assert told["storyboard"] == "no key"
    records = {record["name"]: record for record in json.loads(cli("clients", "--json").stdout)}
    assert (records["fal"]["ready"], records["assemblyai"]["ready"]) == (True, False)
    assert "FAL_KEY: definida" in cli("clients", lang="pt").stdout


# -- what it costs ---------------------------------------------------------------------------------

PRICED = """
from batchkit import Capabilities

class Priced:
    capabilities = Capabilities(sync_result=True)

    def submit(self, job):
        from batchkit import Finished
        return Finished(text="done")

    def estimate(self, job):
        return None if "cat" in job.title else 0.25
"""


def test_the_cost_is_told_where_it_can_be_estimated(cli: Cli) -> None:
    Path("mine.py").write_text(PRICED)
    words = ("generate", "prompts.txt", "--client", "mine:Priced", "--delay", "0")
    Path("prompts.txt").write_text("a dog\na bird\na horse\n")
    limited = cli(*words, "--limit", "1")
    assert "Paid: up to 1 submissions to mine:Priced" in limited.stderr
    assert "Estimated cost, at most: 0.25 (" in limited.stderr
    assert "Estimated cost, at most: 0.5 (" in cli(*words).stderr
    Path("prompts.txt").write_text("a cat\na cow\n")
    unknown = cli(*words)
    assert "Paid: up to 2 submissions" in unknown.stderr
    assert "Estimated" not in unknown.stderr


def test_what_is_free_announces_nothing(cli: Cli) -> None:
    assert "Paid:" not in paint(cli).stderr
