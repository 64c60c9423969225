"""Recordings on disk: files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from batchkit._errors import UsageError

#: Extensions, lower-case and with their dot, by which a folder's recordings are known.
MEDIA_EXTENSIONS = frozenset(
    {
        ".3gp", ".aac", ".aif", ".aiff", ".avi", ".flac", ".flv", ".m2ts", ".m4a", ".m4v", ".mka",
        ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".ogv", ".opus",
        ".ts", ".wav", ".weba", ".webm", ".wma", ".wmv",
    }
)  # fmt: skip


def find_media(*paths_or_globs: str | os.PathLike[str], recursive: bool = True) -> list[Path]:
    """The recordings that files, folders and patterns name, sorted, each real file once.

    Hidden files are left out of folders and patterns, hidden folders out of folders: some systems
    keep shadows of recordings there. A file that is named itself is taken whatever its extension.

    Args:
        paths_or_globs: as ``"talk.mp4"``, ``"talks"`` or ``"talks/**/*.mp4"``; ``~`` is a home.
        recursive: look into sub-folders, and let ``**`` stand for them.

    Raises:
        UsageError: a file is missing, a folder cannot be read, or a folder or pattern holds no
            recording.
    """
    if not paths_or_globs:
        raise UsageError("no recording was named: give files, folders or patterns")
    found: dict[str, Path] = {}
    for given in paths_or_globs:
        for path in _find(Path(given).expanduser(), recursive=recursive):
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def _find(path: Path, *, recursive: bool) -> list[Path]:
    # A name may hold [ or *: what exists under it is meant before what it would match.
    if path.is_file():
        return [path]
    if path.is_dir():
        return _some(_walk(path, recursive=recursive), f"the folder {path}")
    if glob.has_magic(str(path)):
        matches = (Path(name) for name in glob.iglob(str(path), recursive=recursive))  # noqa: PTH207 - Path.glob refuses absolute patterns
        return _some(matches, f"the pattern {path}")
    if path.exists():
        raise UsageError(f"{path} is neither a file nor a folder: name a recording")
    raise UsageError(f"there is no file {path}: check its name (paths start at {Path.cwd()})")


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    def refuse(exc: OSError) -> None:
        # Skipping it would look as if it held nothing.
        raise UsageError(
            f"the folder {exc.filename} cannot be read ({exc.strerror}): allow it, or leave it out"
        ) from exc

    for parent, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in files)
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]


def _some(paths: Iterator[Path], where: str) -> list[Path]:
    media = sorted(path for path in paths if _is_media(path) and path.is_file())
    if not media:
        raise UsageError(
            f"{where} holds no recording: known are {', '.join(sorted(MEDIA_EXTENSIONS))};"
            " name a file itself to use another one"
        )
    return media


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in MEDIA_EXTENSIONS and not path.name.startswith(".")
