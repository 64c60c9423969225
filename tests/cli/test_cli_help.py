"""The command line explains itself, in two languages."""

from __future__ import annotations

import re

import cli_kit
import click
import pytest
from cli_kit import Cli

from batchkit import JobStatus, __version__
from batchkit.cli import _app
from batchkit.cli._help_pt import COMMANDS, OPTIONS

cli = cli_kit.cli

NAMES = sorted(_app.cli.commands)


@pytest.mark.parametrize("lang", ["pt", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(cli: Cli, name: str, lang: str) -> None:
    result = cli(name, "--help", lang=lang)
    assert result.exit_code == 0
    for option in ("--json", "--lang", "--verbose"):
        assert option in result.stdout
    assert name in ("clients", "doctor") or "--storage" in result.stdout


@pytest.mark.parametrize("name", ["transcribe", "generate", "resume", "retry-failed"])
def test_commands_that_run_take_the_same_options(cli: Cli, name: str) -> None:
    for option in ("executor", "max-concurrent", "output", "template", "format", "limit"):
        assert f"--{option}" in cli(name, "--help").stdout
    assert "--stop-on-error" in cli(name, "--help").stdout


@pytest.mark.parametrize("name", ["generate", "transcribe", "resume", "retry-failed"])
def test_commands_that_may_pay_say_how(cli: Cli, name: str) -> None:
    text = cli(name, "--help").stdout
    for option in ("on-uncertain", "max-double-cost", "rate-limit", "request-timeout", "base-url"):
        assert f"--{option}" in text
    assert "--key" not in text


@pytest.mark.parametrize("lang", ["pt", "en"])
def test_version_and_help(cli: Cli, lang: str) -> None:
    assert __version__ in cli("--version").stdout
    text = cli("-h", lang=lang).stdout
    examples, codes = (
        ("Exemplos:", "Códigos de saída:") if lang == "pt" else ("Examples:", "Exit codes:")
    )
    commands = text.split(examples)[0]
    assert codes in text
    # A first sentence that is cut tells nobody anything.
    assert "..." not in commands.split("[ARGS]...")[1]
    assert all(f"  {name} " in commands for name in NAMES)


def test_jobs_have_every_status_as_a_choice(cli: Cli) -> None:
    text = cli("list", "--help").stdout
    assert all(str(status) in text for status in JobStatus)


# -- two languages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("--lang", "pt", "status", "--help"),
        ("status", "--lang", "pt", "--help"),
        ("status", "--help", "--lang=pt"),
        ("--help", "--lang", "pt"),
    ],
)
def test_the_language_is_taken_from_anywhere(cli: Cli, words: tuple[str, ...]) -> None:
    text = cli(*words).stdout
    assert text.startswith("Uso: batchkit")
    assert "Opções:" in text


@pytest.mark.parametrize(
    ("locale", "first"), [("pt_BR.UTF-8", "Uso"), ("en_GB.UTF-8", "Usage"), ("C.UTF-8", "Uso")]
)
def test_the_locale_decides_when_nobody_does(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, locale: str, first: str
) -> None:
    monkeypatch.setenv("LANG", locale)
    assert cli("--help", lang="").stdout.startswith(f"{first}: batchkit")


def options() -> set[str]:
    context = click.Context(_app.cli, info_name="batchkit")
    found: set[str] = set()
    for command in (_app.cli, *_app.cli.commands.values()):
        params = command.get_params(context)
        found |= {p.help or "" for p in params if isinstance(p, click.Option)}
    return found


def test_everything_has_a_help_in_portuguese_and_nothing_more() -> None:
    assert set(OPTIONS) == options()
    assert set(COMMANDS) == {*NAMES, "batchkit", "batchkit:epilog"}


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_give_the_same_examples(name: str) -> None:
    def examples(text: str) -> list[str]:
        return re.findall(r"^ +batchkit .*$", text, re.MULTILINE)

    english = _app.cli.commands[name].help or ""
    assert [e.strip() for e in examples(english)] == [e.strip() for e in examples(COMMANDS[name])]
