from __future__ import annotations

import random
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from download_kit import got, refused
from file_server import Answer, FileServer, serving

from batchkit._errors import ClientError
from batchkit._results import Download
from batchkit.artifacts import Limits, LocalFolder
from batchkit.artifacts import _addresses as addresses
from batchkit.artifacts import _http as http

BODY = random.Random(3).randbytes(100_000)
NAME = "provider.test"
KEY = {"Authorization": "Bearer KEY-OF-THE-CLIENT"}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(BODY) as made:
        yield made


@pytest.fixture
def inside() -> Iterator[FileServer]:
    """A server that no provider has any business with."""
    with serving(b"the crown jewels", host="127.0.0.2") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out")


@pytest.fixture
def open_folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out", limits=Limits(allow_private=True))


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Makes 127.0.0.1 an address of the internet, and answers for one name as it is told."""
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1")
    real, asked = socket.getaddrinfo, list[str]()

    def setup(*answers: list[str]) -> list[str]:
        left = list(answers)

        def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            asked.append(name)
            if name != NAME:
                return real(host, port, *args, **options)
            found = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return setup


def at(server: FileServer, host: str) -> str:
    return f"http://{host}:{server.server_port}/video.mp4"


def moved(location: str) -> Answer:
    return Answer(status=302, headers={"Location": location})


# -- which machines


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"],
)
def test_addresses_of_the_internet(address: str) -> None:
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_addresses_that_a_provider_has_no_reason_to_name(address: str) -> None:
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0", "[::1]"]
)
def test_private_addresses_are_refused_however_they_are_written(
    folder: LocalFolder, server: FileServer, host: str
) -> None:
    assert "set allow_private_downloads=True" in refused(folder, at(server, host))
    assert server.asked == []


def test_an_own_server_can_be_allowed(open_folder: LocalFolder, server: FileServer) -> None:
    assert got(open_folder, at(server, "localhost")) == BODY


def test_the_address_that_was_judged_is_connected_to(
    folder: LocalFolder, server: FileServer, inside: FileServer, internet: Any
) -> None:
    # The second answer would lead inside.
    asked = internet(["127.0.0.1"], ["127.0.0.2"])
    assert got(folder, at(server, NAME)) == BODY
    assert asked.count(NAME) == 1
    assert server.asked[0].headers["Host"] == f"{NAME}:{server.server_port}"
    assert inside.asked == []


def test_a_name_that_leads_inside_is_refused(
    folder: LocalFolder, inside: FileServer, internet: Any
) -> None:
    internet(["127.0.0.2"])
    assert "127.0.0.2 is not an address of the internet" in refused(folder, at(inside, NAME))
    assert inside.asked == []


def test_of_several_addresses_the_public_ones_are_tried(
    folder: LocalFolder, server: FileServer, internet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    internet(["10.0.0.1", "127.0.0.3", "127.0.0.1"])
    monkeypatch.setattr(addresses, "is_public", lambda each: str(each).startswith("127."))
    assert got(folder, at(server, NAME)) == BODY


def test_a_redirect_inside_is_refused(
    folder: LocalFolder, server: FileServer, inside: FileServer, internet: Any
) -> None:
    internet(["127.0.0.1"])
    server.answers.append(moved(at(inside, "127.0.0.2")))
    assert "not an address of the internet" in refused(folder, at(server, NAME))
    assert inside.asked == []


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".test", "x..y"])
def test_a_name_that_nobody_knows_is_told(folder: LocalFolder, host: str) -> None:
    with pytest.raises(ClientError, match="cannot be downloaded: its") as caught:
        got(folder, f"http://{host}/v.mp4")
    assert caught.value.retryable == (host == "nowhere.invalid")


# -- credentials


def test_credentials_stay_with_their_server(
    open_folder: LocalFolder, server: FileServer, inside: FileServer
) -> None:
    there, back = at(inside, "127.0.0.2"), at(server, "127.0.0.1")
    server.answers += [moved("/same"), moved(there)]
    inside.answers.append(moved(back))
    assert got(open_folder, Download(back, KEY)) == BODY
    sent = [asked.headers.get("Authorization") for asked in server.asked]
    assert sent == [KEY["Authorization"], KEY["Authorization"], None]
    assert "Authorization" not in inside.asked[0].headers


def test_another_port_is_another_server(open_folder: LocalFolder, server: FileServer) -> None:
    with serving(BODY) as other:
        server.answers.append(moved(at(other, "127.0.0.1")))
        assert got(open_folder, Download(at(server, "127.0.0.1"), KEY)) == BODY
        assert "Authorization" not in other.asked[0].headers


def test_a_user_in_the_address_stays_with_its_server(
    open_folder: LocalFolder, server: FileServer, inside: FileServer
) -> None:
    server.answers.append(moved(at(inside, "127.0.0.2")))
    got(open_folder, at(server, "user:word@127.0.0.1"))
    assert "Authorization" in server.asked[0].headers
    assert "Authorization" not in inside.asked[0].headers


# -- https


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer) -> FileServer:
    """The server under https, with a certificate for its name, which this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(cert))
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    return server


def test_the_certificate_is_of_the_name_and_not_of_the_address(
    folder: LocalFolder, tls: FileServer, internet: Any
) -> None:
    internet(["127.0.0.1"])
    port = tls.server_port
    assert got(folder, f"https://{NAME}:{port}/v.mp4") == BODY
    with pytest.raises(ClientError, match="ConnectError"):
        got(folder, f"https://127.0.0.1:{port}/w.mp4")


def test_a_redirect_from_https_to_http_is_refused(
    folder: LocalFolder, tls: FileServer, inside: FileServer, internet: Any
) -> None:
    internet(["127.0.0.1"])
    tls.answers.append(moved(f"http://{NAME}:{inside.server_port}/v.mp4"))
    told = refused(folder, f"https://{NAME}:{tls.server_port}/v.mp4")
    assert "leads from https to http://" in told


def test_certificates_are_read_once() -> None:
    assert http._tls() is http._tls()


# -- proxies


def test_a_proxy_is_used_and_looks_names_up(
    folder: LocalFolder, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    assert got(folder, "http://nowhere.invalid/v.mp4?sig=x") == BODY
    assert server.asked[0].path == "http://nowhere.invalid/v.mp4?sig=x"


def test_a_proxy_is_no_way_inside(
    folder: LocalFolder, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    refused(folder, "http://10.0.0.1/v.mp4")
    assert server.asked == []


def test_a_proxy_can_be_passed_by(
    open_folder: LocalFolder, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert got(open_folder, at(server, "127.0.0.1")) == BODY
