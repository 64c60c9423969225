"""The documentation is run: every block of code, every command line, every name that it owes."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import batchkit
from batchkit import BatchConfig, JobStatus

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
#: Pages that run a real model or a process.
SLOW = {"tutorial.md"}

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """The fenced blocks of a page in one of these languages: number of the first line, content."""
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        if found[1] in languages:
            yield text.count("\n", 0, found.start(2)), found[2]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def slow_ones(page: Path) -> Any:
    return pytest.param(page, marks=pytest.mark.slow) if page.name in SLOW else page


def run_block(page: Path, line: int, code: str, names: dict[str, Any]) -> None:
    """Runs one block; ``await`` may stand at its top, as in a notebook."""
    # Blank lines in front, so that a traceback names the line of the page.
    source = "\n" * line + code
    compiled = compile(source, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


@pytest.mark.parametrize(
    "page", [slow_ones(page) for page in PAGES if any(blocks(page, "python"))], ids=name_of
)
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHKIT_LANG", raising=False)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(None):
        for line, code in blocks(page, "python"):
            run_block(page, line, code, names)


@pytest.mark.slow
def test_the_tutorial_saved_as_a_file_runs_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for _ in range(2):
        names: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(None):
            for line, code in blocks(DOCS / "tutorial.md", "python"):
                run_block(DOCS / "tutorial.md", line, code, names)


def command_lines() -> Iterator[Any]:
    for page in PAGES:
        for line, text in blocks(page, "bash", "console", "sh"):
            for offset, written in enumerate(text.splitlines()):
                for part in written.removeprefix("$ ").split("&&"):
                    words = shlex.split(part, comments=True)
                    if words[:1] == ["batchkit"]:
                        where = f"{name_of(page)}:{line + offset + 1}"
                        yield pytest.param(words[1:], id=where)


@pytest.mark.parametrize("words", list(command_lines()))
def test_command_lines_are_understood(words: list[str]) -> None:
    click = pytest.importorskip("click", reason="the extra cli is not installed")
    command = root_command()
    context = click.Context(command, info_name="batchkit")
    while isinstance(command, click.Group):
        # Options of the group, then the name of a command.
        _, rest, _ = command.make_parser(context).parse_args(list(words))
        if not rest:
            return
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        context = click.Context(found, info_name=rest[0], parent=context)
        command, words = found, rest[1:]
    command.make_parser(context).parse_args(list(words))


def root_command() -> Any:
    return importlib.import_module("batchkit.cli._app").cli


@pytest.fixture(scope="module")
def reference() -> str:
    return "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))


def test_every_public_name_is_in_the_reference(reference: str) -> None:
    owed = set(batchkit.__all__)
    for package in ("storage", "executors", "artifacts", "sources", "testing"):
        owed |= set(importlib.import_module(f"batchkit.{package}").__all__)
    missing = [name for name in sorted(owed) if not re.search(rf"\b{name}\b", reference)]

    assert missing == []


@pytest.fixture(scope="module")
def conf() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "conf.py"))


def test_every_option_is_in_the_reference(conf: dict[str, Any]) -> None:
    page = (DOCS / "reference" / "configuration.md").read_text("utf-8")
    table = conf["config_table"]()

    assert "<!-- generated: configuration -->" in page
    for field in attrs.fields(BatchConfig):
        row = next(line for line in table.splitlines() if line.startswith(f"| `{field.name}` "))
        meaning = row.split("|")[-2].strip()
        assert meaning, f"{field.name} has no description in the docstring of BatchConfig"


def test_the_states_are_generated(conf: dict[str, Any]) -> None:
    page = (DOCS / "reference" / "states.md").read_text("utf-8")
    generated = conf["state_table"]() + conf["state_diagram"]()

    assert "<!-- generated: states -->" in page
    assert all(status.name in generated for status in JobStatus)


def test_the_tests_that_promises_name_exist() -> None:
    page = (DOCS / "explanation" / "promises.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    written = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [name for name in sorted(named) if f"def {name}(" not in written]

    assert named
    assert missing == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{name_of(page)}: {link}"
        for page in PAGES
        for link in _LINK.findall(re.sub(_FENCE, "", page.read_text("utf-8")))
        if "://" not in link and not (page.parent / link).exists()
    ]

    assert broken == []
