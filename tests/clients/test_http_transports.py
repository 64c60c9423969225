"""The libraries that send: chosen by name, given as a client, or made for each run."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from wire_kit import (
    TRANSPORTS,
    Asked,
    Server,
    Toy,
    forget_proxies,
    job_server,
    only,
    reply,
    run,
    serving,
    toy,
)

from batchkit import BatchRunner, JobStatus, MissingExtraError, PollPolicy, UsageError
from batchkit._redaction import scrub
from batchkit.clients import _http_choice
from batchkit.clients._http_session import open_transport
from batchkit.clients.http import FilePart, HttpClient, HttpRequest, HttpResponse


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_proxies(monkeypatch)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(job_server) as running:
        yield running


def test_every_library_runs_under_every_executor(
    transport: str, executor: str, server: Server
) -> None:
    client = toy(transport, server.url)
    if (transport, executor) == ("aiohttp", "trio"):
        with pytest.raises(UsageError, match="asyncio alone"):
            run(client, executor=executor)
        assert server.asked == []
        return
    assert only(run(client, executor=executor)).status is JobStatus.COMPLETED
    post, get = server.asked
    assert (post.method, post.target, json.loads(post.body)) == (
        "POST",
        "/videos",
        {"prompt": "a cat"},
    )
    assert (get.method, get.target) == ("GET", "/videos/v1")
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer canary-key"}
    assert server.connections == 1


def make(transport: str, **options: Any) -> Any:
    """A client of that library, as a user makes it."""
    library = pytest.importorskip(transport)
    name = "ClientSession" if transport == "aiohttp" else "AsyncClient"
    return getattr(library, name)(**options)


def test_a_client_of_yours_is_used_and_left_open(transport: str, server: Server) -> None:
    async def main() -> None:
        mine = make(transport, headers={"X-Mine": "yes"})
        runner = BatchRunner(
            Toy("k", base_url=server.url, http_client=mine),
            storage="memory",
            delay=0,
            poll=PollPolicy(first=0.001),
        )
        runner.add("a cat")
        await runner.run_async()
        assert only(runner).status is JobStatus.COMPLETED
        assert not (mine.closed if transport == "aiohttp" else mine.is_closed)
        await (mine.close() if transport == "aiohttp" else mine.aclose())

    anyio.run(main)
    assert {asked.headers["x-mine"] for asked in server.asked} == {"yes"}


def test_the_secrets_of_a_client_of_yours_are_hidden(transport: str) -> None:
    async def main() -> str:
        mine = make(transport, headers={"X-Api-Key": "canary-of-the-gateway"})
        Toy("k", http_client=mine).for_run()
        await (mine.close() if transport == "aiohttp" else mine.aclose())
        return scrub("refused: canary-of-the-gateway")

    assert "canary" not in anyio.run(main)


def test_a_function_makes_one_for_each_run_which_is_closed(transport: str, server: Server) -> None:
    made: list[Any] = []

    def factory() -> Any:
        made.append(make(transport))
        return made[-1]

    client = Toy("k", base_url=server.url, http_client=factory)
    for _ in range(2):
        assert only(run(client)).status is JobStatus.COMPLETED
    assert len(made) == 2
    assert all(one.closed if transport == "aiohttp" else one.is_closed for one in made)


def test_a_session_of_another_loop_is_refused_before_anything_is_sent(server: Server) -> None:
    pytest.importorskip("aiohttp")

    async def elsewhere() -> Any:
        session = make("aiohttp")
        await session.close()
        return session

    job = only(run(Toy("k", base_url=server.url, http_client=anyio.run(elsewhere))))
    assert job.error is not None
    assert "of another event loop: pass a function" in job.error.message
    assert (job.status, server.asked) == (JobStatus.FAILED, [])


@pytest.mark.parametrize("made", [object(), httpx.Client])
def test_a_function_that_makes_no_client_is_told_before_anything_is_sent(
    made: Any, server: Server
) -> None:
    def factory() -> object:
        return made() if callable(made) else made

    job = only(run(Toy("k", base_url=server.url, http_client=factory)))
    assert job.error is not None
    assert "pass an httpx.AsyncClient" in job.error.message
    assert (job.status, server.asked) == (JobStatus.FAILED, [])


def test_the_middlewares_of_a_session_still_run(server: Server) -> None:
    pytest.importorskip("aiohttp")
    seen: list[str] = []

    async def note(request: Any, handler: Any) -> Any:
        seen.append(request.method)
        return await handler(request)

    client = Toy("k", base_url=server.url, http_client=lambda: make("aiohttp", middlewares=(note,)))
    assert only(run(client)).status is JobStatus.COMPLETED
    assert seen == ["POST", "GET"]


def test_what_cannot_send_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="choose one of httpx, httpx2, aiohttp"):
        Toy("k", transport="requests")
    with httpx.Client() as blocking, pytest.raises(UsageError, match="is a Client: pass an httpx"):
        Toy("k", http_client=blocking)
    with pytest.raises(UsageError, match="leave out transport="):
        Toy("k", transport="httpx", http_client=httpx.AsyncClient())
    monkeypatch.setattr(_http_choice, "find_spec", lambda name: None)
    for name in ("httpx2", "aiohttp"):
        with pytest.raises(MissingExtraError, match=rf"batchkit-video\[{name}\]"):
            Toy("k", transport=name)


# -- what goes over the wire is the same -----------------------------------------------------


def send(client: HttpClient, *requests: HttpRequest) -> list[HttpResponse]:
    async def main() -> list[HttpResponse]:
        transport = open_transport(client)
        try:
            return [await transport.send(request) for request in requests]
        finally:
            await transport.aclose()

    return anyio.run(main)


def test_bodies(transport: str, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(b"RIFF" * 100_000)
    small = FilePart(field="file", filename="a.wav", data=b"RIFF", media_type="audio/wav")
    large = FilePart(field="file", filename="b.wav", path=str(file))
    send(
        toy(transport, server.url),
        HttpRequest("POST", "/json", json={"prompt": "são"}),
        HttpRequest("POST", "/form", form={"model": "m", "include[]": ["x", "y"]}),
        HttpRequest("POST", "/files", form={"model": "m"}, files=[small, large]),
        HttpRequest("PUT", "/file", path=str(file), headers={"Content-Type": "audio/wav"}),
        HttpRequest("PUT", "/raw", content=b"raw"),
        HttpRequest("POST", "/large", content=b"z" * 300_000),
        HttpRequest("POST", "/nothing"),
        HttpRequest("GET", "/query?a=1", params={"q": "a b/ç"}),
    )
    as_json, form, files, upload, raw, big, nothing, query = server.asked
    assert (as_json.body, as_json.headers["content-type"]) == (
        '{"prompt":"são"}'.encode(),
        "application/json",
    )
    assert form.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert form.body.count(b'name="include[]"') == 2
    assert b'filename="a.wav"' in files.body
    assert file.read_bytes() in files.body
    assert (upload.body, upload.headers["content-type"]) == (file.read_bytes(), "audio/wav")
    assert (raw.body, big.body, nothing.body) == (b"raw", b"z" * 300_000, b"")
    assert "content-type" not in raw.headers
    assert nothing.headers["content-length"] == "0"
    assert not [asked for asked in server.asked if "transfer-encoding" in asked.headers]
    assert query.target in ("/query?q=a+b%2F%C3%A7", "/query?a=1&q=a+b%2F%C3%A7")


def test_answers_are_read_alike(transport: str) -> None:
    def script(asked: Asked, connection: socket.socket) -> bool:
        if asked.target == "/gzip":
            reply(connection, gzip.compress(b'{"id": 1}'), headers="Content-Encoding: gzip\r\n")
        else:
            more = "Location: /gzip\r\nX-Two: a\r\nX-Two: b\r\nSet-Cookie: a=1\r\n"
            reply(connection, b"moved", status=307, headers=more)
        return True

    with serving(script) as server:
        moved, zipped = send(
            toy(transport, server.url), HttpRequest("GET", "/"), HttpRequest("GET", "/gzip")
        )
    assert (moved.status, moved.content, moved.headers["x-two"]) == (307, b"moved", "a, b")
    assert zipped.json() == {"id": 1}
    assert len(server.asked) == 2


def test_the_key_goes_to_no_other_host(transport: str, server: Server) -> None:
    with serving(job_server) as other:
        send(toy(transport, server.url), HttpRequest("GET", f"{other.url}/signed?sig=%2Fa+b"))
    (asked,) = other.asked
    assert "authorization" not in asked.headers
    assert asked.target == "/signed?sig=%2Fa+b"


def test_the_proxy_of_the_environment_is_used(
    transport: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proxy(asked: Asked, connection: socket.socket) -> bool:
        reply(connection, b"from the proxy")
        return True

    with serving(proxy) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url.removeprefix("http://"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        client = toy(transport, "http://api.invalid")
        far, near = send(client, HttpRequest("GET", "/x"), HttpRequest("GET", f"{server.url}/y"))
    assert (far.content, near.content) == (b"from the proxy", b'{"status": "succeeded"}')
    assert [asked.target for asked in between.asked] == ["http://api.invalid/x"]


def test_a_proxy_that_aiohttp_cannot_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    job = only(run(toy("aiohttp", "http://api.invalid")))
    assert job.error is not None
    assert (job.status, "SOCKS" in job.error.message) == (JobStatus.FAILED, True)
