"""The tables of the PostgreSQL storage, and how an older database gets the newest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from batchkit._errors import StorageCorruptError, StorageError, StorageVersionError

Run = Callable[..., Sequence[tuple[Any, ...]]]

#: One script per version, in order; a script that was released is never changed again.
#: ``heads`` holds what every save of a batch changes: short rows, because an update copies its row.
#: ``commits`` holds the last transaction of each connection, see ``_postgres_db``.
MIGRATIONS = (
    """
CREATE TABLE {s}.batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uid text NOT NULL,
    name text NOT NULL UNIQUE, client_ref text NOT NULL DEFAULT '',
    config text NOT NULL DEFAULT '{}', control text NOT NULL DEFAULT 'running',
    control_reason text NOT NULL DEFAULT '', max_concurrent integer NOT NULL DEFAULT 3,
    created float8 NOT NULL, started float8
);
CREATE TABLE {s}.heads (
    batch bigint PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0, seq bigint NOT NULL DEFAULT 0,
    next_index integer NOT NULL DEFAULT 0, cost float8
) WITH (fillfactor = 50);
CREATE TABLE {s}.leases (
    batch bigint PRIMARY KEY, owner text NOT NULL, host text NOT NULL, machine text NOT NULL,
    pid integer NOT NULL, expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE {s}.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, batch bigint NOT NULL,
    idx integer NOT NULL, identity text NOT NULL, long_identity text, request text NOT NULL,
    metadata text, priority integer NOT NULL DEFAULT 0, status text NOT NULL,
    epoch bigint NOT NULL DEFAULT 0, attempt integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0, handle text, error text, prepared text, cost float8,
    created float8 NOT NULL, started float8, completed float8, not_before float8, deadline float8,
    cancel_requested_at float8, cause text
);
CREATE UNIQUE INDEX jobs_identity ON {s}.jobs (batch, identity);
CREATE INDEX jobs_order ON {s}.jobs (batch, idx);
CREATE INDEX jobs_pending ON {s}.jobs (batch, priority DESC, idx) WHERE status = 'pending';
CREATE INDEX jobs_due ON {s}.jobs (batch, not_before) WHERE status = 'pending' AND not_before > 0;
CREATE INDEX jobs_live ON {s}.jobs (batch)
    WHERE status IN ('submitting', 'uncertain', 'processing', 'collecting');
CREATE INDEX jobs_cause ON {s}.jobs (batch) WHERE cause IS NOT NULL;
CREATE TABLE {s}.results (job bigint PRIMARY KEY, data text NOT NULL);
CREATE TABLE {s}.journal (
    batch bigint NOT NULL, seq bigint NOT NULL, job bigint NOT NULL, attempt integer NOT NULL,
    kind text NOT NULL, at float8 NOT NULL, data text, PRIMARY KEY (batch, seq)
);
CREATE INDEX journal_evidence ON {s}.journal (job) WHERE kind = 'submitted';
CREATE TABLE {s}.counts (
    batch bigint NOT NULL, status text NOT NULL, n bigint NOT NULL, PRIMARY KEY (batch, status)
) WITH (fillfactor = 50);
CREATE TABLE {s}.commits (
    writer text PRIMARY KEY, n bigint NOT NULL, at timestamptz NOT NULL
) WITH (fillfactor = 50);
""",
)
#: Raised with every change of the tables; older databases are migrated, newer ones refused.
SCHEMA_VERSION = len(MIGRATIONS)

#: From the catalogue itself: to_regclass() may answer from a cache that is older than a lock.
_EXISTS = """
SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'batchkit_schema'
"""
_VERSION = "SELECT max(version), min(uid) FROM {s}.batchkit_schema"
#: Locked for the time of a migration: two programs may meet a new database at once.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('batchkit ' || %s, 0))"
_HAS_SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
_TABLE = (
    "CREATE TABLE {s}.batchkit_schema (version integer PRIMARY KEY,"
    " uid text NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text),"
    " applied timestamptz NOT NULL DEFAULT clock_timestamp())"
)
_APPLIED = "INSERT INTO {s}.batchkit_schema (version) VALUES (%s)"
_ENCODING = "SELECT current_setting('server_encoding')"


def prepare(run: Run, schema: str, quoted: str, location: str) -> str:
    """Makes the tables, or brings them to the newest version; returns what marks this database.

    Args:
        run: runs one statement, and returns its rows; each call by itself unless it says BEGIN.
        schema: where the tables are.
        quoted: the same as it stands in statements.
        location: for messages.

    Raises:
        StorageError: it cannot be used; the subclass says why.
    """
    found = _look(run, schema, quoted, location)
    if found is None or found[0] < SCHEMA_VERSION:
        encoding = run(_ENCODING)[0][0]
        if encoding != "UTF8":
            raise StorageError(
                f"{location} stores texts as {encoding}, which cannot hold every prompt: make a "
                "database with ENCODING 'UTF8'"
            )
        _migrate(run, schema, quoted, location)
        found = _look(run, schema, quoted, location)
        assert found is not None
    return found[1]


def _look(run: Run, schema: str, quoted: str, location: str) -> tuple[int, str] | None:
    if not run(_EXISTS, schema):
        return None
    version, uid = run(_VERSION)[0]
    if version is None:
        raise StorageCorruptError(f"{location}: {quoted}.batchkit_schema is empty: restore a copy")
    if version > SCHEMA_VERSION:
        raise StorageVersionError(
            f"{location} was written by a newer batchkit (schema {version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade batchkit-video, or name another schema"
        )
    return version, uid


def _migrate(run: Run, schema: str, quoted: str, location: str) -> None:
    run("BEGIN")
    run(_LOCK, schema)
    # Only now: another program may have made them while this one waited for the lock.
    found = _look(run, schema, quoted, location)
    if found is None:
        # IF NOT EXISTS would ask for the right to create schemas even where there is nothing to do.
        if not run(_HAS_SCHEMA, schema):
            run("CREATE SCHEMA {s}")
        run(_TABLE)
    for version in range(found[0] if found else 0, SCHEMA_VERSION):
        for statement in MIGRATIONS[version].split(";\n"):
            if statement.strip():
                run(statement)
        run(_APPLIED, version + 1)
    run("COMMIT")
