"""Storage backends: where batches, jobs and their journal live."""

from __future__ import annotations

from pathlib import Path

from batchkit.storage._open import open_plain
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved, Storage
from batchkit.storage.json_file import JSONStorage
from batchkit.storage.memory import MemoryStorage
from batchkit.storage.postgres import PostgresStorage
from batchkit.storage.sqlite import SQLiteStorage

__all__ = [
    "Change",
    "Entry",
    "Failures",
    "JSONStorage",
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

    An object, ``"memory"``, ``postgresql://user@host/database``, or the path of a file. A path that
    ends in ``.json`` or ``.jsonl`` is a JSON session, every other a SQLite database.

    Raises:
        MissingExtraError: it needs an extra that is not installed.
        UsageError: the address of the database cannot be read.
        StorageError: the file or the database cannot be used.
    """
    return open_plain(spec) if isinstance(spec, (str, Path)) else spec
