"""What the errors of PostgreSQL mean for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from batchkit._errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from batchkit._redaction import scrub

_AWAY = "start the server, or check host and port; nothing is lost, run again later"
_LOGIN = "check the user, and the password in PGPASSWORD or ~/.pgpass"
_DATABASE = "make it with createdb, or correct the name"
_FULL = "it accepts no more connections: close some, raise max_connections, or run again later"
_GRANT = "ask its owner to GRANT what is missing, or name a schema of your own"
_SPACE = "free some space on the server, then run again"
_STANDBY = "it is read-only: name the primary server, or add target_session_attrs=read-write"
_TABLES = "its tables were changed or deleted: restore a copy, or name another schema"
_WAITS = "another program holds what is needed (a migration, a backup, an open transaction): end it"
_TRUST = "check sslmode and the certificates"

#: By SQLSTATE or its first two characters; source: PostgreSQL's manual, appendix A, "Error Codes".
_BY_STATE: dict[str, tuple[type[StorageError], str]] = {
    "08": (StorageUnavailableError, _AWAY),
    "28": (StorageUnavailableError, _LOGIN),
    "3D": (StorageUnavailableError, _DATABASE),
    "53100": (StorageFullError, _SPACE),
    "53200": (StorageUnavailableError, "it is out of memory: run again later"),
    "53300": (StorageUnavailableError, _FULL),
    "57P": (StorageUnavailableError, _AWAY),
    "58": (StorageFullError, "its disk refuses: look into its log"),
    "25006": (StorageFullError, _STANDBY),
    "42501": (StorageFullError, _GRANT),
    "42P": (StorageCorruptError, _TABLES),
    "42703": (StorageCorruptError, _TABLES),
    "3F": (StorageCorruptError, _TABLES),
    "40": (StorageLockedError, _WAITS),
    "55P03": (StorageLockedError, _WAITS),
    "57014": (StorageLockedError, _WAITS),
    "XX00": (StorageCorruptError, "it is damaged: restore a copy"),
}
#: A login that fails carries no SQLSTATE, only the server's words.
_BY_WORDS = (
    (r"database .* does not exist", _DATABASE),
    (r"password|role .* does not exist|pg_hba|authentication", _LOGIN),
    (r"too many|connection slots", _FULL),
    (r"read-only|read-write", _STANDBY),
    (r"SSL|certificate", _TRUST),
)
#: The server ended the session, and with it the transaction.
_ENDED = ("08", "57P", "25P03")


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that a new one may do better."""
    if isinstance(error, (PoolTimeout, PoolClosed)):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_ENDED)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turns what the driver raises into errors that name the remedy."""
    try:
        yield
    except psycopg.Error as exc:
        raise meaning(exc, location) from exc


def meaning(error: psycopg.Error, location: str) -> StorageError:
    """The error for people that a driver's error stands for."""
    if isinstance(error, PoolClosed):
        return StorageError(f"{location} was closed: open the storage again")
    told = scrub(" ".join(str(error).split()))
    state = error.sqlstate or ""
    for length in (5, 4, 3, 2):
        found = _BY_STATE.get(state[:length])
        if state and found is not None:
            return found[0](f"{location}: {told}: {found[1]}")
    if state or not isinstance(error, psycopg.OperationalError):
        return StorageError(f"{location}: {told}")
    remedy = next((r for words, r in _BY_WORDS if re.search(words, told)), _AWAY)
    if isinstance(error, PoolTimeout):
        remedy = "all connections are in use: raise max_connections=, or use fewer threads"
    return StorageUnavailableError(f"{location} cannot be reached ({told}): {remedy}")
