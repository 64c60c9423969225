"""The connections of the PostgreSQL storage: reads, transactions, and what a lost one did."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from batchkit._config import Durability
from batchkit._errors import StorageError, StorageUnavailableError, UsageError
from batchkit.storage import _postgres_schema as schema
from batchkit.storage import _postgres_sql as sql
from batchkit.storage._fork import watch_forks
from batchkit.storage._postgres_address import Address
from batchkit.storage._postgres_errors import explained, is_lost, meaning

P = ParamSpec("P")
T = TypeVar("T")
Params = Sequence[Any] | Mapping[str, Any]
Statement = tuple[str, Params]
Rows = list[tuple[Any, ...]]

log = logging.getLogger("batchkit.storage")

#: Values of ``synchronous_commit`` for transactions that do not ask for more.
_SYNCHRONOUS = {"off": "off", "normal": "off", "full": "on"}
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
#: A server that ends takes its connections one by one: the next may be lost as well.
_REPEATS = 2


class Session(psycopg.Connection[TupleRow]):
    """One connection.

    Attributes:
        writer: marks its transactions.
        commits: how many it has tried.
        backend: the number of its process at the server, and when that began.
    """

    writer: str = ""
    commits: int = 0
    backend: tuple[int, object] = (0, None)


class Database:
    """A pool of connections to one schema.

    Args:
        address: where it is.
        durability: of transactions that do not ask for more.
        timeout: seconds to wait for a connection, and for another program's lock.
        max_connections: most connections of the pool.

    Attributes:
        uid: marks this schema of this database, whatever address leads to it.

    Raises:
        StorageError: it cannot be used; the subclass says why.
    """

    def __init__(
        self, address: Address, durability: Durability, timeout: float, max_connections: int
    ) -> None:
        if durability not in _SYNCHRONOUS:
            raise UsageError(f"durability is {durability!r}: choose one of off, normal, full")
        self.location = address.location
        self._address, self._timeout = address, timeout
        self._usual = _SYNCHRONOUS[durability]
        self._quoted = '"' + address.schema.replace('"', '""') + '"'
        self._rendered: dict[str, bytes] = {}
        #: Whether this is the copy of a parent's, in its forked child.
        self.inherited = False
        # By itself, because a pool does not tell why it cannot connect.
        with explained(self.location), self.connect() as connection:
            self.uid = self._prepare(connection)
        self._pool = ConnectionPool(
            address.conninfo,
            connection_class=Session,
            kwargs={"autocommit": True},
            min_size=1,
            max_size=max_connections,
            configure=_introduce,
            timeout=timeout,
            reconnect_timeout=timeout,
            num_workers=1,
            name="batchkit",
            open=True,
        )
        watch_forks(self)

    def _prepare(self, connection: Session) -> str:
        def run(text: str, *params: Any) -> Rows:
            cursor = connection.execute(self.render(text), params or None)
            return cursor.fetchall() if cursor.description else []

        return schema.prepare(run, self._address.schema, self._quoted, self.location)

    def connect(self) -> Session:
        """A connection of its own, outside the pool; whoever asks for it closes it."""
        self.refuse_children()
        return Session.connect(self._address.conninfo, autocommit=True)

    def render(self, text: str) -> bytes:
        """A statement with the name of the schema in it."""
        found = self._rendered.get(text)
        if found is None:
            found = self._rendered[text] = text.replace("{s}", self._quoted).encode()
        return found

    # -- reading ---------------------------------------------------------------------------

    def read(self, text: str, *params: Any) -> Rows:
        """The rows of a query; asked again when the connection was lost."""
        return self._again(self._read, text, params)

    def _read(self, text: str, params: Params) -> Rows:
        with self._session() as connection:
            return connection.execute(self.render(text), params).fetchall()

    def _again(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Does it, and again when a lost connection certainly left nothing behind."""
        with explained(self.location):
            for _ in range(_REPEATS):
                try:
                    return do(*args, **kwargs)
                except psycopg.Error as exc:
                    if not is_lost(exc):
                        raise
                    log.info("%s: the connection was lost, trying again: %s", self.location, exc)
                # The other idle connections are probably lost as well.
                self._pool.check()
            return do(*args, **kwargs)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        connection = self._take()
        try:
            yield connection
        except psycopg.Error as exc:
            if is_lost(exc):
                connection.close()
            raise
        finally:
            self._pool.putconn(connection)

    def _take(self) -> Session:
        self.refuse_children()
        try:
            return self._pool.getconn()
        except PoolTimeout:
            log.info("%s: the pool gave no connection in time", self.location)
        try:
            # A pool does not tell why. After an outage it waits, longer each time, before it tries
            # again, and may not know yet that the server is back.
            self.connect().close()
            return self._pool.getconn()
        except psycopg.Error as exc:
            raise meaning(exc, self.location) from exc

    # -- writing ---------------------------------------------------------------------------

    def commit(self, *statements: Statement, power_safe: bool = False) -> list[Rows]:
        """Runs statements in one transaction; returns the rows of each.

        All of them leave at once, and then the commit: two round trips. When the connection is
        lost, the transaction is looked up, and repeated if it certainly did not commit.

        Args:
            statements: none may need the rows of another.
            power_safe: must survive the loss of power, whatever the usual durability is.
        """
        return self._again(self._commit, statements, power_safe)

    def _commit(self, statements: Sequence[Statement], power_safe: bool) -> list[Rows]:
        with self._session() as connection:
            connection.commits += 1
            mark = sql.MARK, (connection.writer, connection.commits)
            try:
                rows = self._run(connection, (*statements, mark), power_safe)
            except BaseException:
                _roll_back(connection)
                raise
            lost = _end(connection)
        if lost is not None and not self._did_commit(connection, lost):
            raise lost
        return rows[:-1]

    def _run(
        self, connection: Session, statements: Sequence[Statement], power_safe: bool
    ) -> list[Rows]:
        level = "on" if power_safe else self._usual
        with connection.pipeline():
            connection.execute(_BEGIN)
            connection.execute(sql.SETTINGS.encode(), (level, f"{self._timeout:g}s"))
            cursors = [connection.execute(self.render(text), given) for text, given in statements]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def _did_commit(self, gone: Session, lost: psycopg.Error) -> bool:
        """Whether a transaction whose COMMIT was not answered took place.

        It holds the row of its writer until it ends, so that looking there waits for its end.
        """
        try:
            self._pool.check()
            with self._session() as connection, connection.transaction():
                connection.execute(sql.SETTINGS.encode(), ("on", f"{self._timeout:g}s"))
                connection.execute(sql.END_SESSION.encode(), gone.backend)
                found = connection.execute(self.render(sql.LOOK), (gone.writer,)).fetchone()
        except (psycopg.Error, StorageError) as exc:
            raise StorageUnavailableError(
                f"{self.location} was lost in the middle of a commit, and cannot be asked whether "
                f"it took place ({exc}): look before you repeat what you did"
            ) from lost
        return found is not None and found[0] == gone.commits

    def close(self) -> None:
        """Closes the pool; may be called twice."""
        self._pool.close()

    # -- forks -----------------------------------------------------------------------------

    def refuse_children(self) -> None:
        """Connections and threads do not survive a fork.

        Raises:
            StorageError: this is the copy of a parent's, in its forked child.
        """
        if self.inherited:
            raise StorageError(
                f"{self.location} was opened before this process was forked, and a connection does "
                "not survive that: open it anew here"
            )

    def before_fork(self) -> None:
        """Nothing to do: the parent goes on as if nothing had happened."""

    def after_fork(self, *, child: bool) -> None:
        """The child leaves the connections alone: what it says there its parent would have said."""
        self.inherited = child or self.inherited


def _introduce(connection: Session) -> None:
    """Makes itself known, for the case that it is lost in the middle of a transaction."""
    row = connection.execute(sql.INTRODUCE.encode()).fetchone()
    assert row is not None
    connection.writer, connection.backend = uuid.uuid4().hex, row[3:]


def _roll_back(connection: Session) -> None:
    try:
        connection.rollback()
    except psycopg.Error as exc:
        # The server rolls back what nobody can commit any more.
        log.debug("a transaction was left to its end: %s", exc)
        connection.close()


def _end(connection: Session) -> psycopg.Error | None:
    """Commits; when the connection is lost before the answer comes, the error."""
    try:
        connection.execute(b"COMMIT")
    except psycopg.Error as exc:
        if not is_lost(exc):
            raise
        connection.close()
        return exc
    return None
