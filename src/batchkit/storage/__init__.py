"""Storage backends: where batches, jobs and their journal live."""

from __future__ import annotations

from pathlib import Path

from batchkit.storage import postgres as _postgres
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved, Storage
from batchkit.storage.memory import MemoryStorage
from batchkit.storage.postgres import PostgresStorage
from batchkit.storage.sqlite import SQLiteStorage

__all__ = [
    "Change",
    "Entry",
    "Failures",
    "MemoryStorage",
    "NewJob",
    "open_storage",
    "PostgresStorage",
    "Saved",
    "SQLiteStorage",
    "Storage",
]


def open_storage(spec: str | Path | Storage) -> Storage:
    """The storage that ``storage=`` means.

    An object, ``"memory"``, ``postgresql://user@host/database``, or the path of a SQLite file.

    Raises:
        MissingExtraError: it needs an extra that is not installed.
        UsageError: the address of the database cannot be read.
        StorageError: the file or the database cannot be used.
    """
    if not isinstance(spec, (str, Path)):
        return spec
    if spec == "memory":
        return MemoryStorage()
    if _postgres.is_url(spec):
        return PostgresStorage(str(spec))
    return SQLiteStorage(spec)
