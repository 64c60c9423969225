"""The connection of the SQLite storage: opening, checking, transactions, and what errors mean."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchkit._config import Durability
from batchkit._errors import StorageCorruptError, StorageVersionError, UsageError
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage._sqlite_files import explained, refuse_network_file_system

#: Values of ``PRAGMA synchronous``.
_SYNCHRONOUS = {"off": 0, "normal": 1, "full": 2}


#: Seconds between two tries to switch the journal mode.
_PAUSE = 0.01


class Database:
    """One connection under a lock, for any number of threads.

    Args:
        path: of the file, or ``:memory:``.
        durability: of transactions that do not ask for more.
        timeout: seconds to wait for another program's lock.

    Raises:
        StorageError: the file cannot be opened or used.
    """

    def __init__(self, path: Path, durability: Durability, timeout: float) -> None:
        if durability not in _SYNCHRONOUS:
            raise UsageError(f"durability is {durability!r}: choose one of off, normal, full")
        self.location = str(path)
        self._usual, self._synchronous = _SYNCHRONOUS[durability], -1
        self._lock, self._timeout = threading.RLock(), timeout
        if self.location != ":memory:":
            refuse_network_file_system(path.resolve().parent)
        with explained(self.location):
            self._db = sqlite3.connect(
                path, timeout=timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        # In this order: another process may make the tables, all at once, between two looks.
        empty = not self.one("SELECT count(*) FROM sqlite_master")[0]
        ours = self.one("PRAGMA application_id")[0] == schema.APPLICATION_ID
        version = self.one("PRAGMA user_version")[0]
        if not ours and not empty:
            raise StorageCorruptError(
                f"{self.location} belongs to another program: name another file with storage="
            )
        if version > schema.SCHEMA_VERSION:
            raise StorageVersionError(
                f"{self.location} was written by a newer batchkit (schema {version}, this one "
                f"knows {schema.SCHEMA_VERSION}): upgrade batchkit-video, or name another file"
            )
        self._use_wal()
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._level(self._usual)
        if empty:
            self._create()

    def _use_wal(self) -> None:
        # Two processes that open a new file at once: SQLite answers "busy" here without waiting.
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _create(self) -> None:
        try:
            schema.create(self._db)
        except sqlite3.OperationalError:
            # Another process made the tables in this very moment: look again.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if self.one("PRAGMA application_id")[0] != schema.APPLICATION_ID:
                raise

    def one(self, sql: str, *values: Any) -> Any:
        """The first row of a query, or ``None``."""
        return self._db.execute(sql, values).fetchone()

    def _level(self, level: int) -> None:
        if level != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        with self._lock, explained(self.location):
            yield self._db

    @contextmanager
    def writing(self, *, power_safe: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction; *power_safe* ones survive the loss of power."""
        with self._lock, explained(self.location):
            self._level(_SYNCHRONOUS["full"] if power_safe else self._usual)
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes the connection; may be called twice."""
        with self._lock:
            self._db.close()
