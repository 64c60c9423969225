"""Webhooks of the fake provider, signed by Standard Webhooks, and when it sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from batchkit.clients._webhook_checks import check_standard, sign_webhook
from batchkit.testing._faults import Word

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


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Any:
    """The JSON value of a message of the fake provider whose signature is right.

    Programs use :func:`batchkit.clients.webhooks.verify_webhook`, which knows this provider as
    ``"standard-webhooks"``.

    Args:
        secret: as ``"whsec_..."``.
        headers: with any spelling of the names.
        body: as received, byte for byte.
        now: UTC seconds.

    Raises:
        WebhookError: it is not signed with this secret, or is older or newer than five minutes.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    check_standard(lower, body, [secret], now)
    return json.loads(body)
