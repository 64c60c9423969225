"""Starts the command line, once it is sure that ``batchkit`` is really ours.

Another distribution, by another vendor, is called ``batchkit`` on PyPI and writes into the same
import folder. Whichever was installed last wins, file by file; this package has a name of its own,
so that somebody is left to notice.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

REMEDY = (
    "python -m pip uninstall -y batchkit && "
    "python -m pip install --force-reinstall --no-deps batchkit-video"
)


def main(args: Sequence[str] | None = None) -> int:
    """The command ``batchkit``.

    Args:
        args: the words after the program's name; by default those it was called with.

    Returns:
        the exit code, unless the command line has ended the process itself.
    """
    words = list(sys.argv[1:] if args is None else args)
    lang, rest = _language_in(words)
    # Before anything of batchkit is touched: it has to work when batchkit does not.
    if sorted(rest) in (["doctor"], ["--json", "doctor"]):
        from batchkit_video._doctor import examine

        return examine(lang, as_json="--json" in rest)
    if (fault := find_fault(lang)) is not None:
        sys.stderr.write(f"{both(lang, 'Error', 'Erro')}: {fault}\n")
        return 2
    from batchkit.cli import main as run

    return run(words)


def _language_in(words: Sequence[str]) -> tuple[str, list[str]]:
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


if __name__ == "__main__":
    sys.exit(main())
