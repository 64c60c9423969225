"""Storage backends: where batches, jobs and their journal live."""

from __future__ import annotations

from pathlib import Path

from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved, Storage
from batchkit.storage.memory import MemoryStorage
from batchkit.storage.sqlite import SQLiteStorage

__all__ = [
    "Change",
    "Entry",
    "Failures",
    "MemoryStorage",
    "NewJob",
    "open_storage",
    "Saved",
    "SQLiteStorage",
    "Storage",
]


def open_storage(spec: str | Path | Storage) -> Storage:
    """The storage that ``storage=`` means: an object, ``"memory"``, or the path of a SQLite file.

    Raises:
        StorageError: the file cannot be used.
    """
    if not isinstance(spec, (str, Path)):
        return spec
    if spec == "memory":
        return MemoryStorage()
    return SQLiteStorage(spec)
