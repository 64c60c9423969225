"""The connection of the SQLite storage: opening, transactions, threads and forks."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchkit._config import Durability
from batchkit._errors import (
    StorageCorruptError,
    StorageVersionError,
    UsageError,
)
from batchkit.storage import _sqlite_migrations as migrations
from batchkit.storage import _sqlite_schema as schema
from batchkit.storage._file_systems import refuse_network_file_system
from batchkit.storage._fork import forked, watch_forks
from batchkit.storage._sqlite_errors import explained

log = logging.getLogger("batchkit.storage")

#: Values of ``PRAGMA synchronous``.
_SYNCHRONOUS = {"off": 0, "normal": 1, "full": 2}
#: Seconds between two tries to switch the journal mode.
_PAUSE = 0.01


class Database:
    """One connection under a lock, for any number of threads.

    A connection must not cross a fork, not even unused: SQLite keeps its locks per process, and a
    child that opened the file too would believe to hold those of its parent. So the parent closes
    it before it forks and opens it again when it goes on; the child is told to open its own.

    Args:
        path: of the file; ``None`` keeps everything in memory.
        location: how the user calls it.
        durability: of transactions that do not ask for more.
        timeout: seconds to wait for another program's lock.

    Raises:
        StorageError: the file cannot be opened or used.
    """

    def __init__(
        self, path: Path | None, location: str, durability: Durability, timeout: float
    ) -> None:
        if durability not in _SYNCHRONOUS:
            raise UsageError(f"durability is {durability!r}: choose one of off, normal, full")
        self.location = location
        self._path, self._timeout = path, timeout
        self._usual, self._synchronous = _SYNCHRONOUS[durability], -1
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._connections = 0
        self._closed = False
        #: Whether this is the copy of a parent's, in its forked child.
        self.inherited = False
        if path is not None:
            refuse_network_file_system(path.parent)
        watch_forks(self)
        with self._lock, explained(location):
            self._open()

    # -- opening ---------------------------------------------------------------------------

    def _open(self) -> None:
        self._connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connections += 1
        try:
            self._prepare(self._connection)
        except BaseException:
            self._connection.close()
            self._connection = None
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        self._synchronous = -1
        version = self._version()
        self._use_wal(db)
        db.execute("PRAGMA temp_store = MEMORY")
        if version < schema.SCHEMA_VERSION:
            with self.writing(power_safe=True):
                # Another process may have done it while this one waited for its turn.
                migrations.migrate(db, self._version(), self._path)

    def _version(self) -> int:
        """The version of the tables; 0 when there are none.

        Raises:
            StorageCorruptError: they are not ours.
            StorageVersionError: they are newer than this program.
        """
        # In this order: another process may make the tables, all at once, between two looks.
        empty = not self.one("SELECT count(*) FROM sqlite_master")[0]
        ours = self.one("PRAGMA application_id")[0] == schema.APPLICATION_ID
        version: int = self.one("PRAGMA user_version")[0]
        if not ours and not empty:
            raise StorageCorruptError(
                f"{self.location} belongs to another program: name another file with storage="
            )
        if version > schema.SCHEMA_VERSION:
            raise StorageVersionError(
                f"{self.location} was written by a newer batchkit (schema {version}, this one "
                f"knows {schema.SCHEMA_VERSION}): upgrade batchkit-video, or name another file"
            )
        return version

    def _use_wal(self, db: sqlite3.Connection) -> None:
        # Two processes that open a new file at once: SQLite answers "busy" here without waiting.
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    # -- use -------------------------------------------------------------------------------

    def one(self, sql: str, *values: Any) -> Any:
        """The first row of a query, or ``None``."""
        assert self._connection is not None
        return self._connection.execute(sql, values).fetchone()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        self._refuse_children()
        with self._lock, explained(self.location):
            if self._connection is None:
                self._open()
            assert self._connection is not None
            yield self._connection

    @contextmanager
    def writing(self, *, power_safe: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction; *power_safe* ones survive the loss of power."""
        with self.reading() as db:
            self._level(_SYNCHRONOUS["full"] if power_safe else self._usual)
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _level(self, level: int) -> None:
        if level != self._synchronous:
            self.one(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    def changed(self) -> object:
        """Differs once another connection has written, to this file or to the last one's."""
        with self.reading():
            return self._connections, self.one("PRAGMA data_version")[0]

    def compact(self) -> None:
        """Writes the file anew, so that nothing of what was deleted is left in it."""
        with self.reading() as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the connection; may be called twice."""
        if self.inherited:
            return
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    # -- forks -----------------------------------------------------------------------------

    def _refuse_children(self) -> None:
        if self.inherited:
            raise forked(self.location, "SQLiteStorage")

    def before_fork(self) -> None:
        """Waits for the end of a transaction, then closes a connection to a file."""
        self._lock.acquire()
        if self._connection is None or self._closed or self._path is None:
            return
        try:
            self._connection.close()
        except sqlite3.Error as exc:
            # Nobody can be told: Python forks whatever happens here.
            log.warning("%s could not be closed before a fork: %s", self.location, exc)
        self._connection = None

    def after_fork(self, *, child: bool) -> None:
        """In the parent, the next use opens it again."""
        self.inherited = child or self.inherited
        self._lock.release()
