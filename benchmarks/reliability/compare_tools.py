"""Runs batchkit and its peers through five ways of going wrong; prints who paid twice.

``python benchmarks/reliability/compare_tools.py``; ``nox -s reliability`` installs what it needs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from scenarios import SCENARIOS, TOOLS, Tool, play

_TITLES = {
    False: "The provider knows no keys",
    True: "The provider replays keys, and every tool sends one",
}


def main() -> None:
    options = _options()
    tools = [t for t in TOOLS if options.tools is None or t.package in options.tools]
    print(_head(tools))
    for keys in {"no": (False,), "yes": (True,), "both": (False, True)}[options.keys]:
        with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
            rows = [
                [SCENARIOS[name].title, *(_cell(t, name, Path(folder), keys=keys) for t in tools)]
                for name in options.scenarios
            ]
        head = ["", *(tool.label for tool in tools)]
        print(f"\n{_TITLES[keys]}\n\n{_text(head, rows)}\n\n{_markdown(head, rows)}")


def _cell(tool: Tool, name: str, folder: Path, *, keys: bool) -> str:
    place = folder / f"{tool.label}-{name}".replace(" ", "")
    try:
        found = play(tool, name, place, python=sys.executable, keys=keys)
    except (RuntimeError, AssertionError, subprocess.TimeoutExpired) as exc:
        cell = f"not run: {exc}"
    else:
        cell = "has no callback" if found is None else SCENARIOS[name].cell(found)
    print(f"{tool.label}, {name}: {cell}", file=sys.stderr)
    return cell.replace("\n", " ")


def _head(tools: list[Tool]) -> str:
    packages = dict.fromkeys(tool.package for tool in tools)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"{today}, Python {platform.python_version()}: {versions}"


def _text(head: list[str], rows: list[list[str]]) -> str:
    blocks = []
    for title, *cells in rows:
        width = max(map(len, head))
        lines = [f"  {name:<{width}}  {cell}" for name, cell in zip(head[1:], cells, strict=True)]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tools", nargs="+", metavar="PACKAGE", help="only these")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--keys", choices=["no", "yes", "both"], default="both")
    parser.add_argument("--folder", default="", help="where the databases are made")
    return parser.parse_args()


if __name__ == "__main__":
    main()
