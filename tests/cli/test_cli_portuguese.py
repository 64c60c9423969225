"""Whatever the command line refuses, it says why in Portuguese too."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import cli_kit
import pytest
from cli_kit import MEDIA, Cli, paint, untouched

import batchkit
from batchkit.cli._wording import worded
from batchkit.clients import names
from batchkit.clients._load import class_of

cli = cli_kit.cli

ROOT = Path(batchkit.__file__).parent
#: Modules that everybody who uses the command line gets to hear.
OWN = sorted(
    path
    for name in ("cli/*.py", "sources/files.py", "sources/media.py", "_wording.py")
    for path in ROOT.glob(name)
)
#: Clients of providers: what they refuse is told before anything is paid.
PROVIDERS = sorted(
    {
        *(Path(inspect.getfile(class_of(name))) for name in names()),
        *(ROOT / "clients" / name for name in ("_images.py", "_transcripts.py", "http.py")),
    }
)
#: Not of providers, and told in words of their own.
LOCAL = ("storyboard.py", "whisper.py")
ERRORS = ("UsageError", "click.UsageError")


def messages_in(path: Path) -> Iterator[str]:
    """What the errors that a module raises say, with x for every value in them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
            yield "".join(parts_of(node.args[0]))


def parts_of(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield str(part.value) if isinstance(part, ast.Constant) else "x"
    elif isinstance(node, ast.Constant):
        yield str(node.value)
    else:
        yield "x"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transcribe", "nope.mp4"], "Erro: não existe o arquivo "),
        (["transcribe", "."], "Erro: a pasta "),
        (["transcribe", "*.mp4"], "Erro: o padrão "),
        (["transcribe", str(MEDIA), "--template", "{nope}.{ext}"], "Erro: o modelo de nomes "),
        (["transcribe", str(MEDIA), "--template", "../{ext}"], "Erro: o modelo de nomes "),
        (["transcribe", str(MEDIA), "--format", "pdf"], "Erro: 'pdf' não é um formato"),
        (["generate", "mine.py"], "Erro: mine.py não é arquivo de prompts"),
        (["generate", "empty.txt"], "Erro: empty.txt não tem prompts"),
        (["generate", "bad.jsonl"], "Erro: bad.jsonl, linha 2: não é JSON"),
        (["generate", "prompts.txt", "--client", "nope"], "Erro: o cliente 'nope' não é"),
        (["generate", "prompts.txt", "--client", "mine:nope"], "Erro: o cliente 'mine:nope' não"),
        (["generate", "prompts.txt", "--rate-limit", "x"], "Erro: --rate-limit 'x' não foi"),
        (["status"], "Erro: não existe um banco de lotes em batchkit.db"),
        (["prune", "--older-than", "30"], "Erro: '30' não é um tempo"),
        (["nope"], "Erro: Não existe o comando 'nope'."),
        (["status", "--nope"], "Erro: Não existe a opção '--nope'."),
        (["prune"], "Erro: Falta a opção '--older-than'."),
        (["generate"], "Erro: Falta o argumento 'PROMPTS_FILE'."),
        (["generate", "a", "b"], "Erro: Há um argumento a mais (b)"),
        (["generate", "a", "--limit", "-1"], "Erro: Valor inválido para '--limit': -1 está fora"),
        (["generate", "a", "--executor", "gpu"], "Erro: Valor inválido para '--executor': 'gpu'"),
        (["hold", "x"], "Erro: Valor inválido para 'JOB...': 'x' não é um número inteiro."),
        (["status", "--lang", "fr"], "Erro: Valor inválido para '--lang': 'fr' não é um destes"),
    ],
)
def test_refusals_are_told_in_portuguese(cli: Cli, words: list[str], said: str) -> None:
    Path("empty.txt").write_text("\n\n")
    Path("bad.jsonl").write_text('"a"\n{\n')
    result = cli(*words, lang="pt")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(said)
    assert untouched()


def test_faults_of_places_are_told_in_portuguese(cli: Cli) -> None:
    result = cli("generate", "prompts.txt", "--output", "prompts.txt/videos", lang="pt")
    assert result.exit_code == 4
    assert "não pode ser gravado" in result.stderr
    paint(cli)
    paint(cli, "--name", "again")
    assert "diga --name com um destes: again, videos" in cli("status", lang="pt").stderr
    assert "não tem o lote 'x': diga --name" in cli("status", "--name", "x", lang="pt").stderr
    assert "não tem o item 9" in cli("why", "9", "--name", "again", lang="pt").stderr
    Path("batchkit.db").write_bytes(b"not a database at all, whatever its name says" * 100)
    assert "indique outro arquivo com --storage" in cli("status", lang="pt").stderr
    assert "name another file with --storage" in cli("status").stderr


def test_what_is_raised_here_is_known_in_both_languages() -> None:
    """Messages of the command line, of sources and of options have a Portuguese form."""
    missing = [
        f"{path.name}: {message}"
        for path in (*OWN, *(path for path in PROVIDERS if path.name not in LOCAL))
        for message in messages_in(path)
        if worded(message, "pt") == message
    ]
    assert missing == []
