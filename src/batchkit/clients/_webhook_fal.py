"""How fal signs webhooks: ed25519, with keys that it publishes.

Source: https://docs.fal.ai/model-apis/model-endpoints/webhooks. There are the headers
``X-Fal-Webhook-Request-Id``, ``-User-Id``, ``-Timestamp`` (UTC seconds) and ``-Signature`` (hex).
Signed are the first three and the hex SHA-256 of the body, joined by line feeds. The public keys
are a JWKS (RFC 7517, RFC 8037) that may be kept for 24 hours.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from batchkit._errors import MissingExtraError, WebhookError
from batchkit.clients._webhook_checks import check_age, header

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

log = logging.getLogger("batchkit.clients")

#: Where fal publishes its keys. Older pages name the host rest.alpha.fal.ai.
KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"
#: Seconds that published keys may be kept.
KEEP_SECONDS = 24 * 3600.0
#: Least seconds between two requests for the keys, whatever comes in.
LEAST_SECONDS = 60.0


class FalKeys:
    """fal's public keys: fetched at first use, and again when they are old or do not fit.

    Safe to use from several threads. Fetching blocks the caller for *timeout* seconds at most.

    Args:
        url: where they are published.
        timeout: seconds to wait for the server.
        clock: monotonic seconds.

    Raises:
        MissingExtraError: cryptography is not installed.
    """

    def __init__(
        self,
        url: str = KEYS_URL,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if find_spec("cryptography") is None:
            raise MissingExtraError("checking the signature of fal's webhooks", "webhooks")
        self._url, self._timeout, self._clock = url, timeout, clock
        self._lock = threading.Lock()
        self._keys: list[Ed25519PublicKey] = []
        self._fetched = self._tried = -math.inf

    def fit(self, signature: bytes, message: bytes) -> bool:
        """Whether fal signed *message* so.

        Raises:
            WebhookError: its keys are not to be had.
        """
        with self._lock:
            if self._clock() - self._fetched >= KEEP_SECONDS:
                self._fetch()
            keys = self._keys
        if _one_fits(keys, signature, message):
            return True
        newer = self._newer(keys)
        return newer is not keys and _one_fits(newer, signature, message)

    def _newer(self, than: list[Ed25519PublicKey]) -> list[Ed25519PublicKey]:
        """Keys that replaced *than*, unless they were asked for a moment ago."""
        with self._lock:
            if self._keys is than and self._clock() - self._tried >= LEAST_SECONDS:
                try:
                    self._fetch()
                except WebhookError as exc:
                    log.warning("a webhook fits none of fal's keys, and newer ones: %s", exc)
            return self._keys

    def _fetch(self) -> None:
        now = self._clock()
        if now - self._tried < LEAST_SECONDS:
            raise WebhookError("fal's keys were not to be had a moment ago", code="keys")
        self._tried = now
        self._keys = _published(self._url, self._timeout)
        self._fetched = now


def _published(url: str, timeout: float) -> list[Ed25519PublicKey]:
    import httpx

    try:
        answer = httpx.get(url, timeout=timeout)
        answer.raise_for_status()
        keys = [_key(each) for each in answer.json()["keys"] if each.get("crv") == "Ed25519"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise WebhookError(
            f"fal's keys are not to be had from {url} ({type(exc).__name__}): answer 503, and fal "
            "sends the webhook again",
            code="keys",
        ) from exc
    if not keys:
        raise WebhookError(f"there is no ed25519 key at {url}", code="keys")
    return keys


def _key(published: Mapping[str, Any]) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = str(published["x"])
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return Ed25519PublicKey.from_public_bytes(raw)


def _one_fits(keys: list[Ed25519PublicKey], signature: bytes, message: bytes) -> bool:
    return any(_fits(key, signature, message) for key in keys)


def _fits(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_fal(headers: Mapping[str, str], body: bytes, keys: FalKeys, now: float) -> None:
    """Checks a message that fal signed.

    Raises:
        WebhookError: it did not, it is too old, or fal's keys are not to be had.
    """
    told = [header(headers, f"X-Fal-Webhook-{name}") for name in ("Request-Id", "User-Id")]
    timestamp = header(headers, "X-Fal-Webhook-Timestamp")
    # First: what is old needs no keys.
    check_age(timestamp, now)
    try:
        signature = bytes.fromhex(header(headers, "X-Fal-Webhook-Signature"))
    except ValueError:
        raise WebhookError("the webhook's signature is not hexadecimal", code="header") from None
    message = "\n".join([*told, timestamp, hashlib.sha256(body).hexdigest()]).encode()
    if not keys.fit(signature, message):
        raise WebhookError(
            "the webhook is not signed by fal: it is forged, or its body was changed on the way "
            "(give the raw bytes)",
            code="signature",
        )
