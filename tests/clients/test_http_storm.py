"""A storm of cancellations must not cost the connections: afterwards, every request gets through.

A task of asyncio that is cancelled can leave httpx 0.28 with a connection that counts as taken for
good; see ``_http_transport`` for what is done about it.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading

import anyio
import pytest
from wire_kit import TRANSPORTS, Asked, forget_proxies, reply, serving, toy

from batchkit.clients._http_session import HttpTransport, open_transport
from batchkit.clients.http import HttpRequest

WAVES, WAVE, AFTER = 12, 60, 20
#: Seconds within which a request of a wave is cancelled, and then, as by a second Ctrl-C, again.
SOON, AGAIN = 0.1, 0.0005


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_a_storm_of_cancellations_every_request_succeeds(
    transport: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_proxies(monkeypatch)
    if (transport, backend) == ("aiohttp", "trio"):
        pytest.skip("aiohttp runs on asyncio alone")
    calm, rng = threading.Event(), random.Random(7)

    def script(asked: Asked, connection: socket.socket) -> bool:
        if asked.target == "/slow":
            calm.wait(30)
        reply(connection, b"{}")
        return True

    async def main() -> list[int]:
        wire = open_transport(client)
        storm = tasks_cancelled if backend == "asyncio" else scopes_cancelled
        try:
            for _ in range(WAVES):
                await storm(wire, rng)
            calm.set()
            return await together(wire)
        finally:
            await wire.aclose()

    with serving(script) as server:
        client = toy(transport, server.url)
        assert anyio.run(main, backend=backend) == [200] * AFTER


def request_of(number: int) -> HttpRequest:
    return HttpRequest("GET", "/slow" if number % 2 else "/quick")


async def tasks_cancelled(wire: HttpTransport, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(wire.send(request_of(number))) for number in range(WAVE)]
    for task in tasks:
        when = rng.uniform(0, SOON)
        loop.call_later(when, task.cancel)
        loop.call_later(when + AGAIN, task.cancel)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(end, asyncio.CancelledError) for end in ended)


async def scopes_cancelled(wire: HttpTransport, rng: random.Random) -> None:
    async def one(number: int, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await wire.send(request_of(number))

    async with anyio.create_task_group() as group:
        for number in range(WAVE):
            group.start_soon(one, number, rng.uniform(0, SOON))


async def together(wire: HttpTransport) -> list[int]:
    found: list[int] = []

    async def one() -> None:
        found.append((await wire.send(HttpRequest("GET", "/after"))).status)

    async with anyio.create_task_group() as group:
        for _ in range(AFTER):
            group.start_soon(one)
    return found
