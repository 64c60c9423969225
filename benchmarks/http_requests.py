"""Requests per second and CPU per request: batchkit's HTTP layer beside the bare libraries.

Measured: small status queries that the server answers after ``--latency`` seconds, at 10, 50, 100
and 500 in flight, each over connections that stand already. For batchkit that is what one query of
a client costs from the request to the read answer; the bare libraries are used as their manuals
show: one client with a pool as large as the requests in flight, and no other options.

Not measured: TLS, connecting, the pipeline. CPU is that of the sending process alone; the server
is a process of its own, and so is each run of each variant. Every round runs all of them once, in
random order. Ratios are medians of the ratios of each round, with the smallest and the largest.

Run it with ``python benchmarks/http_requests.py``; it needs aiohttp and httpx2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

from _kit import Measured, in_child, interleave, spread, table

from batchkit.clients._http_session import open_transport
from batchkit.clients.http import HttpClient, HttpRequest

Found = dict[str, list[Measured | None]]
Send = Callable[[], Awaitable[object]]
Opener = Callable[[str, int], AbstractAsyncContextManager[Send]]

LIBRARIES = ("httpx", "httpx2", "aiohttp")
LEVELS = (10, 50, 100, 500)
_ANSWER = b'{"id": "v1", "status": "running", "progress": 0.5}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


# -- the server ------------------------------------------------------------------------------


class Answering(asyncio.Protocol):
    """Answers every request of a connection after the latency."""

    def __init__(self, latency: float) -> None:
        self.latency, self.data = latency, b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while b"\r\n\r\n" in self.data:
            self.data = self.data.partition(b"\r\n\r\n")[2]
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        self.transport.write(_HEAD % len(_ANSWER) + _ANSWER)


async def serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answering(latency), "127.0.0.1", 0, backlog=max(LEVELS)
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server(latency: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


# -- the variants ----------------------------------------------------------------------------


class Queries(HttpClient):
    """A client of which only the sending is used."""

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def batchkit(library: str) -> Opener:
    @asynccontextmanager
    async def opened(url: str, level: int) -> Any:
        transport = open_transport(Queries("key", base_url=url, transport=library))
        request = HttpRequest("GET", "/videos/v1")

        async def send() -> None:
            assert (await transport.send(request)).status == 200

        yield send
        await transport.aclose()

    return opened


def bare_httpx(library: str) -> Opener:
    @asynccontextmanager
    async def opened(url: str, level: int) -> Any:
        module: Any = __import__(library)
        limits = module.Limits(max_connections=level, max_keepalive_connections=level)
        headers = {"Authorization": "Bearer key"}
        async with module.AsyncClient(limits=limits, timeout=None, headers=headers) as client:

            async def send() -> None:
                assert (await client.get(f"{url}/videos/v1")).status_code == 200

            yield send

    return opened


@asynccontextmanager
async def bare_aiohttp(url: str, level: int) -> Any:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=level)
    headers = {"Authorization": "Bearer key"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def send() -> None:
            async with session.get(f"{url}/videos/v1") as response:
                assert response.status == 200
                await response.read()

        yield send


VARIANTS: dict[str, Opener] = {
    **{f"batchkit {library}": batchkit(library) for library in LIBRARIES},
    "bare httpx": bare_httpx("httpx"),
    "bare httpx2": bare_httpx("httpx2"),
    "bare aiohttp": bare_aiohttp,
}


# -- one run ---------------------------------------------------------------------------------


async def _many(send: Send, requests: int, level: int) -> None:
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await send()

    await asyncio.gather(*(worker() for _ in range(level)))


async def _run(name: str, url: str, level: int, requests: int) -> Measured:
    async with VARIANTS[name](url, level) as send:
        await _many(send, level, level)
        cpu, start = time.process_time(), time.perf_counter()
        await _many(send, requests, level)
        return Measured(time.perf_counter() - start, time.process_time() - cpu, 0)


# -- the report ------------------------------------------------------------------------------


def main() -> None:
    options = _options()
    if options.serve:
        asyncio.run(serve(options.latency))
    elif options.child:
        name, _, level = options.child.partition("@")
        found = asyncio.run(_run(name, options.url, int(level), _requests(options, int(level))))
        print(json.dumps(found))
    else:
        _side_by_side(options)


def _side_by_side(options: argparse.Namespace) -> None:
    names = [f"{name}@{level}" for name in VARIANTS for level in options.levels]
    before = os.getloadavg()[0]
    with server(options.latency) as url:
        common = ("--url", url, "--requests", options.requests)
        found = interleave(
            names, options.rounds, options.wait, lambda name: in_child(__file__, name, *common)
        )
    print(f"{options.rounds} rounds, answers after {options.latency * 1000:g} ms, ", end="")
    print(f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after")
    for level in options.levels:
        _report(level, found, _requests(options, level))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000, help="of each run, at most")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds to an answer")
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS, help="in flight")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds for a quiet moment")
    # Every benchmark takes a folder for its files; this one has none.
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _requests(options: argparse.Namespace, level: int) -> int:
    """Of one run: with few in flight, many would take long."""
    return min(int(options.requests), 60 * level)


def _report(level: int, found: Found, requests: int) -> None:
    head = (f"{level} in flight", "requests/s", "CPU µs", "x bare: speed", "x bare: CPU")
    rows = [
        _row(name, level, found, requests) for name in VARIANTS if any(found[f"{name}@{level}"])
    ]
    print(f"\n{table(head, rows)}")


def _row(name: str, level: int, found: Found, requests: int) -> tuple[str, ...]:
    mine = found[f"{name}@{level}"]
    other = found[f"bare {name.rpartition(' ')[2]}@{level}"]
    runs = [run for run in mine if run is not None]
    pairs = [(a, b) for a, b in zip(mine, other, strict=True) if a is not None and b is not None]
    return (
        name,
        spread([requests / run.seconds for run in runs], 0),
        f"{statistics.median(run.cpu for run in runs) / requests * 1e6:.0f}",
        _ratio([b.seconds / a.seconds for a, b in pairs]),
        _ratio([a.cpu / b.cpu for a, b in pairs]),
    )


def _ratio(values: Sequence[float]) -> str:
    return spread(values, 2) if values else "-"


if __name__ == "__main__":
    main()
