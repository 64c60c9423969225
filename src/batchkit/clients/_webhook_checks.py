"""How webhooks are signed with a secret that both sides know, and how such a signature is checked.

Sources:

* Standard Webhooks, version 1 (https://www.standardwebhooks.com): the headers ``webhook-id``,
  ``webhook-timestamp`` (UTC seconds) and ``webhook-signature``, a list of ``v1,`` and the base64 of
  the HMAC-SHA256 of ``id.timestamp.body`` under the secret, which is base64 after ``whsec_``.
* OpenRouter (https://openrouter.ai/docs/cookbook/video-generation/video-generation-webhooks): the
  header ``X-OpenRouter-Signature``, ``t=`` (UTC seconds) and ``v1=``, the hex HMAC-SHA256 of
  ``t,body`` under the secret as text.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

from batchkit._errors import UsageError, WebhookError

#: Seconds by which a webhook's time may differ from ours.
TOLERANCE = 300.0
#: Carries the shared secret of providers that do not sign, but send a header of one's choice.
SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - the name of a header

_SECONDS = re.compile(r"[0-9]{1,12}")


def header(headers: Mapping[str, str], name: str) -> str:
    """One header of a mapping whose names are in lower case.

    Raises:
        WebhookError: it is not there, or is no plain text.
    """
    found = headers.get(name.lower())
    if not found or not found.isascii():
        raise WebhookError(f"the webhook has no header {name}: it is not from there", code="header")
    return found


def check_age(timestamp: str, now: float) -> None:
    """Refuses what was signed too long ago, or too far ahead.

    Raises:
        WebhookError: it was, or *timestamp* is no time.
    """
    if not _SECONDS.fullmatch(timestamp):
        raise WebhookError("the webhook's time is no number of seconds", code="header")
    off = now - int(timestamp)
    if not abs(off) <= TOLERANCE:
        raise WebhookError(
            f"the webhook's time is {off:.0f} s away from ours: it was replayed, or a clock is "
            "wrong; poll the job instead of believing it",
            code="timestamp",
        )


def sign_webhook(secret: str, id: str, timestamp: str, body: bytes) -> str:  # noqa: A002 - its name
    """The signature of one message by Standard Webhooks, as ``v1,...``.

    Args:
        secret: as ``"whsec_..."``.
        id: of the message.
        timestamp: UTC seconds, as sent.
        body: as sent, byte for byte.

    Raises:
        UsageError: the secret is no base64.
    """
    signed = hmac.digest(_key(secret), f"{id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(signed).decode()


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(
            "the webhook secret is no base64: copy it whole, as the provider shows it (whsec_...)"
        ) from None


def check_standard(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
) -> None:
    """Checks a message signed by Standard Webhooks, with any of several secrets.

    Raises:
        WebhookError: it is not, or it is too old.
    """
    message, timestamp = header(headers, "webhook-id"), header(headers, "webhook-timestamp")
    given = header(headers, "webhook-signature").split()
    _compare([sign_webhook(secret, message, timestamp, body) for secret in secrets], given)
    check_age(timestamp, now)


def check_openrouter(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
) -> None:
    """Checks a message that OpenRouter signed, with any of several secrets.

    Raises:
        WebhookError: it did not, or it is too old.
    """
    parts = [part.strip() for part in header(headers, "X-OpenRouter-Signature").split(",")]
    timestamp = next((part[2:] for part in parts if part.startswith("t=")), "")
    signed = f"{timestamp},".encode() + body
    wanted = [hmac.new(secret.encode(), signed, "sha256").hexdigest() for secret in secrets]
    _compare(wanted, [part[3:].lower() for part in parts if part.startswith("v1=")])
    check_age(timestamp, now)


def check_shared(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
) -> None:
    """Checks that a provider which does not sign sent the secret that it was given, if it was.

    Raises:
        WebhookError: it did not.
    """
    if secrets:
        _compare(secrets, [header(headers, SECRET_HEADER)])


def _compare(wanted: Iterable[str], given: Sequence[str]) -> None:
    # All of them, each in constant time: how long it takes tells nothing of what is wanted.
    found = [hmac.compare_digest(w.encode(), g.encode()) for w in wanted for g in given]
    if not any(found):
        raise WebhookError(
            "the webhook is not signed with this secret: it is forged, its body was changed on the "
            "way (give the raw bytes), or the secret is another one",
            code="signature",
        )
