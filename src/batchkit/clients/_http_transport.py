"""Sends requests with httpx or httpx2, in a way that survives the faults of httpx.

The pool of httpx 0.28 costs the more the more requests it holds, and a request that is cancelled
can leave it without free connections for good. So each of its clients gets few requests at a time
and no limit of its own (the pipeline limits), and one that reports an exhausted pool is replaced.
"""

from __future__ import annotations

import importlib
import math
import mimetypes
from contextlib import ExitStack
from typing import Any

import attrs

from batchkit.clients._http_choice import is_factory
from batchkit.clients._http_message import IDLE_SECONDS, Builder, read_answer
from batchkit.clients.http import HttpClient, HttpRequest, HttpResponse

#: Requests that one client of httpx is given at a time.
SHARE = 10


@attrs.define(eq=False)
class _Share:
    """One httpx client, and how many requests it carries."""

    client: Any
    in_flight: int = 0
    dead: bool = False


class Transport:
    """Sends the requests of one client, in one event loop.

    Args:
        client: whose requests they are, and whose ``http_client`` sends them, if it has one.
        made: that one, or what its factory of HTTP clients has just made.
    """

    def __init__(self, client: HttpClient, made: Any = None) -> None:
        self._client, self._builder = client, Builder(client)
        #: Whether there may be more of them, and all are closed here.
        self._mine = client.http_client is None or is_factory(client.http_client)
        self._room = SHARE if client.http_client is None else math.inf
        self._shares = [] if made is None else [_Share(made)]
        self._context: Any = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Sends one request and reads the whole answer.

        Raises:
            Exception: whatever httpx raises; the pipeline knows what each proves.
            ClientError: the answer is larger than any answer of an API.
            RejectedError: the request cannot be built.
        """
        share = self._share()
        share.in_flight += 1
        try:
            with ExitStack() as stack:
                built = self._builder.build(share.client.build_request, request, stack)
                response = await share.client.send(built, stream=True, follow_redirects=False)
                try:
                    pieces = response.aiter_bytes()
                    return await read_answer(
                        response.status_code, response.headers.multi_items(), pieces
                    )
                finally:
                    await response.aclose()
        except Exception as exc:
            share.dead |= type(exc).__name__ == "PoolTimeout"
            raise
        finally:
            share.in_flight -= 1
            await self._bury(share)

    def _share(self) -> _Share:
        for share in self._shares:
            if share.in_flight < self._room and not share.dead:
                return share
        if not self._mine:
            return self._shares[0]
        self._shares.append(_Share((self._client.http_client or self._open)()))
        return self._shares[-1]

    async def _bury(self, share: _Share) -> None:
        if share.dead and not share.in_flight and self._mine:
            self._shares.remove(share)
            await share.client.aclose()

    def _open(self) -> Any:
        library: Any = importlib.import_module(self._client.transport)
        if self._context is None:
            # Made once: reading the certificates takes longer than a request.
            self._context = library.create_ssl_context()
        limits = library.Limits(
            max_connections=None, max_keepalive_connections=SHARE, keepalive_expiry=IDLE_SECONDS
        )
        return library.AsyncClient(limits=limits, verify=self._context)

    async def aclose(self) -> None:
        """Closes what was opened here, or by a factory."""
        shares, self._shares = self._shares, []
        if self._mine:
            for share in shares:
                await share.client.aclose()


def media_type_of(path: str) -> str:
    """The media type that a file's name says, for uploads."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
