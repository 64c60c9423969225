"""The thread of a PostgreSQL storage: it renews leases, and hears what others wrote.

It has a connection of its own, so that neither a long save nor a busy pool lets a lease run out.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Iterable

import attrs
import psycopg

from batchkit.storage import _postgres_sql as sql
from batchkit.storage._postgres_db import Database, Rows, Session, Statement
from batchkit.storage._postgres_errors import explained

log = logging.getLogger("batchkit.storage")

#: What a note says of a runner's saves; every other note is of a person's change.
_SAVED = "saved"
#: What runners save is told to others no oftener, because every note costs a commit.
_NOTE_SECONDS = 1.0
#: Between two tries to reach the server again.
_RETRY_SECONDS = 1.0


@attrs.frozen
class Renewal:
    """A renewal of leases.

    Attributes:
        statement: what to run.
        held: the epochs of the batches that it is about.
        begun: when, in monotonic seconds.
    """

    statement: Statement
    held: dict[int, int]
    begun: float


class Keeper:
    """Renews leases, and counts what others write.

    Args:
        database: where they are.
        token: of the storage that it works for.
        lease_seconds: how long a lease lasts; it is renewed three times as often.

    Attributes:
        heard: how often something new was heard; while the server cannot be heard, it grows by
            itself, so that whoever relies on it looks.
    """

    def __init__(self, database: Database, token: str, lease_seconds: float) -> None:
        self._database, self._token, self._lease = database, token, lease_seconds
        self._period = lease_seconds / 3
        self.heard = 0
        # With their epochs: a batch that was given up and taken again is another one.
        self._held: dict[int, int] = {}
        self._renewed = self._told = 0.0
        self._wrote = self._closing = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] = (-1, -1)

    def start(self) -> None:
        """Starts the thread once; from its return on, nothing that is written is missed."""
        self._database.refuse_children()
        with self._lock:
            if self._thread is not None or self._closing:
                return
            with explained(self._database.location):
                connection = self._open()
            self._wake = os.pipe()
            self._thread = threading.Thread(
                target=self._run, args=(connection,), name="batchkit-postgres", daemon=True
            )
            self._thread.start()

    def hold(self, batch_id: int, epoch: int) -> None:
        """Renews the lease of a batch, which has just been taken."""
        if not self._held:
            self._renewed = time.monotonic()
        self._held[batch_id] = epoch

    def drop(self, batch_id: int) -> None:
        """Renews it no more."""
        self._held.pop(batch_id, None)

    def wrote(self) -> None:
        """A runner has saved something; others are told within a second."""
        self._wrote = True

    def note(self, kind: str = "changed") -> Statement:
        """The statement that tells others, when its transaction commits."""
        return sql.NOTIFY, (self._channel, f"{self._token} {kind}")

    @property
    def is_late(self) -> bool:
        """Whether the thread has not renewed the leases when it should have."""
        return bool(self._held) and time.monotonic() - self._renewed > 2 * self._period

    def renewal(self) -> Renewal:
        """A renewal of all leases, to be run by the caller."""
        held = dict(self._held)
        return Renewal((sql.RENEW, (self._lease, self._token, list(held))), held, time.monotonic())

    def renewed(self, renewal: Renewal, kept: Iterable[tuple[int]]) -> None:
        """Takes the rows that a renewal returned."""
        self._renewed = renewal.begun
        for batch_id in renewal.held.keys() - {row[0] for row in kept}:
            # Those that were given up meanwhile are not missed.
            if self._held.get(batch_id) == renewal.held[batch_id]:
                log.error("batch %d: another runner took it over, as this one was late", batch_id)
                self.drop(batch_id)
                self.heard += 1

    def close(self) -> None:
        """Ends the thread; may be called twice."""
        with self._lock:
            self._closing = True
            thread, self._thread = self._thread, None
            if thread is None:
                return
            os.write(self._wake[1], b"x")
        thread.join()
        for end in self._wake:
            os.close(end)

    @property
    def _channel(self) -> str:
        return f"batchkit_{self._database.uid}"

    def _open(self) -> Session:
        connection = self._database.connect()
        try:
            connection.execute(f"LISTEN {self._channel}".encode())
        except BaseException:
            connection.close()
            raise
        return connection

    # -- in the thread ---------------------------------------------------------------------

    def _run(self, connection: Session | None) -> None:
        failing = False
        while not self._closing:
            try:
                if connection is None:
                    connection = self._open()
                    # For what was written while nobody listened.
                    self.heard += 1
                failing = False
                self._tend(connection)
            except (psycopg.Error, OSError) as exc:
                if not failing:
                    log.warning("the PostgreSQL server cannot be heard, trying again: %s", exc)
                failing = True
                self.heard += 1
                if connection is not None:
                    connection.close()
                    connection = None
                self._wait(_RETRY_SECONDS)
        if connection is not None:
            connection.close()

    def _tend(self, connection: Session) -> None:
        while not self._closing:
            for note in connection.notifies(timeout=0):
                self.heard += self._is_news(note.payload)
            now = time.monotonic()
            if self._held and now - self._renewed >= self._period:
                renewal = self.renewal()
                self.renewed(renewal, self._do(connection, renewal.statement))
            if self._wrote and now - self._told >= _NOTE_SECONDS:
                self._wrote, self._told = False, now
                self._do(connection, self.note(_SAVED))
            self._wait(min(_NOTE_SECONDS, self._period / 2), connection.fileno())

    def _do(self, connection: Session, statement: Statement) -> Rows:
        return connection.execute(self._database.render(statement[0]), statement[1]).fetchall()

    def _is_news(self, payload: str) -> bool:
        sender, _, kind = payload.partition(" ")
        # A runner need not look at what others run.
        return sender != self._token and not (kind == _SAVED and self._held)

    def _wait(self, seconds: float, *files: int) -> None:
        with selectors.DefaultSelector() as selector:
            for file in (self._wake[0], *files):
                selector.register(file, selectors.EVENT_READ)
            selector.select(seconds)
