"""What breaks on a real wire, and what each library's failure proves about a submission."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
import pytest
from wire_kit import (
    TRANSPORTS,
    Asked,
    PutToy,
    Script,
    Toy,
    crowded,
    forget_proxies,
    job_server,
    nobody,
    only,
    reply,
    reset,
    run,
    serving,
    toy,
)

from batchkit import ClientError, ErrorKind, JobError, JobStatus
from batchkit._verdicts import Proof, judge
from batchkit.clients import _http_message
from batchkit.clients._http_session import open_transport
from batchkit.clients.http import HttpClient, HttpRequest, HttpResponse
from batchkit.testing import FakeClock

pytestmark = pytest.mark.usefixtures("quick")
UNCERTAIN = (JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_proxies(monkeypatch)
    monkeypatch.setattr(_http_message, "MOST_BYTES", 100_000)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


# -- nothing was sent ------------------------------------------------------------------------


@pytest.mark.parametrize("address", [nobody, crowded], ids=["refused", "no answer to the call"])
def test_no_connection_was_never_sent(
    transport: str,
    address: Callable[[], AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_http_message, "CONNECT_SECONDS", 0.5)
    if transport == "aiohttp":
        monkeypatch.setattr("batchkit.clients._http_aiohttp.CONNECT_SECONDS", 0.5)
    with address() as url:
        assert never_sent(toy(transport, url))


def never_sent(client: HttpClient) -> JobError | None:
    """The error, when it proves that nothing was sent."""
    (answer,) = send(client, HttpRequest("POST", "/", json={}))
    assert isinstance(answer, Exception)
    verdict = judge(answer)
    assert verdict.error.kind is ErrorKind.NETWORK
    return verdict.error if verdict.proof is Proof.NOT_SENT else None


def test_a_batch_waits_for_a_provider_that_is_away_and_pauses(transport: str) -> None:
    with nobody() as url:
        runner = run(toy(transport, url), clock=FakeClock())
    assert runner.summary().paused is not None
    assert only(runner).status is JobStatus.PENDING


def test_no_such_host_was_never_sent(transport: str) -> None:
    assert never_sent(toy(transport, "http://host.invalid"))


def test_no_http_was_never_sent(transport: str) -> None:
    (answer,) = send(toy(transport, "http://host.invalid"), HttpRequest("GET", "ftp://h.invalid/x"))
    assert isinstance(answer, Exception)
    assert judge(answer).proof is Proof.NOT_SENT


def test_no_tls_was_never_sent(transport: str) -> None:
    def speaks_plainly(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: speaks_plainly(listening.accept()[0]))
        thread.start()
        assert never_sent(toy(transport, f"https://127.0.0.1:{listening.getsockname()[1]}"))
        thread.join()


def test_a_proxy_that_refuses_was_never_sent(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(asked: Asked, connection: socket.socket) -> bool:
        reply(connection, b"", status=407)
        return False

    with serving(refuses) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://ann:secret@"))
        error = never_sent(toy(transport, "https://api.example.com"))
    assert error is not None
    assert "secret" not in error.message
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", "api.example.com:443")
    assert asked.headers["proxy-authorization"] == "Basic YW5uOnNlY3JldA=="
    assert "authorization" not in asked.headers


# -- nobody knows ----------------------------------------------------------------------------


def resets(asked: Asked, connection: socket.socket) -> bool:
    reset(connection)
    return False


def hangs_up(asked: Asked, connection: socket.socket) -> bool:
    return False


def breaks_off(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b'{"id"', headers="X-Request-Id: req-7\r\n", length=5000)
    return False


def resets_in_the_middle(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b'{"id"', headers="X-Request-Id: req-7\r\n", length=5000)
    reset(connection)
    return False


def garbles(asked: Asked, connection: socket.socket) -> bool:
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n" * 4)
    return False


def never_ends(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b"x" * 200_000, headers="X-Request-Id: req-7\r\n")
    return True


def half_gzip(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b"this is no gzip", headers="Content-Encoding: gzip\r\n")
    return True


def says_nothing_known(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b'{"ok": true}', headers="X-Request-Id: req-7\r\n")
    return True


def answers_500(asked: Asked, connection: socket.socket) -> bool:
    reply(connection, b"{}", status=500, headers="X-Request-Id: req-7\r\n")
    return True


def is_silent(asked: Asked, connection: socket.socket) -> bool:
    connection.recv(1)
    return False


SCRIPTS = (
    resets, hangs_up, breaks_off, resets_in_the_middle, garbles, never_ends, half_gzip,
    says_nothing_known, answers_500, is_silent,
)  # fmt: skip
NAMED = {breaks_off, resets_in_the_middle, never_ends, says_nothing_known, answers_500}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.parametrize("cls", [Toy, PutToy])
def test_what_broke_after_it_was_sent_is_uncertain_and_sent_once(
    transport: str, script: Script, cls: type[HttpClient]
) -> None:
    with serving(script) as server:
        job = only(run(toy(transport, server.url, cls, timeout=1.0)))
    assert job.error is not None
    assert (job.status, job.error.kind, len(server.asked)) == (*UNCERTAIN, 1), job.error
    if script in NAMED:
        assert "(request req-7)" in job.error.message


def test_reset_before_the_request_is_read_is_uncertain(transport: str) -> None:
    """Whether anybody read the bytes that had left, the client cannot know."""

    def resets_unread(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.recv(1, socket.MSG_PEEK)
        reset(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=resets_unread, args=(listening,))
        thread.start()
        job = only(run(toy(transport, f"http://127.0.0.1:{listening.getsockname()[1]}")))
        thread.join()
    assert job.status is JobStatus.UNCERTAIN


def test_an_idle_connection_that_breaks_is_not_sent_again(transport: str) -> None:
    """aiohttp would: the second answer comes on a connection that was used before."""
    count = [0]

    def once_only(asked: Asked, connection: socket.socket) -> bool:
        count[0] += 1
        if count[0] == 1:
            reply(connection, b"{}")
            return True
        reset(connection)
        return False

    with serving(once_only) as server:
        client = toy(transport, server.url)
        answers = send(client, HttpRequest("GET", "/"), HttpRequest("PUT", "/", json={}))
    assert [type(answer).__name__ for answer in answers] == ["HttpResponse", "ReadError"]
    assert [asked.method for asked in server.asked] == ["GET", "PUT"]
    assert server.connections == 1


def send(client: HttpClient, *requests: HttpRequest) -> list[HttpResponse | Exception]:
    """One after the other on the same transport; failures are answers too."""

    async def main() -> list[HttpResponse | Exception]:
        transport = open_transport(client)
        found: list[HttpResponse | Exception] = []
        for request in requests:
            try:
                found.append(await transport.send(request))
            except Exception as exc:
                found.append(exc)
        await transport.aclose()
        return found

    return anyio.run(main)


def test_a_free_call_that_breaks_is_repeated_until_it_works(transport: str) -> None:
    polls = [0]

    def breaks_the_first_poll(asked: Asked, connection: socket.socket) -> bool:
        polls[0] += asked.method == "GET"
        if asked.method == "GET" and polls[0] == 1:
            reset(connection)
            return False
        return job_server(asked, connection)

    with serving(breaks_the_first_poll) as server:
        assert only(run(toy(transport, server.url))).status is JobStatus.COMPLETED
    assert [asked.method for asked in server.asked] == ["POST", "GET", "GET"]


def test_a_server_that_takes_no_more_of_a_body_is_given_up(transport: str) -> None:
    stop = threading.Event()

    def takes_a_little(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.recv(1000)
        stop.wait(30)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=takes_a_little, args=(listening,))
        thread.start()
        client = toy(transport, f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=0.5)
        (answer,) = send(client, HttpRequest("POST", "/", content=b"x" * 30_000_000))
        stop.set()
        thread.join()
    assert type(answer).__name__ == "WriteTimeout"


def test_too_large_is_an_error_of_ours(transport: str) -> None:
    with serving(never_ends) as server:
        (answer,) = send(toy(transport, server.url), HttpRequest("GET", "/"))
    assert isinstance(answer, ClientError)
    assert answer.code == "too_large"
