"""The client of one run of an HTTP API: sends what a client says, reads what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import anyio

from batchkit._errors import ClientError, RejectedError, UsageError
from batchkit._jobs import Handle, Job
from batchkit._redaction import remember, secrets_of_headers
from batchkit.clients._http_choice import family_of, is_factory
from batchkit.clients._http_errors import error_of, name_request
from batchkit.clients.base import Accepted, Finished, RemoteStatus
from batchkit.clients.http import Exchange, HttpClient, HttpRequest, HttpResponse

T = TypeVar("T")
_OPTIONAL = ("prepare", "cancel", "find")
#: Methods of the client that need no request.
_PLAIN = ("check", "estimate", "fetch")


class HttpTransport(Protocol):
    """What sends the requests of one client, in one event loop."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Sends one request, once, and reads the whole answer."""
        ...

    async def aclose(self) -> None:
        """Closes what was opened here."""


def open_transport(client: HttpClient) -> HttpTransport:
    """What sends the requests of *client* in the running event loop.

    Raises:
        RejectedError: its factory of HTTP clients does not make one.
    """
    made = client.http_client
    if mine := is_factory(made):
        try:
            made = made()
            family = family_of(made)
        except Exception as exc:
            # Nothing was sent, and repeating it would not help.
            raise RejectedError(f"http_client cannot be made: {exc}") from exc
    else:
        family = client.transport
    if family == "aiohttp":
        from batchkit.clients._http_aiohttp import AiohttpTransport

        return AiohttpTransport(client, made, mine=mine or made is None)
    from batchkit.clients._http_transport import Transport

    return Transport(client, made)


class HttpSession:
    """A client as the pipeline knows it. The optional methods are there when the client has them.

    Args:
        client: the provider's client; it knows the API and does no I/O.
    """

    def __init__(self, client: HttpClient) -> None:
        remember([client.key, *secrets_of_headers(client.headers())])
        given = getattr(client.http_client, "headers", None)
        remember(secrets_of_headers(given) if isinstance(given, Mapping) else [])
        self._client = client
        self._transport: HttpTransport | None = None
        #: aiohttp knows no other event loop than that of asyncio.
        self.asyncio_only = client.transport == "aiohttp"
        self.capabilities, self.ref = client.capabilities, client.ref
        for name in _OPTIONAL:
            if hasattr(client, f"http_{name}"):
                setattr(self, name, getattr(self, f"_{name}"))
        for name in _PLAIN:
            if hasattr(client, name):
                setattr(self, name, getattr(client, name))
        if type(client).http_poll is not HttpClient.http_poll:
            self.poll = self._poll

    def __repr__(self) -> str:
        return repr(self._client)

    async def submit(self, job: Job) -> Accepted | Finished:
        """Sends the one request that may cost money."""
        answer: Accepted | Finished = await self._run(self._client.http_submit(job), paying=True)
        return answer

    async def _poll(self, handle: Handle) -> RemoteStatus:
        return await self._run(self._client.http_poll(handle))

    async def _prepare(self, job: Job) -> Mapping[str, Any]:
        return await self._run(self._client.http_prepare(job))  # type: ignore[attr-defined]

    async def _cancel(self, handle: Handle) -> bool:
        return await self._run(self._client.http_cancel(handle))  # type: ignore[attr-defined]

    async def _find(self, job: Job, submit_key: str) -> Handle | None:
        found = self._client.http_find(job, submit_key)  # type: ignore[attr-defined]
        return await self._run(found)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _run(self, exchange: Exchange[T], *, paying: bool = False) -> T:
        answer: HttpResponse | None = None
        try:
            while True:
                request = _first(exchange, paying) if answer is None else _heard(exchange, answer)
                if paying and answer is not None:
                    # It may be paid for already: better uncertain than sent twice.
                    raise UsageError("http_submit sent two requests; the first belongs to prepare")
                if request.delay:
                    await anyio.sleep(request.delay)
                answer = await self._send(request)
                if answer.status >= 300 and answer.status not in request.expect:
                    raise self._error(answer, paying=paying)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            exchange.close()

    async def _send(self, request: HttpRequest) -> HttpResponse:
        if self._transport is None:
            self._transport = open_transport(self._client)
        return await self._transport.send(request)

    def _error(self, answer: HttpResponse, *, paying: bool) -> Exception:
        fault = self._client.fault(answer)
        proof = self.capabilities.not_accepted
        return error_of(answer, fault, paying=paying, not_accepted=proof)


def _first(exchange: Exchange[T], paying: bool) -> HttpRequest:
    """The first request of an operation; one that cannot be made is proof that nothing was sent."""
    try:
        return next(exchange)
    except (OSError, ValueError, TypeError, LookupError) as exc:
        if not paying:
            raise
        raise RejectedError(f"the request cannot be built: {exc}") from exc


def _heard(exchange: Exchange[Any], answer: HttpResponse) -> HttpRequest:
    try:
        return exchange.send(answer)
    except ClientError as exc:
        # What means nothing to us is what the provider's support is asked about.
        name_request(exc, answer)
        raise
