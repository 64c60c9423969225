"""The address of a PostgreSQL database: what the driver needs, and what may be shown of it."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from batchkit._errors import UsageError
from batchkit._redaction import remember

DEFAULT_SCHEMA = "batchkit"

#: Parameters whose values nobody may see: those that libpq itself would hide, and raw keys.
_SECRET = {o.keyword.decode() for o in Conninfo.get_defaults() if o.dispchar == b"*"} | {
    "scram_client_key",
    "scram_server_key",
}
#: A server that vanished without a word is noticed within seconds, not after two hours.
_USUAL = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "application_name": "batchkit",
}


@attrs.frozen
class Address:
    """Where a database is.

    Attributes:
        conninfo: what libpq connects with; it may hold a password.
        location: the same as a URL without secrets; it opens the same storage again.
        schema: the schema of the tables.
    """

    conninfo: str = attrs.field(repr=False)
    location: str
    schema: str


def read_address(dsn: str, schema: str, timeout: float) -> Address:
    """Reads a URL or a libpq connection string; a URL may name the schema: ``?schema=videos``.

    Args:
        dsn: as the user wrote it.
        schema: used where the URL names none.
        timeout: seconds for making a connection, where the address sets none.

    Raises:
        UsageError: it cannot be read. The message does not quote it: it may hold a password.
    """
    if "://" in dsn:
        dsn, schema = _take_schema(dsn, schema)
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Without the cause: libpq quotes what it cannot read.
        raise _unreadable() from None
    values = {name: str(value) for name, value in given.items() if value is not None}
    remember(values[name] for name in _SECRET & values.keys())
    # libpq takes 1 for 2.
    patience = {"connect_timeout": str(max(2, round(timeout)))}
    conninfo = make_conninfo(**{**_USUAL, **patience, **values, "client_encoding": "UTF8"})
    return Address(conninfo, _shown(values, schema), schema)


def _take_schema(dsn: str, schema: str) -> tuple[str, str]:
    base, _, query = dsn.partition("?")
    # Signs of a password whose own @, /, ? or # were not written as %40, %2F, %3F and %23.
    user, _, place = base.partition("://")[2].partition("@")
    if "#" in dsn or ("/" in user and place) or "@" in place + query:
        raise _unreadable()
    fields = query.split("&") if query else []
    named = [unquote(field[7:]) for field in fields if field.startswith("schema=")]
    rest = "&".join(field for field in fields if not field.startswith("schema="))
    return base + (f"?{rest}" if rest else ""), (named or [schema])[-1]


def _unreadable() -> UsageError:
    return UsageError(
        "this PostgreSQL address cannot be read: write postgresql://user@host:5432/database, with "
        "%40 for @, %2F for /, %3F for ?, %23 for # and %25 for % in the password, or leave the "
        "password to PGPASSWORD or ~/.pgpass"
    )


def _shown(values: dict[str, str], schema: str) -> str:
    rest = {name: value for name, value in values.items() if name not in _SECRET}
    user, host = quote(rest.pop("user", ""), safe=""), rest.get("host", "")
    name = quote(rest.pop("dbname", ""), safe="")
    place = ""
    # The folder of a socket, several hosts, and IPv6 do not fit before the first slash.
    if host and not set("/,:") & set(host):
        place = quote(rest.pop("host"), safe="")
        place += f":{rest.pop('port')}" if "port" in rest else ""
    if schema != DEFAULT_SCHEMA:
        rest["schema"] = schema
    query = "?" + urlencode(rest, quote_via=quote, safe="/,:") if rest else ""
    return f"postgresql://{user}{'@' if user else ''}{place}/{name}{query}"
