"""Sends requests with aiohttp, and tells its failures by the names of httpx.

httpx has one name for each thing that can be proved about a request, and the pipeline knows them.
aiohttp sends a request of an idempotent method again when its connection breaks: here nothing is
sent twice, see :func:`_only_once`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import yarl

from batchkit._errors import RejectedError
from batchkit.clients._http_message import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    POOL_SECONDS,
    Builder,
    read_answer,
)
from batchkit.clients.http import HttpClient, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType
    from aiohttp.client_middlewares import ClientHandlerType, ClientMiddlewareType

#: A body up to this many bytes is handed over whole: it fits into what a socket takes at once.
_AT_ONCE = 64 * 1024
#: Headers of the built request that aiohttp writes itself, each time as it sends the body.
_ITS_OWN = frozenset({"transfer-encoding"})
#: Of the event loop, until it has let go of a socket that was ended.
_TURNS = 3


class AiohttpTransport:
    """Sends the requests of one client, on asyncio.

    Args:
        client: whose requests they are.
        session: what sends them; by default one is opened here, which limits nothing itself.
        mine: it is closed with the transport.
    """

    def __init__(
        self,
        client: HttpClient,
        session: aiohttp.ClientSession | None = None,
        *,
        mine: bool = True,
    ) -> None:
        self._builder, self._mine = Builder(client), mine
        # A session that is given knows its own way out.
        self._proxies = _Proxies() if session is None else None
        self._sockets = _Sockets()
        self._session = _open_session(self._sockets) if session is None else session

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Sends one request, once, and reads the whole answer.

        Raises:
            httpx.TransportError: it failed on the wire; what each proves is known.
            ClientError: the answer is larger than any answer of an API.
            RejectedError: the request cannot be built.
        """
        self._stays_in_its_loop()
        with ExitStack() as stack, _told_as_httpx():
            built: httpx.Request = self._builder.build(httpx.Request, request, stack)
            seconds = self._builder.seconds(request)
            async with _patience() as patience:
                response = await self._session.request(
                    built.method,
                    yarl.URL(str(built.url), encoded=True),
                    data=_body(built, seconds, patience),
                    **self._options(built, seconds),
                )
                try:
                    headers, body = response.headers.items(), response.content.iter_any()
                    return await read_answer(response.status, headers, _httpx_pieces(body))
                finally:
                    # After the end of the body, its connection is back in the pool already.
                    response.close()

    def _stays_in_its_loop(self) -> None:
        loop = getattr(self._session, "_loop", None)
        if loop is not None and loop is not asyncio.get_running_loop():
            raise RejectedError(
                "http_client is an aiohttp.ClientSession of another event loop: pass a function "
                "that makes one, and each run gets its own"
            )

    def _options(self, built: httpx.Request, seconds: float) -> dict[str, Any]:
        # The session's own are repeated: those of a request replace them.
        middlewares = (_only_once(), *getattr(self._session, "_middlewares", ()))
        return {
            "headers": [(k, v) for k, v in built.headers.multi_items() if k not in _ITS_OWN],
            "skip_auto_headers": ("Content-Type",),
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": aiohttp.ClientTimeout(
                total=None,
                connect=POOL_SECONDS + CONNECT_SECONDS,
                sock_connect=CONNECT_SECONDS,
                sock_read=seconds,
            ),
            "middlewares": middlewares,
            "proxy": self._proxies and self._proxies.proxy_of(str(built.url)),
        }

    async def aclose(self) -> None:
        """Closes the session, unless it is somebody else's."""
        if self._mine:
            await self._session.close()
            await self._sockets.end()


class _Sockets:
    """The sockets of a session: one that its server no longer reads would outlive it."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def make(self, address: AddrInfoType) -> socket.socket:
        """A new one."""
        made = socket.socket(*address[:3])
        self._made.add(made)
        return made

    async def end(self) -> None:
        """Ends those that still wait to send what nobody wants."""
        for made in [made for made in self._made if made.fileno() >= 0]:
            with contextlib.suppress(OSError):  # the server has ended it already
                made.shutdown(socket.SHUT_RDWR)
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def _open_session(sockets: _Sockets) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=IDLE_SECONDS,
        ssl=httpx.create_ssl_context(),
        socket_factory=sockets.make,
    )
    # No cookies: a key identifies the account. No trust_env: it would send passwords of ~/.netrc.
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _only_once() -> ClientMiddlewareType:
    """Lets one attempt pass; the second fails as the first did.

    Sent again, a request that may have been accepted would be a second order; and a connection
    that is refused the second time would look as if nothing had been sent.
    """
    failed: list[BaseException] = []

    async def once(
        request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if failed:
            raise httpx.ReadError(str(failed[0])) from failed[0]
        try:
            return await handler(request)
        except BaseException as exc:
            failed.append(exc)
            raise

    return once


class _Proxies:
    """The proxies that the environment names, looked up once for each host."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], str | None] = {}

    def proxy_of(self, url: str) -> str | None:
        """The proxy for an address; ``None`` to go there directly."""
        parts = urlsplit(url)
        host = parts.scheme, parts.hostname
        if host not in self._known:
            self._known[host] = self._look_up(*host)
        return self._known[host]

    def _look_up(self, scheme: str, host: str | None) -> str | None:
        proxies = getproxies()
        found = proxies.get(scheme) or proxies.get("all")
        if not found or not host or proxy_bypass(host):
            return None
        found = found if "://" in found else f"http://{found}"
        if not found.startswith(("http://", "https://")):
            raise RejectedError('aiohttp knows no SOCKS proxies: use transport="httpx"')
        return found


# -- bodies ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _patience() -> AsyncIterator[asyncio.Timeout]:
    """A limit that a body in pieces puts off: aiohttp has none for the sending."""
    patience = asyncio.timeout(None)
    try:
        async with patience:
            yield patience
    except TimeoutError as exc:
        if patience.expired():
            raise httpx.WriteTimeout("the server takes no more of the body") from exc
        raise


def _body(built: httpx.Request, seconds: float, patience: asyncio.Timeout) -> Any:
    stream = built.stream
    if isinstance(stream, httpx.ByteStream):
        content = built.read()
        if len(content) <= _AT_ONCE:
            return content or None
    assert isinstance(stream, httpx.AsyncByteStream)
    return _watched(stream, seconds, patience)


async def _watched(
    stream: httpx.AsyncByteStream, seconds: float, patience: asyncio.Timeout
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    async for piece in stream:
        for start in range(0, len(piece), _AT_ONCE):
            patience.reschedule(clock() + seconds)
            yield piece[start : start + _AT_ONCE]
    patience.reschedule(None)


async def _httpx_pieces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _told_as_httpx():
        async for piece in pieces:
            yield piece


# -- failures --------------------------------------------------------------------------------


@contextlib.contextmanager
def _told_as_httpx() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as exc:
        # Not as its cause: some hold the headers of the request, and so the key.
        raise _as_httpx(exc) from None


def _as_httpx(exc: Exception) -> httpx.TransportError:
    """What httpx calls this failure. The texts name no address: it may hold a secret."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(f"no connection within {CONNECT_SECONDS:g} s")
        case aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(f"the proxy answers {exc.status}")
        case aiohttp.ClientConnectorError() | aiohttp.ServerFingerprintMismatch():
            return httpx.ConnectError(str(exc))
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol("the address is none that can be reached by HTTP")
        case TimeoutError():
            return httpx.ReadTimeout("the server sends nothing")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the answer ends before its end")
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the answer is no HTTP")
        case _:
            return httpx.ReadError(str(exc))
