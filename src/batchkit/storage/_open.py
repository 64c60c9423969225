"""Which backend an address means."""

from __future__ import annotations

from pathlib import Path

from batchkit.storage import postgres
from batchkit.storage.base import Storage
from batchkit.storage.json_file import JSONStorage
from batchkit.storage.memory import MemoryStorage
from batchkit.storage.sqlite import SQLiteStorage

_JSON_SUFFIXES = frozenset({".json", ".jsonl"})


#: Seconds to wait for another program's lock.
TIMEOUT = 5.0


def open_plain(spec: str | Path, timeout: float = TIMEOUT) -> Storage:
    """The storage at an address: see :func:`batchkit.storage.open_storage`."""
    if spec == "memory":
        return MemoryStorage()
    if postgres.is_url(spec):
        return postgres.PostgresStorage(str(spec), timeout=timeout)
    if Path(spec).suffix.lower() in _JSON_SUFFIXES:
        return JSONStorage(spec, timeout=timeout)
    return SQLiteStorage(spec, timeout=timeout)


def is_in_memory(spec: str | Path) -> bool:
    """Whether an address means memory."""
    return str(spec) in ("memory", ":memory:")
