"""Whose package ``batchkit`` is, and in which language that is said. Imports nothing of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

REMEDY = (
    "python -m pip uninstall -y batchkit && "
    "python -m pip install --force-reinstall --no-deps batchkit-video"
)


def language_in(words: Sequence[str]) -> tuple[str, list[str]]:
    """The language asked for, or the locale's as batchkit finds it; and the other words."""
    lang = ""
    rest: list[str] = []
    waiting = False
    for word in words:
        if waiting:
            lang, waiting = word, False
        elif word == "--lang":
            waiting = True
        elif word.startswith("--lang="):
            lang = word.partition("=")[2]
        else:
            rest.append(word)
    names = ("BATCHKIT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    found = (lang or next(filter(None, map(os.environ.get, names)), "")).lower()
    nothing = found.partition(".")[0] in ("", "c", "posix")
    return "pt" if nothing or found.startswith("pt") else "en", rest


def both(lang: str, english: str, portuguese: str) -> str:
    """The text in the language to show."""
    return portuguese if lang == "pt" else english


def find_fault(lang: str = "en") -> str | None:
    """What is wrong with the package ``batchkit`` that this Python finds; ``None``: nothing."""
    try:
        found = importlib.import_module("batchkit")
    except ImportError as exc:
        problem = both(
            lang, f"batchkit cannot be imported ({exc})", f"batchkit não pode ser importado ({exc})"
        )
        return f"{problem}: {REMEDY}"
    if hasattr(found, "__version__") and hasattr(found, "BatchRunner"):
        return None
    place = place_of(found.__file__)
    problem = both(
        lang,
        f"the batchkit at {place} is another vendor's package of that name, or is mixed with it",
        f"o batchkit em {place} é um pacote de outro fornecedor, ou está misturado com ele",
    )
    return f"{problem}: {REMEDY}"


def place_of(file: str | None) -> str:
    """The folder of a module's file."""
    return str(Path(file).parent) if file else "?"
