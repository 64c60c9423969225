"""A fake HTTP server for clients that speak HTTP: on a loopback port, or as a transport of httpx.

It counts what is really sent, and misbehaves when it is told to.
"""

from __future__ import annotations

import functools
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

import attrs

from batchkit._errors import UsageError
from batchkit.testing._words import with_word

if TYPE_CHECKING:
    import httpx

#: Status, content type and body; ``None`` breaks the connection.
_Reply = tuple[int, str, bytes] | None

_JSON = "application/json"
_GARBAGE: tuple[tuple[str, bytes], ...] = (
    ("text/html", b"<html><body>Gateway says hello</body></html>"),
    (_JSON, b""),
    (_JSON, b"null"),
    (_JSON, b"[]"),
    (_JSON, b"{}"),
    (_JSON, b'{"id": "cut off'),
)
_FAILURES: tuple[_Reply, ...] = (
    (500, _JSON, b'{"error": "internal"}'),
    (503, "text/html", b"<html><body>Service Unavailable</body></html>"),
    (429, _JSON, b'{"error": "too many requests"}'),
    None,
)
_UNKNOWN_WORD = "batchkit-check-no-such-word"


@attrs.frozen
class Asked:
    """One request that reached a :class:`FakeAPI`.

    Attributes:
        method: as ``"POST"``.
        path: with the query.
        headers: names in lower case.
        body: as sent.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def route(self) -> str:
        """The path without the query."""
        return urlsplit(self.path).path

    @property
    def params(self) -> dict[str, str]:
        """The query; of a name that stands there twice, the last value."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class FakeAPI:
    """The other side of an HTTP client, for :func:`check_client` and for tests of your own.

    What the API does is a function of yours; counting and misbehaving is done here. It serves on a
    port of this machine, which works with every HTTP library and SDK and sees their hidden
    retries, or as a :meth:`transport` of httpx. Use it in a ``with`` block.

    Args:
        answer: what the API answers: a status and a JSON value, or ``bytes`` as they are. Called
            for one request at a time.
        is_submission: which requests submit; by default every POST.
        state_key: the field, wherever it stands in an answer, that says how a job is.
        refusal: the status and JSON value of a submission that is refused for certain.

    Attributes:
        asked: every request, in order.
    """

    def __init__(
        self,
        answer: Callable[[Asked], tuple[int, object]],
        *,
        is_submission: Callable[[Asked], bool] | None = None,
        state_key: str = "status",
        refusal: tuple[int, object] = (422, {"error": "refused"}),
    ) -> None:
        self._answer, self._state_key, self._refusal = answer, state_key, refusal
        self._is_submission = is_submission or _is_post
        self.asked: list[Asked] = []
        self._submissions = 0
        self._plan = ""
        self._fault: Exception | None = None
        self._garbage = itertools.cycle(_GARBAGE)
        self._failures = itertools.cycle(_FAILURES)
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, as ``"http://127.0.0.1:40123"``; the first look starts it."""
        if self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
            serve = functools.partial(self._server.serve_forever, poll_interval=0.02)
            threading.Thread(target=serve, name="batchkit-fake-server", daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def transport(self) -> httpx.MockTransport:
        """For ``httpx.Client(transport=...)`` and ``AsyncClient``: no port, the same answers."""
        import httpx

        def handle(request: httpx.Request) -> httpx.Response:
            path = request.url.raw_path.decode("ascii")
            headers = {name.lower(): value for name, value in request.headers.items()}
            reply = self.reply(Asked(request.method, path, headers, request.read()))
            if reply is None:
                raise httpx.ReadError("the connection broke", request=request)
            status, kind, body = reply
            return httpx.Response(status, headers={"Content-Type": kind}, content=body)

        return httpx.MockTransport(handle)

    def close(self) -> None:
        """Stops listening; may be called twice."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    # -- what check_client tells it ----------------------------------------------------------

    def submissions(self) -> int:
        """How many submissions it has seen, accepted or not.

        Raises:
            UsageError: the function that answers has raised; clients saw a broken connection.
        """
        if self._fault is not None:
            raise UsageError(f"the answer of the fake server failed: {self._fault!r}")
        return self._submissions

    def drop_next(self) -> None:
        """Accepts the next submission, and breaks the connection before it answers."""
        self._plan = "drop"

    def refuse_next(self) -> None:
        """Refuses the next submission."""
        self._plan = "refuse"

    def fail_next(self) -> None:
        """Fails to answer the next request: 500, 503, 429, a broken connection, in turn."""
        self._plan = "fail"

    def garble_next(self) -> None:
        """Does what the next request asks, and answers nonsense with status 200."""
        self._plan = "garble"

    def confuse_next(self) -> None:
        """Answers the next request that submits nothing with a status that nobody knows."""
        self._plan = "confuse"

    # -- answering -----------------------------------------------------------------------------

    def reply(self, asked: Asked) -> tuple[int, str, bytes] | None:
        """What it answers: status, content type and body; ``None`` breaks the connection."""
        with self._lock:
            self.asked.append(asked)
            plan = self._take(submits=self._is_submission(asked))
            if plan == "refuse":
                return _encoded(*self._refusal)
            if plan == "fail":
                return next(self._failures)
            try:
                status, value = self._answer(asked)
                reply = _encoded(status, self._confused(value) if plan == "confuse" else value)
            except Exception as exc:
                # The client sees a broken connection; submissions() tells whoever tests.
                self._fault = exc
                raise
            if plan == "garble":
                return (200, *next(self._garbage))
            return None if plan == "drop" else reply

    def _take(self, *, submits: bool) -> str:
        self._submissions += submits
        plan = self._plan
        waits = plan in ("drop", "refuse") if not submits else plan == "confuse"
        if not waits:
            self._plan = ""
        return "" if waits else plan

    def _confused(self, value: object) -> object:
        changed, count = with_word(value, self._state_key, _UNKNOWN_WORD)
        if not count:
            raise UsageError(
                f"an answer has no field {self._state_key!r}: name the field that says how a job "
                "is, as FakeAPI(state_key=...)"
            )
        return changed


def _is_post(asked: Asked) -> bool:
    return asked.method == "POST"


def _encoded(status: int, value: object) -> tuple[int, str, bytes]:
    if isinstance(value, bytes):
        return status, "application/octet-stream", value
    return status, _JSON, json.dumps(value).encode()


def _handler(server: FakeAPI) -> type[BaseHTTPRequestHandler]:
    """The class of requests to *server*. HTTP/1.0: each connection is closed after its answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, b"".join(self._body(headers)))
            reply = server.reply(asked)
            if reply is None:
                return
            status, kind, body = reply
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
            if "chunked" not in headers.get("transfer-encoding", ""):
                yield self.rfile.read(int(headers.get("content-length", 0)))
                return
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base
            """Not on the screen."""

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.do_GET)
    return Handler
