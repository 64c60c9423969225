"""Sends requests with httpx, in a way that survives its faults.

The pool of httpx 0.28 costs the more the more requests it holds, and a request that is cancelled
can leave it without free connections for good. So each of its clients gets few requests at a time
and no limit of its own (the pipeline limits), and one that reports an exhausted pool is replaced.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import attrs

from batchkit._errors import ClientError, RejectedError
from batchkit._results import EMPTY
from batchkit.clients.http import FilePart, HttpClient, HttpRequest, HttpResponse

#: Requests that one httpx client is given at a time.
SHARE = 10
#: More bytes are no answer of an API; results are downloaded elsewhere.
MOST_BYTES = 64 * 1024 * 1024
#: Seconds until a connection must stand, and until a free one must be found.
CONNECT_SECONDS, POOL_SECONDS = 10.0, 30.0
_CHUNK = 256 * 1024


@attrs.define(eq=False)
class _Share:
    """One httpx client, and how many requests it carries."""

    client: Any
    in_flight: int = 0
    dead: bool = False


class Transport:
    """Sends the requests of one client, in one event loop."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._origin = _origin(client.base_url)
        self._shares: list[_Share] = []
        self._context: Any = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Sends one request and reads the whole answer.

        Raises:
            Exception: whatever httpx raises; the pipeline knows what each proves.
            ClientError: the answer is larger than any answer of an API.
        """
        share = self._share()
        share.in_flight += 1
        try:
            with ExitStack() as stack:
                built = self._built(share.client, request, stack)
                response = await share.client.send(built, stream=True, follow_redirects=False)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except Exception as exc:
            share.dead = type(exc).__name__ == "PoolTimeout"
            raise
        finally:
            share.in_flight -= 1
            await self._bury(share)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpResponse(status=response.status_code, headers=headers, content=content)

    def _share(self) -> _Share:
        if self._client.http_client is not None:
            if not self._shares:
                self._shares.append(_Share(self._client.http_client))
            return self._shares[0]
        for share in self._shares:
            if share.in_flight < SHARE and not share.dead:
                return share
        self._shares.append(_Share(self._open()))
        return self._shares[-1]

    async def _bury(self, share: _Share) -> None:
        if share.dead and not share.in_flight and self._client.http_client is None:
            self._shares.remove(share)
            await share.client.aclose()

    def _open(self) -> Any:
        import httpx

        if self._context is None:
            # Made once: reading the certificates takes longer than a request.
            self._context = httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=SHARE)
        return httpx.AsyncClient(limits=limits, verify=self._context)

    def _built(self, client: Any, request: HttpRequest, stack: ExitStack) -> Any:
        try:
            return self._build(client, request, stack)
        except (OSError, ValueError, TypeError) as exc:
            # Told apart from faults on the wire: nothing was sent.
            raise RejectedError(f"the request cannot be built: {exc}") from exc

    def _build(self, client: Any, request: HttpRequest, stack: ExitStack) -> Any:
        url = request.url if "://" in request.url else self._client.base_url + request.url
        # The key goes to the API's own host, never to the host of a signed address.
        own = self._client.headers() if _origin(url) == self._origin else EMPTY
        timeout = request.timeout or self._client.timeout
        return client.build_request(
            request.method,
            url,
            params=dict(request.params) or None,
            headers={**own, **request.headers, **_length(request)},
            # As the argument timeout=, a mapping would be taken for a number of seconds.
            extensions={
                "timeout": {
                    "connect": CONNECT_SECONDS,
                    "pool": POOL_SECONDS,
                    "read": timeout,
                    "write": timeout,
                }
            },
            **_body(request, stack),
        )

    async def aclose(self) -> None:
        """Closes what was opened here."""
        if self._client.http_client is None:
            for share in self._shares:
                await share.client.aclose()
        self._shares = []


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


async def _read(response: Any) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            raise ClientError(f"the answer is larger than {MOST_BYTES} bytes", code="too_large")
    return bytes(content)


def _length(request: HttpRequest) -> Mapping[str, str]:
    if request.path is None:
        return EMPTY
    # Declared, so that the body is not sent in chunks, which many an upload host refuses.
    return {"Content-Length": str(Path(request.path).stat().st_size)}


def _body(request: HttpRequest, stack: ExitStack) -> dict[str, Any]:
    if request.json is not None:
        return {"json": request.json}
    if request.path is not None:
        return {"content": _pieces(request.path)}
    if request.content is not None:
        return {"content": request.content}
    if request.form is None and not request.files:
        return {}
    fields: list[Any] = []
    for name, value in (request.form or {}).items():
        values = [value] if isinstance(value, str) else value
        # Without a file name: a field, which makes the body multipart even where there is no file.
        fields += [(name, (None, item)) for item in values]
    return {"files": fields + [_part(part, stack) for part in request.files]}


def _part(part: FilePart, stack: ExitStack) -> Any:
    if part.path is None:
        return part.field, (part.filename, part.data, part.media_type)
    file = stack.enter_context(open(part.path, "rb"))  # noqa: PTH123, SIM115 - the stack closes it
    return part.field, (part.filename, file, part.media_type)


async def _pieces(path: str) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(_CHUNK):
            yield piece


def media_type_of(path: str) -> str:
    """The media type that a file's name says, for uploads."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
