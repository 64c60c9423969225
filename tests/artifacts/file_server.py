"""A server of one file on loopback, which knows ranges, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

SECRET = "?sig=SECRET#SECRET"


@attrs.frozen(kw_only=True)
class Answer:
    """How one request is answered; by default as it should be.

    Attributes:
        status: instead of 200, 206 or 416.
        headers: added, or replaced.
        without: headers that are left out.
        body: other bytes than the file's.
        cut: close the connection after so many bytes.
        reset: break it, with a reset, after so many bytes.
        stall: say nothing more after so many bytes, until the server is let go.
        whole: ignore the range that was asked for.
        drip: send one byte at a time, at most so many a second.
    """

    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    without: tuple[str, ...] = ()
    body: bytes | None = None
    cut: int | None = None
    reset: int | None = None
    stall: int | None = None
    whole: bool = False
    drip: float | None = None


@attrs.frozen
class Asked:
    """A request that came."""

    path: str
    headers: Mapping[str, str]


class FileServer(ThreadingHTTPServer):
    """Serves ``body`` everywhere; ``answers`` are used up first, one for each request."""

    daemon_threads = True

    def __init__(self, body: bytes, *, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.body = body
        self.etag: str | None = '"first"'
        self.answers: deque[Answer] = deque()
        self.asked: list[Asked] = []
        #: Bytes of bodies that were sent.
        self.sent = 0
        self.let_go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}/video.mp4{SECRET}"

    @property
    def ranges(self) -> list[str | None]:
        """What each request asked for."""
        return [asked.headers.get("Range") for asked in self.asked]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def handle_error(self, *_: object) -> None:
        """A client that leaves is not worth a traceback."""


@contextmanager
def serving(body: bytes, **options: Any) -> Iterator[FileServer]:
    with FileServer(body, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(Asked(self.path, dict(self.headers.items())))
        answer = server.answers.popleft() if server.answers else Answer()
        body = server.body if answer.body is None else answer.body
        status, start = self._range(answer, len(body))
        told = {"Content-Length": str(len(body) - start if status < 400 else 0)}
        if server.etag is not None:
            told["ETag"] = server.etag
        if status == 206:
            told["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.send_response(status)
        for name, value in {**told, **answer.headers}.items():
            if name not in answer.without:
                self.send_header(name, value)
        self.end_headers()
        if status < 400:
            self._send(body[start:], answer)
        self.close_connection = True

    def _range(self, answer: Answer, size: int) -> tuple[int, int]:
        wanted = self.headers.get("Range", "")
        same = self.headers.get("If-Range", self.server.etag) == self.server.etag
        if answer.status is not None:
            asks = answer.status == 206 and wanted and not answer.whole
            return answer.status, int(wanted[6:-1]) if asks else 0
        if not wanted or not same or answer.whole:
            return 200, 0
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        return (416, 0) if start >= size else (206, start)

    def _send(self, body: bytes, answer: Answer) -> None:
        ends = [end for end in (answer.cut, answer.reset, answer.stall) if end is not None]
        body = body[: min(ends, default=len(body))]
        if answer.drip is not None:
            for position in range(len(body)):
                self._write(body[position : position + 1])
                if self.server.let_go.wait(1 / answer.drip):
                    return
        self._write(body)
        if answer.stall is not None:
            self.server.let_go.wait(30)
        if answer.reset is not None:
            # Closing a socket that lingers for no time sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.server.sent += len(data)

    def log_message(self, *_: object) -> None:
        pass
