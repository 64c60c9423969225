"""A server on loopback that does to its connections what a script says, and the smallest client."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import attrs
import pytest

from batchkit import Accepted, BatchRunner, Finished, Handle, Job, PollPolicy, RemoteStatus
from batchkit.clients.base import Capabilities
from batchkit.clients.http import Exchange, HttpClient, HttpRequest

#: Every library that sends; those that are not installed are skipped.
TRANSPORTS = ("httpx", "httpx2", "aiohttp")


@attrs.frozen
class Asked:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


#: What to do with a request; ``False`` ends the connection.
Script = Callable[[Asked, socket.socket], bool]


@attrs.define
class Server:
    """A listening socket; ``asked`` holds every request that came in whole."""

    script: Script
    asked: list[Asked] = attrs.field(factory=list)
    connections: int = 0
    address: tuple[str, int] = ("", 0)
    open: list[socket.socket] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # it was closed: the test is over
            while True:
                connection, _ = listening.accept()
                self.connections += 1
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError), closing(connection):  # the client hung up
            while (asked := read_request(connection)) is not None:
                self.asked.append(asked)
                if not self.script(asked, connection):
                    return


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    server = Server(script)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        server.address = listening.getsockname()
        accepting = threading.Thread(target=server.accept, args=(listening,), daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in server.open:
                connection.close()


def read_request(connection: socket.socket) -> Asked | None:
    """The next request; ``None`` at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := connection.recv(65536)):
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    missing = int(headers.get("content-length", 0)) - len(body)
    while missing > 0 or (headers.get("transfer-encoding") and not body.endswith(b"0\r\n\r\n")):
        if not (piece := connection.recv(65536)):
            return None
        body, missing = body + piece, missing - len(piece)
    return Asked(method, target, headers, body)


# -- scripts ---------------------------------------------------------------------------------


def reply(
    connection: socket.socket, body: bytes, status: int = 200, headers: str = "", length: int = -1
) -> None:
    size = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\n{headers}\r\n"
    connection.sendall(head.encode() + body)


def reset(connection: socket.socket) -> None:
    """Ends a connection at once, so that the other side sees a reset and not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def job_server(asked: Asked, connection: socket.socket) -> bool:
    """Accepts every submission, and has it done at the first look."""
    reply(connection, b'{"id": "v1"}' if asked.method == "POST" else b'{"status": "succeeded"}')
    return True


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as held:
        # Bound and not listening: it refuses, and nobody else can get it meanwhile.
        held.bind(("127.0.0.1", 0))
        yield "http://{}:{}".format(*held.getsockname())


@contextmanager
def crowded() -> Iterator[str]:
    """An address where connections are never accepted: the queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        try:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
                waiting.append(one)
            yield "http://{}:{}".format(*listening.getsockname())
        finally:
            for one in waiting:
                one.close()


# -- the client ------------------------------------------------------------------------------


class Toy(HttpClient):
    """The smallest client of an API."""

    name = "toy"
    key_env = ("TOY_KEY",)
    default_url = "https://api.example.com/v1"
    capabilities = Capabilities()
    method = "POST"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        answer = yield HttpRequest(self.method, "/videos", json={"prompt": job.title})
        return Accepted(handle=Handle(id=answer.text("id")))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        answer = yield HttpRequest("GET", f"/videos/{handle.id}")
        return RemoteStatus(state=answer.text("status"), finished=Finished())


class PutToy(Toy):
    """Submits with a method that may be repeated, as HTTP has it, and must not be."""

    method = "PUT"


def toy(transport: str, url: str, cls: type[HttpClient] = Toy, **options: Any) -> HttpClient:
    """A client that sends with *transport*; the test is skipped where it is not installed."""
    pytest.importorskip(transport)
    return cls("canary-key", base_url=url, transport=transport, **options)


def run(client: object, **options: Any) -> BatchRunner:
    """A batch of one job that has run, without retries."""
    poll = PollPolicy(first=0.001)
    runner = BatchRunner(client, storage="memory", delay=0, max_retries=0, poll=poll, **options)
    runner.add("a cat")
    runner.run()
    return runner


def only(runner: BatchRunner) -> Job:
    (job,) = runner.jobs()
    return runner.job(job)


WITHOUT_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def forget_proxies(patch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies take no part."""
    for name in WITHOUT_PROXY:
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
