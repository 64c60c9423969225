"""fal's webhooks: its keys are fetched seldom, and what they did not sign is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from batchkit import MissingExtraError, WebhookError
from batchkit.clients import _webhook_fal, webhooks
from batchkit.clients.webhooks import FalKeys, WebhookHint, verify_webhook
from batchkit.testing import FakeClock

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")

NOW = 1_700_000_000.0
BODY = json.dumps({"request_id": "r1", "gateway_request_id": "g1", "status": "OK"}).encode()
DAY = 24 * 3600.0


class Publisher:
    """Where fal's public keys are, on this machine."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.answer: Any = {"keys": []}
        publisher = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(publisher.status)
                self.end_headers()
                self.wfile.write(json.dumps(publisher.answer).encode())

            def log_message(self, *args: object) -> None:
                """Not on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"

    def publish(self, *keys: Any) -> None:
        self.answer = {"keys": [{"kty": "RSA", "n": "AQAB"}, *(published(key) for key in keys)]}


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(publisher: Publisher, clock: FakeClock) -> FalKeys:
    return FalKeys(publisher.url, clock=clock.monotonic)


def new_key() -> Any:
    return ed25519.Ed25519PrivateKey.generate()


def published(key: Any) -> dict[str, str]:
    text = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": text, "kid": "k"}


def signed(key: Any, body: bytes = BODY, at: float = NOW) -> dict[str, str]:
    time = str(int(at))
    message = f"r1\nu1\n{time}\n{hashlib.sha256(body).hexdigest()}".encode()
    return {
        "X-Fal-Webhook-Request-Id": "r1",
        "X-Fal-Webhook-User-Id": "u1",
        "X-Fal-Webhook-Timestamp": time,
        "X-Fal-Webhook-Signature": key.sign(message).hex(),
    }


def verify(headers: dict[str, str], keys: FalKeys, body: bytes = BODY) -> WebhookHint:
    return verify_webhook("fal", headers, body, keys=keys, now=NOW)


def code_of(headers: dict[str, str], keys: FalKeys, body: bytes = BODY) -> str | None:
    with pytest.raises(WebhookError) as raised:
        verify(headers, keys, body)
    return raised.value.code


def test_one_that_fal_signed(publisher: Publisher, keys: FalKeys) -> None:
    key = new_key()
    publisher.publish(new_key(), key)

    assert verify(signed(key), keys) == WebhookHint("fal", "r1", "OK")


def test_keys_are_kept_for_a_day(publisher: Publisher, keys: FalKeys, clock: FakeClock) -> None:
    key = new_key()
    publisher.publish(key)
    for _ in range(5):
        verify(signed(key), keys)
    clock.advance(DAY - 1)
    verify(signed(key), keys)
    assert publisher.asked == 1

    clock.advance(2)
    verify(signed(key), keys)
    assert publisher.asked == 2


def test_new_keys_are_fetched_when_a_signature_does_not_fit(
    publisher: Publisher, keys: FalKeys, clock: FakeClock
) -> None:
    old, new = new_key(), new_key()
    publisher.publish(old)
    verify(signed(old), keys)
    publisher.publish(new)
    clock.advance(61)

    assert verify(signed(new), keys).handle_id == "r1"
    assert publisher.asked == 2
    assert code_of(signed(old), keys) == "signature"


def test_a_flood_of_forged_ones_fetches_keys_once_a_minute(
    publisher: Publisher, keys: FalKeys, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    key, forger = new_key(), new_key()
    publisher.publish(key)
    for _ in range(50):
        assert code_of(signed(forger), keys) == "signature"
    assert publisher.asked == 1
    clock.advance(61)
    for _ in range(50):
        assert code_of(signed(forger), keys) == "signature"
    assert publisher.asked == 2
    assert verify(signed(key), keys).handle_id == "r1"
    assert "batchkit" not in caplog.text, "the log is not flooded either"


@pytest.mark.parametrize(
    "answer",
    [
        {"keys": []},
        {},
        [],
        {"keys": [{"crv": "Ed25519"}]},
        {"keys": [{"crv": "Ed25519", "x": "A"}]},
    ],
)
def test_keys_that_are_none(publisher: Publisher, keys: FalKeys, answer: Any) -> None:
    publisher.answer = answer

    assert code_of(signed(new_key()), keys) == "keys"


def test_keys_that_are_not_to_be_had_are_asked_for_once_a_minute(
    publisher: Publisher, keys: FalKeys, clock: FakeClock
) -> None:
    key = new_key()
    publisher.publish(key)
    publisher.status = 500
    for _ in range(10):
        assert code_of(signed(key), keys) == "keys"
    assert publisher.asked == 1

    publisher.status = 200
    clock.advance(61)
    assert verify(signed(key), keys).handle_id == "r1"


def test_old_keys_go_on_while_newer_ones_are_not_to_be_had(
    publisher: Publisher, keys: FalKeys, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    publisher.publish(key)
    verify(signed(key), keys)
    publisher.status = 500
    clock.advance(61)

    assert code_of(signed(new_key()), keys) == "signature"
    assert "fits none of fal's keys" in caplog.text
    assert verify(signed(key), keys).handle_id == "r1"


def test_a_forged_one_is_refused(publisher: Publisher, keys: FalKeys) -> None:
    key = new_key()
    publisher.publish(key)
    good = signed(key)

    assert code_of(good, keys, BODY + b" ") == "signature"
    assert code_of(good | {"X-Fal-Webhook-User-Id": "u2"}, keys) == "signature"
    assert code_of(good | {"X-Fal-Webhook-Request-Id": "r2"}, keys) == "signature"
    assert code_of(good | {"X-Fal-Webhook-Signature": "00"}, keys) == "signature"
    assert code_of(good | {"X-Fal-Webhook-Signature": "no hex"}, keys) == "header"
    assert code_of({}, keys) == "header"


def test_a_replayed_one_is_refused_before_any_key_is_fetched(
    publisher: Publisher, keys: FalKeys
) -> None:
    key = new_key()
    publisher.publish(key)

    assert code_of(signed(key, at=NOW - 301), keys) == "timestamp"
    assert publisher.asked == 0


def test_one_set_of_keys_serves_the_process(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    publisher.publish(key)
    monkeypatch.setattr(webhooks, "_fal_keys", [])
    monkeypatch.setattr(webhooks, "FalKeys", lambda: FalKeys(publisher.url))
    for _ in range(3):
        verify_webhook("fal", signed(key), BODY, now=NOW)

    assert publisher.asked == 1


def test_threads_that_come_at_once_fetch_once(publisher: Publisher, keys: FalKeys) -> None:
    key = new_key()
    publisher.publish(key)
    threads = [threading.Thread(target=verify, args=(signed(key), keys)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert publisher.asked == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_webhook_fal, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError) as raised:
        FalKeys()
    assert raised.value.extra == "webhooks"
