"""Which library sends the requests of a client: by name, or by the HTTP client that it is given."""

from __future__ import annotations

from importlib.util import find_spec

from batchkit._errors import MissingExtraError, UsageError

#: Names of libraries, and the extra that brings each; httpx is always there.
TRANSPORTS = {"httpx": "", "httpx2": "httpx2", "aiohttp": "aiohttp"}


def chosen_transport(transport: str | None, http_client: object) -> str:
    """The name of the library; for a factory, whose product is not known yet, ``""``.

    Raises:
        UsageError: there is no such transport, both are given, or this is no HTTP client.
        MissingExtraError: the library is not installed.
    """
    if http_client is not None:
        if transport is not None:
            raise UsageError("http_client= says itself what sends: leave out transport=")
        return "" if is_factory(http_client) else family_of(http_client)
    name = transport or "httpx"
    if name not in TRANSPORTS:
        raise UsageError(f"transport {name!r} is not known: choose one of {', '.join(TRANSPORTS)}")
    if find_spec(name) is None:
        raise MissingExtraError(f'transport="{name}"', TRANSPORTS[name])
    return name


def is_factory(http_client: object) -> bool:
    """Whether it is no HTTP client, but makes one."""
    return callable(http_client)


def family_of(http_client: object) -> str:
    """``"aiohttp"`` for its sessions, ``"httpx"`` for the asynchronous clients of both httpx.

    Raises:
        UsageError: it is neither; the message says what to pass.
    """
    for cls in type(http_client).__mro__:
        library = cls.__module__.partition(".")[0]
        if library == "aiohttp" and cls.__name__ == "ClientSession":
            return "aiohttp"
        if library in ("httpx", "httpx2") and cls.__name__ == "AsyncClient":
            return "httpx"
    raise UsageError(
        f"http_client is a {type(http_client).__qualname__}: pass an httpx.AsyncClient, an "
        "httpx2.AsyncClient, an aiohttp.ClientSession, or a function that makes one of them"
    )
