"""Webhooks as the Standard Webhooks specification signs them, and when the fake sends them.

Source: https://www.standardwebhooks.com, version 1: the headers ``webhook-id``,
``webhook-timestamp`` (UTC seconds) and ``webhook-signature``, a list of ``v1,`` and the base64 of
the HMAC-SHA256 of ``id.timestamp.body`` under the secret, which is base64 after ``whsec_``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from typing import Any

import attrs

from batchkit._errors import ClientError
from batchkit.testing._faults import Word

#: Seconds by which a webhook's time may differ from ours.
_TOLERANCE = 300.0
_FORGER = "whsec_Zm9yZ2Vy"


@attrs.define(eq=False)
class Webhook:
    """One message that waits to be sent.

    Attributes:
        id: of the message; the same again when it is sent twice.
        job: whose end it tells.
        url: where it goes.
        genuine: it tells the truth, and is signed by the provider.
        after: seconds after the end of the job.
        ended: when that was, once it is known.
        state: what it tells.
    """

    id: str
    job: str
    url: str
    genuine: bool = True
    after: float = 0.0
    ended: float | None = None
    state: str = ""

    def body(self) -> bytes:
        """What is sent."""
        told = {"type": f"job.{self.state}", "data": {"id": self.job, "state": self.state}}
        return json.dumps(told).encode()

    def headers(self, secret: str, now: float) -> dict[str, str]:
        """The three headers of the specification."""
        used = secret if self.genuine else _FORGER
        signature = sign_webhook(used, self.id, str(int(now)), self.body())
        return {
            "webhook-id": self.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": signature,
        }


def webhooks_of(job: str, url: str, word: Word | None, started: float) -> list[Webhook]:
    """What is sent about one job, with the fault that befalls it."""
    name = word.name if word is not None else ""
    hook = Webhook(f"msg-{job}", job, url)
    if name == "missing":
        return []
    if name == "forged":
        return [Webhook(f"msg-{job}-x", job, url, genuine=False, ended=started), hook]
    if name == "twice":
        return [hook, attrs.evolve(hook)]
    if name == "late" and word is not None:
        hook.after = word.number(2.0)
    return [hook]


def sign_webhook(secret: str, id: str, timestamp: str, body: bytes) -> str:  # noqa: A002 - its name
    """The signature of one message, as ``v1,...``.

    Args:
        secret: as ``"whsec_..."``.
        id: of the message.
        timestamp: UTC seconds, as sent.
        body: as sent, byte for byte.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(signed).decode()


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Any:
    """The JSON value of a message whose signature is right.

    Args:
        secret: as ``"whsec_..."``.
        headers: with any spelling of the names.
        body: as received, byte for byte.
        now: UTC seconds.

    Raises:
        ClientError: it is not signed with this secret, or is older or newer than five minutes.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        timestamp = lower["webhook-timestamp"]
        wanted = sign_webhook(secret, lower["webhook-id"], timestamp, body)
        old = abs(now - float(timestamp)) > _TOLERANCE
    except (KeyError, ValueError, binascii.Error) as exc:
        raise ClientError("the webhook has not the headers of Standard Webhooks") from exc
    signatures = lower.get("webhook-signature", "").split()
    if old or not any(hmac.compare_digest(wanted.encode(), s.encode()) for s in signatures):
        raise ClientError("the webhook is forged or old: poll the job instead of believing it")
    return json.loads(body)
