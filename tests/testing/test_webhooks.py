"""Webhooks of the fake provider: signed as the specification says, and no more reliable."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from server_kit import Caller, eventually

from batchkit import ClientError
from batchkit.testing import FakeClock, FakeServer, sign_webhook, verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """What a host program has: a page that takes webhooks."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        got = self.got

        class Page(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Not on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def verified(self, secret: str, now: float) -> list[Any]:
        """What is said by messages whose signature is right."""
        return [said for each in self.got if (said := _verified(secret, *each, now)) is not None]


def _verified(secret: str, headers: dict[str, str], body: bytes, now: float) -> Any:
    try:
        return verify_webhook(secret, headers, body, now)
    except ClientError:
        return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeServer]:
    with FakeServer(duration=60, clock=clock) as made:
        yield made


def submit(server: FakeServer, receiver: Receiver, prompt: str = "cat") -> None:
    Caller(server).submit(prompt, webhook_url=receiver.url)


def done(server: FakeServer, receiver: Receiver, job: str = "remote-1") -> dict[str, Any]:
    return {"type": "job.succeeded", "data": {"id": job, "state": "succeeded"}}


def test_the_end_of_a_job_is_told_and_signed(
    server: FakeServer, receiver: Receiver, clock: FakeClock
) -> None:
    submit(server, receiver)
    assert not receiver.got
    clock.advance(61)

    assert eventually(lambda: receiver.got)
    assert receiver.verified(server.provider.webhook_secret, clock.time()) == [
        done(server, receiver)
    ]
    (headers, _), *_ = receiver.got
    assert headers["webhook-id"] == "msg-remote-1"


def test_one_comes_twice_with_the_same_id(
    server: FakeServer, receiver: Receiver, clock: FakeClock
) -> None:
    submit(server, receiver, "cat [webhook:twice]")
    clock.advance(61)

    assert eventually(lambda: len(receiver.got) == 2)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_one_comes_late(server: FakeServer, receiver: Receiver, clock: FakeClock) -> None:
    submit(server, receiver, "cat [webhook:late:600]")
    submit(server, receiver, "dog")
    clock.advance(61)
    assert eventually(lambda: receiver.got)
    assert "remote-2" in receiver.got[0][1].decode()
    clock.advance(600)

    assert eventually(lambda: len(receiver.got) == 2)


def test_a_forged_one_comes_at_once_and_the_true_one_at_the_end(
    server: FakeServer, receiver: Receiver, clock: FakeClock
) -> None:
    submit(server, receiver, "cat [webhook:forged fail]")
    assert eventually(lambda: receiver.got)

    assert json.loads(receiver.got[0][1]) == done(server, receiver)
    assert receiver.verified(server.provider.webhook_secret, clock.time()) == []
    clock.advance(61)
    assert eventually(lambda: len(receiver.got) == 2)
    (true,) = receiver.verified(server.provider.webhook_secret, clock.time())
    assert true["type"] == "job.failed"


def test_one_never_comes(server: FakeServer, receiver: Receiver, clock: FakeClock) -> None:
    submit(server, receiver, "cat [webhook:missing]")
    submit(server, receiver, "dog")
    clock.advance(61)

    assert eventually(lambda: receiver.got)
    assert "remote-2" in receiver.got[0][1].decode()
    assert server.provider.webhooks == []


def test_nobody_takes_it(server: FakeServer, clock: FakeClock) -> None:
    Caller(server).submit("cat", webhook_url="http://127.0.0.1:9/hook")
    clock.advance(61)

    assert eventually(lambda: not server.provider.webhooks)
    assert Caller(server).poll("remote-1").json()["state"] == "succeeded"


# -- signatures ----------------------------------------------------------------------------------


def test_a_signature_of_the_specification() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks, reference libraries.
    body = b'{"test": 2432232314}'
    found = sign_webhook(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)

    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def signed(changes: dict[str, str] | None = None) -> dict[str, str]:
    headers = {
        "Webhook-Id": "m",
        "Webhook-Timestamp": "1000",
        "Webhook-Signature": sign_webhook(SECRET, "m", "1000", b"[1]"),
    }
    return headers | (changes or {})


def test_a_good_signature_is_one_of_several() -> None:
    headers = signed()
    headers["Webhook-Signature"] = f"v1,other v1a,x {headers['Webhook-Signature']}"

    assert verify_webhook(SECRET, headers, b"[1]", 1000.0) == [1]


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (signed(), b"[2]", 1000.0),
        (signed(), b"[1]", 1301.0),
        (signed(), b"[1]", 699.0),
        (signed({"Webhook-Id": "n"}), b"[1]", 1000.0),
        (signed({"Webhook-Signature": "v1,ação"}), b"[1]", 1000.0),
        (signed({"Webhook-Timestamp": "soon"}), b"[1]", 1000.0),
        ({}, b"[1]", 1000.0),
    ],
)
def test_a_bad_one_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(ClientError):
        verify_webhook(SECRET, headers, body, now)
