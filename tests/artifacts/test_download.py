from __future__ import annotations

import gzip
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from batchkit._errors import ClientError, ResultExpiredError
from batchkit.artifacts import download

BODY = bytes(range(256)) * 1000
SECRET = "?sig=SECRET#SECRET"


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/loop":
            self._answer(302, location="/loop?sig=SECRET")
        elif path == "/away":
            self._answer(302, location="ftp://user:SECRET@x/y?sig=SECRET")
        elif path == "/nowhere":
            self._answer(302, location="http://[SECRET")
        elif path == "/moved":
            self._answer(307, location="/video?sig=SECRET")
        elif path == "/cut":
            self._answer(200, BODY, length=len(BODY) + 1)
            self.close_connection = True
        elif path == "/zip":
            self._answer(200, gzip.compress(BODY), encoding="gzip")
        elif path == "/busy":
            self._answer(503, after="7")
        elif path == "/later":
            self._answer(429, after="Wed, 21 Oct 2015 07:28:00 GMT")
        elif path[1:].isdecimal():
            self._answer(int(path[1:]))
        else:
            self._answer(200, BODY)

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        length: int | None = None,
        location: str = "",
        encoding: str = "",
        after: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        headers = {"Location": location, "Content-Encoding": encoding, "Retry-After": after}
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that leaves is not worth a traceback."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://user:SECRET@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def got(url: str) -> bytes:
    return b"".join(download.stream(url))


def refused(url: str) -> ClientError:
    with pytest.raises(ClientError) as caught:
        got(url)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


@pytest.mark.parametrize("path", ["/video", "/moved", "/zip"])
def test_content_is_streamed_in_pieces(site: str, path: str) -> None:
    pieces = list(download.stream(site + path + SECRET))
    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) == download.CHUNK


def test_a_download_may_be_left(site: str) -> None:
    pieces = download.stream(site + "/video")
    assert next(pieces)
    assert isinstance(pieces, Iterator)
    pieces.close()  # type: ignore[attr-defined]  # a generator, as the store closes it


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_is_expired(site: str, status: int) -> None:
    error = refused(f"{site}/{status}{SECRET}")
    assert isinstance(error, ResultExpiredError)
    assert error.code == str(status)
    assert f"/{status} is gone" in str(error)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (403, False), (408, True), (429, True), (500, True), (503, True), (304, False)],
)
def test_other_answers_say_whether_they_may_pass(site: str, status: int, retryable: bool) -> None:
    error = refused(f"{site}/{status}{SECRET}")
    assert not isinstance(error, ResultExpiredError)
    assert (error.retryable, error.code, error.retry_after) == (retryable, str(status), None)


def test_the_wait_that_a_server_asks_for_is_passed_on(site: str) -> None:
    assert refused(site + "/busy").retry_after == 7
    assert refused(site + "/later").retry_after is None


def test_a_truncated_download_is_noticed(site: str) -> None:
    error = refused(site + "/cut" + SECRET)
    assert error.retryable
    assert "RemoteProtocolError" in str(error)


def test_redirects_end(site: str) -> None:
    error = refused(site + "/loop" + SECRET)
    assert not error.retryable
    assert "more than 10 times" in str(error)


@pytest.mark.parametrize("path", ["/away", "/nowhere"])
def test_redirects_to_what_cannot_be_downloaded_are_refused(site: str, path: str) -> None:
    assert "cannot be downloaded" in str(refused(site + path))


def test_a_refused_connection_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/x{SECRET}").retryable


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y?sig=SECRET", "x?SECRET", "http://[SECRET"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ClientError, match="only http and https") as caught:
        download.stream(url)
    assert "SECRET" not in str(caught.value)
    assert not caught.value.retryable


def test_an_address_that_makes_no_sense_is_refused() -> None:
    assert not refused("http://x.org:port/y?sig=SECRET").retryable


def test_the_log_of_httpx_names_no_secret(site: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="httpx"):
        got(site + "/moved" + SECRET)
    assert len(caplog.records) == 2
    assert "/video" in caplog.text
    assert "SECRET" not in caplog.text


def test_the_log_of_others_stays_as_it_is(site: str, caplog: pytest.LogCaptureFixture) -> None:
    got(site + "/video")
    with caplog.at_level(logging.INFO, logger="httpx"):
        logging.getLogger("httpx").info("GET %s", "http://x/y?z=1")
    assert "http://x/y?z=1" in caplog.text
