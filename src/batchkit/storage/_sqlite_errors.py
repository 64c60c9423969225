"""What errors of SQLite mean, and what to do about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from batchkit._errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turns what sqlite3 raises into errors that name the remedy."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _explain(exc, location) from exc


def _explain(exc: sqlite3.Error, location: str) -> StorageError:
    code = (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageLockedError(
            f"{location} is locked by another program: close it (a database browser, a backup), "
            "then run again; nothing is lost"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageCorruptError(
            f"{location} is damaged, or is not a database: restore a copy, or name another file "
            "with storage="
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StorageFullError(
            f"{location} cannot be written ({exc}): free some space, then run again"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StorageFullError(
            f"{location} cannot be written ({exc}): check that its folder exists and is writable"
        )
    return StorageError(f"{location}: {exc}")
