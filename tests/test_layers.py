"""Which module may import which: decisions know neither clocks nor threads nor the network."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import batchkit

ROOT = Path(batchkit.__file__).parent
CORE = {
    "_errors",
    "_jobs",
    "_events",
    "_redaction",
    "_retry",
    "_polling",
    "_limits",
    "_progress",
    "_i18n",
    "_messages",
    "_wording",
    "_requests",
    "_results",
    "_config",
    "_verdicts",
    "_io",
    "_calls",
    "_flow",
    "_dispatch",
    "_scheduler",
    "_codec",
    "_engine",
}
MODULES = sorted(ROOT.rglob("*.py"))
EFFECTS = {"asyncio", "anyio", "trio", "threading", "time", "random", "httpx", "sqlite3"}
OUTER = ("batchkit.executors", "batchkit.ui", "batchkit.cli", "batchkit.sources")
HEAVY = ("httpx", "trio", "click", "rich", "av", "cryptography")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Every module that is imported anywhere in a file, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{_source(node, path)}.{alias.name}" for alias in node.names}
    return found


def _source(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *filter(None, [node.module])])


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def core_modules() -> list[Path]:
    contracts = [path for path in ROOT.glob("*/base.py") if path.parent.name != "executors"]
    return [path for path in MODULES if path.parent == ROOT and path.stem in CORE] + contracts


@pytest.mark.parametrize("path", core_modules(), ids=name_of)
def test_decisions_have_no_effects(path: Path) -> None:
    assert not {name for name in imports(path) if within(name, *EFFECTS)}


@pytest.mark.parametrize("path", core_modules(), ids=name_of)
def test_decisions_do_not_know_who_runs_them(path: Path) -> None:
    found = imports(path)
    assert not {name for name in found if within(name, *OUTER)}
    clients = {name for name in found if within(name, "batchkit.clients")}
    assert all(within(name, "batchkit.clients.base") for name in clients)


@pytest.mark.parametrize("path", sorted((ROOT / "storage").glob("*.py")), ids=name_of)
def test_storages_do_not_know_what_runs_on_them(path: Path) -> None:
    above = ("_flow", "_engine", "_scheduler", "_dispatch", "_runner", "_session", "executors")
    private = tuple(f"batchkit.{name}" for name in above)
    assert not {name for name in imports(path) if within(name, *private, *OUTER)}


def test_the_list_of_the_core_is_true() -> None:
    found = {path.stem for path in MODULES if path.parent == ROOT}
    assert not CORE - found


@pytest.mark.parametrize("path", [p for p in MODULES if "testing" not in p.parts], ids=name_of)
def test_nothing_imports_the_test_tools(path: Path) -> None:
    assert not {name for name in imports(path) if within(name, "batchkit.testing")}


def test_importing_batchkit_is_light() -> None:
    script = "import sys, json, batchkit; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    loaded = json.loads(done.stdout)
    assert "batchkit._runner" in loaded
    assert not [name for name in loaded if within(name, *HEAVY)]
