"""Webhooks that others sign, and what they say of those that are signed here."""

from __future__ import annotations

import datetime as dt
import time
from importlib import import_module

import pytest

from batchkit.clients.webhooks import verify_webhook
from batchkit.testing import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"id": "p1", "status": "succeeded", "output": "ação"}'


def signed_here() -> dict[str, str]:
    now = str(int(time.time()))
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": now,
        "webhook-signature": sign_webhook(SECRET, "msg-1", now, BODY.encode()),
    }


def test_the_reference_library_signs_and_is_believed() -> None:
    pytest.importorskip("standardwebhooks")
    webhook = import_module("standardwebhooks").Webhook(SECRET)
    now = dt.datetime.now(dt.UTC)
    headers = {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": webhook.sign("msg-1", now, BODY),
    }

    found = verify_webhook("replicate", headers, BODY.encode(), secret=SECRET)
    assert (found.handle_id, found.state_hint) == ("p1", "succeeded")


def test_the_reference_library_believes_what_is_signed_here() -> None:
    pytest.importorskip("standardwebhooks")
    webhook = import_module("standardwebhooks").Webhook(SECRET)

    assert webhook.verify(BODY, signed_here())["id"] == "p1"


def test_replicates_own_sdk_believes_what_is_signed_here() -> None:
    pytest.importorskip("replicate")
    sdk = import_module("replicate.webhook")
    secret = sdk.WebhookSigningSecret(key=SECRET)

    sdk.Webhooks.validate(headers=signed_here(), body=BODY, secret=secret)
    with pytest.raises(sdk.WebhookValidationError):
        sdk.Webhooks.validate(headers=signed_here(), body=BODY + " ", secret=secret)
