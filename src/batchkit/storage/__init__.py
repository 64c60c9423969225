"""Storage backends: where batches, jobs and their journal live."""

from __future__ import annotations

from pathlib import Path

from batchkit.storage import _encryption_keys as _keys
from batchkit.storage import _encryption_mark, _open
from batchkit.storage._encryption_keys import generate_key
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved, Storage
from batchkit.storage.encrypted import EncryptedStorage
from batchkit.storage.json_file import JSONStorage
from batchkit.storage.memory import MemoryStorage
from batchkit.storage.postgres import PostgresStorage
from batchkit.storage.sqlite import SQLiteStorage

__all__ = [
    "Change",
    "EncryptedStorage",
    "Entry",
    "Failures",
    "generate_key",
    "JSONStorage",
    "MemoryStorage",
    "NewJob",
    "open_storage",
    "PostgresStorage",
    "Saved",
    "SQLiteStorage",
    "Storage",
]


def open_storage(spec: str | Path | Storage, *, timeout: float = _open.TIMEOUT) -> Storage:
    """The storage that ``storage=`` means.

    An object, ``"memory"``, ``postgresql://user@host/database``, or the path of a file. A path that
    ends in ``.json`` or ``.jsonl`` is a JSON session, every other a SQLite database.

    An address is opened as an :class:`EncryptedStorage` when ``BATCHKIT_ENCRYPTION_KEY`` or
    ``BATCHKIT_ENCRYPTION_KEY_FILE`` is set; what is in memory is not encrypted.

    Args:
        spec: what to open.
        timeout: seconds to wait for another program's lock, where *spec* is an address.

    Raises:
        MissingExtraError: it needs an extra that is not installed.
        UsageError: the address of the database cannot be read.
        StorageKeyError: it is encrypted, and there is no key or another one; or the reverse.
        StorageError: the file or the database cannot be used.
    """
    if isinstance(spec, EncryptedStorage):
        return spec
    if not isinstance(spec, (str, Path)):
        _encryption_mark.refuse_without_key(spec)
        return spec
    if _keys.is_key_set() and not _open.is_in_memory(spec):
        return EncryptedStorage(spec, timeout=timeout)
    opened = _open.open_plain(spec, timeout)
    try:
        _encryption_mark.refuse_without_key(opened)
    except BaseException:
        opened.close()
        raise
    return opened
