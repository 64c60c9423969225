"""Talks to a fake server as directly as HTTP allows."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import httpx

from batchkit.testing import FakeServer

#: Seconds; only what never answers is waited for so briefly.
BRIEFLY = 0.2
#: Seconds after which a test gives up on something that has to happen.
AT_MOST = 20.0


class Caller:
    """Sends requests to one server, and says what came of them."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def send(
        self, method: str, path: str, *, timeout: float = AT_MOST, **more: Any
    ) -> httpx.Response:
        url = self.server.url + path
        with httpx.Client(timeout=timeout, trust_env=False, verify=False) as client:
            return client.request(method, url, **more)

    def submit(
        self, prompt: str = "cat", key: str = "k", timeout: float = AT_MOST, **more: Any
    ) -> httpx.Response:
        data = {"prompt": prompt, "tag": key, **more}
        return self.send("POST", "/jobs", json=data, timeout=timeout)

    def poll(self, job: str, timeout: float = AT_MOST) -> httpx.Response:
        return self.send("GET", f"/jobs/{job}", timeout=timeout)

    def finished(self, prompt: str = "cat", key: str = "k") -> dict[str, Any]:
        """The last word on a job that is polled to its end."""
        job = self.submit(prompt, key).json()["id"]
        while True:
            told: dict[str, Any] = self.poll(job).json()
            if told["state"] not in ("queued", "running", "simmering"):
                return told

    def raw(self, request: bytes) -> bytes:
        """Whatever comes back, byte for byte, until the connection ends."""
        address = self.server.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=AT_MOST) as sock:
            sock.sendall(request)
            pieces = []
            while piece := sock.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)


def outcome(call: Callable[[], httpx.Response]) -> str:
    """A status, or the name of the exception."""
    try:
        return str(call().status_code)
    except httpx.HTTPError as exc:
        return type(exc).__name__


def eventually(condition: Callable[[], object]) -> bool:
    """Whether something becomes true in reasonable time."""
    until = time.monotonic() + AT_MOST
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
