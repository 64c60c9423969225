"""A folder with a client and prompts in it, and ways to call the command line there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchkit.cli import _app, _options

MEDIA = Path(__file__).parents[2] / "examples" / "media"
Cli = Callable[..., Result]

#: A client of the kind that people have in a file of their own.
MINE = """
from batchkit import Accepted, Capabilities, Finished, Handle, Output, OutcomeUnknownError
from batchkit import RemoteStatus

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

class Shop:
    def submit(self, job):
        if "lost" in job.title and job.attempt == 1:
            raise OutcomeUnknownError("no answer")
        return Accepted(handle=Handle(id=job.title), poll_after=0)

    def poll(self, handle):
        done = Finished(outputs=(Output(data=b"video of " + handle.id.encode()),))
        return RemoteStatus(state="succeeded", finished=done)

def shop():
    return Shop()
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


def buy(cli: Cli, *words: str) -> Result:
    return cli("generate", "prompts.txt", "--client", "mine:shop", "--delay", "0", *words)


def refused(result: Result, code: int, *parts: str) -> None:
    """It ended with *code* and one line that holds *parts*, and no traceback."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    for part in parts:
        assert part in errors[0]
    assert result.stdout == ""


def untouched() -> bool:
    return not Path("batchkit.db").exists()
