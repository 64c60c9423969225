"""How a request is built and how an answer is read, whichever library sends them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import anyio.to_thread

from batchkit._errors import ClientError, RejectedError
from batchkit._results import EMPTY
from batchkit.clients._http_errors import name_request
from batchkit.clients.http import FilePart, HttpClient, HttpRequest, HttpResponse

#: More bytes are no answer of an API; results are downloaded elsewhere.
MOST_BYTES = 64 * 1024 * 1024
#: Seconds until a connection must stand, and until a free one must be found.
CONNECT_SECONDS, POOL_SECONDS = 10.0, 30.0
#: Seconds that an idle connection is kept. Shorter than most servers do: a submission on a
#: connection that the server is just closing is one that nobody can vouch for.
IDLE_SECONDS = 5.0
_CHUNK = 256 * 1024


class Builder:
    """Builds the requests of one client.

    Args:
        client: says the address, the headers and the time-out.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._origin = _origin(client.base_url)

    def seconds(self, request: HttpRequest) -> float:
        """How long to wait for the server each time."""
        return request.timeout or self._client.timeout

    def build(self, make: Callable[..., Any], request: HttpRequest, stack: ExitStack) -> Any:
        """A request of httpx, made by *make*; its files are closed with *stack*.

        Raises:
            RejectedError: it cannot be built; told apart from faults on the wire.
        """
        try:
            return self._build(make, request, stack)
        except (OSError, ValueError, TypeError) as exc:
            raise RejectedError(f"the request cannot be built: {exc}") from exc

    def _build(self, make: Callable[..., Any], request: HttpRequest, stack: ExitStack) -> Any:
        url = request.url if "://" in request.url else self._client.base_url + request.url
        # The key goes to the API's own host, never to the host of a signed address.
        own = self._client.headers() if _origin(url) == self._origin else EMPTY
        return make(
            request.method,
            url,
            params=dict(request.params) or None,
            headers={**own, **request.headers, **_length(request)},
            extensions={"timeout": self._timeouts(request)},
            **_body(request, stack),
        )

    def _timeouts(self, request: HttpRequest) -> dict[str, float]:
        # As the argument timeout=, a mapping would be taken for a number of seconds.
        each = self.seconds(request)
        return {"connect": CONNECT_SECONDS, "pool": POOL_SECONDS, "read": each, "write": each}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _length(request: HttpRequest) -> Mapping[str, str]:
    if request.path is None:
        return EMPTY
    # Declared, so that the body is not sent in chunks, which many an upload host refuses.
    return {"Content-Length": str(Path(request.path).stat().st_size)}


def _body(request: HttpRequest, stack: ExitStack) -> dict[str, Any]:
    if request.json is not None:
        return {"json": request.json}
    if request.path is not None:
        return {"content": _pieces(_opened(request.path, stack))}
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
    return part.field, (part.filename, _opened(part.path, stack), part.media_type)


def _opened(path: str, stack: ExitStack) -> BinaryIO:
    # Closed by the stack, not by who reads it: not every library reads on to the very end.
    return stack.enter_context(open(path, "rb"))  # noqa: PTH123


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await anyio.to_thread.run_sync(file.read, _CHUNK):
        yield piece


async def read_answer(
    status: int, headers: Iterable[tuple[str, str]], pieces: AsyncIterable[bytes]
) -> HttpResponse:
    """The whole answer.

    Args:
        status: as 200.
        headers: in any case; one that comes twice is joined.
        pieces: the body, decompressed.

    Raises:
        ClientError: it is larger than any answer of an API.
        Exception: whatever *pieces* raises, with the provider's name of the request.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        before = found.get(name.lower())
        found[name.lower()] = value if before is None else f"{before}, {value}"
    try:
        content = await _read(pieces)
    except Exception as exc:
        name_request(exc, HttpResponse(status=status, headers=found))
        raise
    return HttpResponse(status=status, headers=found, content=content)


async def _read(pieces: AsyncIterable[bytes]) -> bytes:
    content = bytearray()
    async for piece in pieces:
        content += piece
        if len(content) > MOST_BYTES:
            raise ClientError(f"the answer is larger than {MOST_BYTES} bytes", code="too_large")
    return bytes(content)
