"""The public names: sorted, documented, complete."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import batchkit

PACKAGES = ("batchkit", "batchkit.storage", "batchkit.testing")


def package(name: str) -> ModuleType:
    return importlib.import_module(name)


def exported(name: str) -> list[str]:
    return list(package(name).__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_sorted_without_regard_to_case(name: str) -> None:
    names = [each for each in exported(name) if each != "__version__"]
    assert names == sorted(names, key=str.casefold)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_exists_once(name: str) -> None:
    names = exported(name)
    assert len(names) == len(set(names))
    assert all(hasattr(package(name), each) for each in names)


def objects() -> list[tuple[str, Any]]:
    return [
        (f"{name}.{each}", getattr(package(name), each))
        for name in PACKAGES
        for each in exported(name)
    ]


def documented_constants(path: Path) -> set[str]:
    """Names that a ``#:`` comment stands above: data have no docstring of their own."""
    lines = path.read_text("utf-8").splitlines()
    found = set()
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and lines[node.lineno - 2].startswith(
            "#:"
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("name", "value"), objects(), ids=[name for name, _ in objects()])
def test_every_name_is_documented(name: str, value: Any) -> None:
    if isinstance(value, type) or callable(value):
        # attrs writes no docstring; an inherited one says nothing about this class.
        assert value.__doc__
        return
    if name != "batchkit.__version__":
        root = Path(batchkit.__file__).parent
        constants = [documented_constants(path) for path in root.rglob("*.py")]
        assert name.rpartition(".")[2] in set().union(*constants)


@pytest.mark.parametrize("name", PACKAGES)
def test_nothing_public_is_left_out(name: str) -> None:
    found = package(name)
    public = {
        each
        for each, value in vars(found).items()
        if not each.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public - set(exported(name)) - {"annotations", "Path"} == set()


def test_exceptions_show_the_name_that_users_import() -> None:
    shown = [value for name, value in objects() if name.startswith("batchkit.")]
    errors = [each for each in shown if isinstance(each, type) and issubclass(each, Exception)]
    assert {each.__module__ for each in errors} == {"batchkit"}
