"""What the JSON storage asks of the operating system, and what its errors mean."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchkit._errors import StorageError, StorageFullError

log = logging.getLogger("batchkit.storage")

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_NO_PLACE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turns what the operating system says into errors that name the remedy."""
    try:
        yield
    except OSError as exc:
        why = f"{location} cannot be written ({exc.strerror or exc})"
        if exc.errno in _NO_SPACE:
            raise StorageFullError(f"{why}: free some space, then run again") from exc
        if exc.errno in _NO_PLACE:
            raise StorageFullError(f"{why}: check that its folder exists and is writable") from exc
        raise StorageError(why) from exc


def read_all(file: int, start: int) -> bytes:
    """What stands in an open file from *start* on."""
    pieces = []
    while piece := os.pread(file, 1 << 24, start):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def write_all(file: int, data: bytes, start: int) -> None:
    """Writes all of it at *start*, or raises."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, start)
        view, start = view[written:], start + written


def sync_folder(folder: Path) -> None:
    """Makes a rename safe: it is an entry of the folder."""
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    except OSError as exc:
        # Some file systems cannot; there is nothing else to be done about it.
        log.warning("%s cannot be made safe against the loss of power: %s", folder, exc)
    finally:
        os.close(number)
