from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from download_kit import fails, got
from file_server import SECRET, Answer, FileServer, serving
from folder_kit import names_in

from batchkit._errors import (
    AuthenticationError,
    ClientError,
    NotFoundError,
    ResultExpiredError,
)
from batchkit._results import Download
from batchkit.artifacts import Limits, LocalFolder

BODY = random.Random(2).randbytes(200_000)


@pytest.fixture(scope="module")
def one() -> Iterator[FileServer]:
    with serving(BODY) as made:
        yield made


@pytest.fixture
def server(one: FileServer) -> FileServer:
    one.answers.clear()
    one.asked.clear()
    return one


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out", limits=Limits(allow_private=True))


def moved(location: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": location})


def test_a_file_is_downloaded_plain(folder: LocalFolder, server: FileServer) -> None:
    assert got(folder, server.url) == BODY
    assert names_in(folder.root) == ["0001-a-cat.mp4"]
    (asked,) = server.asked
    assert asked.path == "/video.mp4?sig=SECRET"
    assert asked.headers["Accept-Encoding"] == "identity"
    assert asked.headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_a_user_in_the_address_is_sent_as_such(folder: LocalFolder, server: FileServer) -> None:
    assert got(folder, server.url.replace("//", "//user:SECRET@")) == BODY
    assert server.asked[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(folder: LocalFolder, server: FileServer, status: int) -> None:
    server.answers += [moved("/a?sig=SECRET", status), moved("b.mp4?sig=SECRET", status)]
    assert got(folder, server.url) == BODY
    assert [asked.path.partition("?")[0] for asked in server.asked] == [
        "/video.mp4", "/a", "/b.mp4",
    ]  # fmt: skip


def test_redirects_end(folder: LocalFolder, server: FileServer) -> None:
    server.answers += [moved("/loop?sig=SECRET")] * 20
    error = fails(folder, server.url)
    assert not error.retryable
    assert "more than 10 times" in str(error)
    assert len(server.asked) == 11


@pytest.mark.parametrize(
    "location", ["ftp://user:SECRET@x/y?sig=SECRET", "file:///etc/passwd", "http://[SECRET"]
)
def test_redirects_to_what_cannot_be_downloaded_are_refused(
    folder: LocalFolder, server: FileServer, location: str
) -> None:
    server.answers.append(moved(location))
    assert "cannot be downloaded" in str(fails(folder, server.url))


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (404, NotFoundError, True),
        (410, ResultExpiredError, False),
        (400, ClientError, False),
        (401, ClientError, False),
        (403, ClientError, False),
        (202, ClientError, True),
        (206, ClientError, True),
        (408, ClientError, True),
        (416, ClientError, True),
        (429, ClientError, True),
        (500, ClientError, True),
        (503, ClientError, True),
        (304, ClientError, False),
    ],
)
def test_answers_say_whether_they_may_pass(
    folder: LocalFolder, server: FileServer, status: int, error: type[ClientError], retryable: bool
) -> None:
    headers = {"Content-Range": "bytes 5-9/10"} if status == 206 else {}
    server.answers.append(Answer(status=status, headers=headers))
    found = fails(folder, server.url)
    assert type(found) is error
    assert (found.retryable, found.retry_after) == (retryable, None)
    assert found.code == ("download" if status in (206, 416) else str(status))
    assert str(status) in str(found)


def test_refused_credentials_are_the_key_s_fault(folder: LocalFolder, server: FileServer) -> None:
    server.answers.append(Answer(status=401))
    what = Download(server.url, {"X-Api-Key": "SECRET-OF-THE-CLIENT"})
    assert isinstance(fails(folder, what), AuthenticationError)


def test_the_wait_that_a_server_asks_for_is_passed_on(
    folder: LocalFolder, server: FileServer
) -> None:
    server.answers.append(Answer(status=503, headers={"Retry-After": "7"}))
    assert fails(folder, server.url).retry_after == 7


def test_a_refused_connection_may_pass(folder: LocalFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert fails(folder, f"http://127.0.0.1:{port}/x{SECRET}").retryable


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y?sig=SECRET", "x?SECRET", "http://[SECRET"]
)
def test_other_addresses_are_fails(folder: LocalFolder, url: str) -> None:
    error = fails(folder, url)
    assert "only http and https" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("url", ["http://x.org:port/y?sig=SECRET", "http:///y?sig=SECRET"])
def test_an_address_that_makes_no_sense_is_fails(folder: LocalFolder, url: str) -> None:
    assert "cannot be downloaded" in str(fails(folder, url))


def test_nothing_shows_what_is_secret_in_a_download() -> None:
    shown = repr(Download("https://x/?sig=SECRET", {"Authorization": "SECRET"}))
    assert "SECRET" not in shown


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG, 1])
def test_the_logs_of_http_libraries_name_no_secret(
    folder: LocalFolder, server: FileServer, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    there = f"http://127.0.0.1:{server.server_port}"
    server.answers += [moved("/a.mp4?sig=SECRET"), moved(f"{there}/b.mp4?sig=SECRET")]
    with caplog.at_level(level):
        got(folder, Download(server.url, {"X-Key": "SECRET-OF-THE-CLIENT"}))
    assert "SECRET" not in caplog.text
    assert level > logging.DEBUG or "httpcore" in caplog.text
