"""Which webhooks are believed to be the provider's, and what they are about."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from batchkit import ClientError, UsageError, WebhookError
from batchkit.clients.webhooks import SECRET_HEADER, WebhookHint, providers, verify_webhook
from batchkit.testing import sign_webhook

NOW = 1_700_000_000.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_Zm9yZ2Vy"
PREDICTION = json.dumps({"id": "p1", "status": "succeeded", "output": None}).encode()
VIDEO = json.dumps(
    {"type": "video.generation.completed", "data": {"id": "gen-vid-1", "status": "completed"}}
).encode()


def standard(
    body: bytes = PREDICTION, secret: str = SECRET, at: float = NOW, **changes: str
) -> dict[str, str]:
    headers = {
        "Webhook-Id": "msg-1",
        "Webhook-Timestamp": str(int(at)),
        "Webhook-Signature": sign_webhook(secret, "msg-1", str(int(at)), body),
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def openrouter(body: bytes = VIDEO, secret: str = "s3cret", at: float = NOW) -> dict[str, str]:
    signed = f"{int(at)},".encode() + body
    hexed = hmac.new(secret.encode(), signed, "sha256").hexdigest()
    return {"x-openrouter-signature": f"t={int(at)},v1={hexed}"}


def code_of(provider: str, headers: dict[str, str], body: bytes, **more: Any) -> str | None:
    with pytest.raises(WebhookError) as raised:
        verify_webhook(provider, headers, body, **{"now": NOW, **more})
    assert str(raised.value)
    return raised.value.code


def believed(provider: str, headers: dict[str, str], body: bytes, secret: Any) -> bool:
    return verify_webhook(provider, headers, body, secret=secret, now=NOW).handle_id != ""


# -- good ones -----------------------------------------------------------------------------------


def test_replicate() -> None:
    found = verify_webhook("replicate", standard(), PREDICTION, secret=SECRET, now=NOW)

    assert found == WebhookHint("replicate", "p1", "succeeded")


def test_openrouter() -> None:
    found = verify_webhook("openrouter", openrouter(), VIDEO, secret="s3cret", now=NOW)

    assert found == WebhookHint("openrouter", "gen-vid-1", "completed")


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"type": "job.failed", "data": {"id": "r1", "state": "x"}}', ("r1", "job.failed")),
        (b'{"id": "r1", "status": "ok", "data": []}', ("r1", "ok")),
        (b'{"id": "r1"}', ("r1", "")),
    ],
)
def test_whoever_signs_by_the_specification(body: bytes, hint: tuple[str, str]) -> None:
    found = verify_webhook("standard-webhooks", standard(body), body, secret=SECRET, now=NOW)

    assert (found.handle_id, found.state_hint) == hint


@pytest.mark.parametrize(
    ("provider", "body", "hint"),
    [
        ("assemblyai", b'{"transcript_id": "t1", "status": "completed"}', ("t1", "completed")),
        ("soniox", b'{"id": "s1", "status": "error"}', ("s1", "error")),
        ("luma", b'{"id": "l1", "state": "dreaming"}', ("l1", "dreaming")),
    ],
)
def test_who_does_not_sign_gives_a_hint_all_the_same(
    provider: str, body: bytes, hint: tuple[str, str]
) -> None:
    found = verify_webhook(provider, {}, body)

    assert (found.handle_id, found.state_hint) == hint


def test_who_does_not_sign_may_send_a_secret() -> None:
    body = b'{"transcript_id": "t1"}'
    good, bad = {SECRET_HEADER: "open sesame"}, {SECRET_HEADER: "open barley"}

    assert verify_webhook("assemblyai", good, body, secret="open sesame").handle_id == "t1"
    assert code_of("assemblyai", bad, body, secret="open sesame") == "signature"
    assert code_of("assemblyai", {}, body, secret="open sesame") == "header"


def test_a_secret_is_replaced_without_a_gap() -> None:
    both = [OTHER, SECRET]

    assert believed("replicate", standard(), PREDICTION, secret=both)
    assert believed("replicate", standard(secret=OTHER), PREDICTION, secret=both)
    told = openrouter(secret="old")
    assert believed("openrouter", told, VIDEO, secret=["new", "old"])


def test_one_signature_of_several_is_enough() -> None:
    headers = standard()
    headers["Webhook-Signature"] = f"v1a,x v1,other {headers['Webhook-Signature']}"
    several = openrouter()
    several["x-openrouter-signature"] += ",v1=00"

    assert believed("replicate", headers, PREDICTION, secret=SECRET)
    assert believed("openrouter", several, VIDEO, secret="s3cret")


def test_the_time_is_the_systems_when_nobody_says_it() -> None:
    assert code_of("replicate", standard(), PREDICTION, secret=SECRET, now=None) == "timestamp"


# -- bad ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
def test_one_that_is_replayed_is_refused(seconds: int) -> None:
    at = NOW + seconds

    assert code_of("replicate", standard(at=at), PREDICTION, secret=SECRET) == "timestamp"
    assert code_of("openrouter", openrouter(at=at), VIDEO, secret="s3cret") == "timestamp"


@pytest.mark.parametrize("seconds", [-300, 299])
def test_clocks_may_differ_a_little(seconds: int) -> None:
    at = NOW + seconds

    assert believed("replicate", standard(at=at), PREDICTION, secret=SECRET)
    assert believed("openrouter", openrouter(at=at), VIDEO, secret="s3cret")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (standard(secret=OTHER), "signature"),
        (standard(b'{"id": "p2"}'), "signature"),
        (standard(Webhook_Id="msg-2"), "signature"),
        (standard(Webhook_Timestamp=str(int(NOW) + 1)), "signature"),
        (standard(Webhook_Timestamp="soon"), "signature"),
        (standard(Webhook_Signature="v1,"), "signature"),
        (standard(Webhook_Signature="v1,ação"), "header"),
        (standard(Webhook_Signature=""), "header"),
        ({}, "header"),
    ],
)
def test_a_forged_one_is_refused(headers: dict[str, str], code: str) -> None:
    assert code_of("replicate", headers, PREDICTION, secret=SECRET) == code


@pytest.mark.parametrize("time", ["nan", "", "-1", "1e9", "9" * 5000])
def test_a_signed_time_is_a_number_of_seconds(time: str) -> None:
    signed = standard(Webhook_Signature=sign_webhook(SECRET, "msg-1", time, PREDICTION))
    signed["Webhook-Timestamp"] = time

    assert code_of("replicate", signed, PREDICTION, secret=SECRET) == "header"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (openrouter(secret="another"), "signature"),
        (openrouter(b"{}"), "signature"),
        ({"x-openrouter-signature": f"t={int(NOW)}"}, "signature"),
        ({"x-openrouter-signature": "garbage"}, "signature"),
        ({}, "header"),
    ],
)
def test_a_forged_one_of_openrouter_is_refused(headers: dict[str, str], code: str) -> None:
    assert code_of("openrouter", headers, VIDEO, secret="s3cret") == code


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[]", b"{}", b'{"id": 7}', b'{"id": ""}', b"[" * 100_000]
)
def test_one_that_names_no_job_is_refused(body: bytes) -> None:
    assert code_of("soniox", {}, body) == "body"


def test_a_refusal_is_an_error_of_a_client_without_the_secret_in_it() -> None:
    with pytest.raises(ClientError) as raised:
        verify_webhook("replicate", standard(secret=OTHER), PREDICTION, secret=SECRET, now=NOW)

    assert SECRET[6:] not in str(raised.value)


# -- mistakes of the host ------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, "", "  ", "whsec_", [], ["whsec_"], [SECRET, ""]])
@pytest.mark.parametrize("provider", ["replicate", "openrouter", "standard-webhooks"])
def test_an_empty_secret_would_be_everybodys(provider: str, secret: Any) -> None:
    with pytest.raises(UsageError, match="need secret="):
        verify_webhook(provider, standard(), PREDICTION, secret=secret, now=NOW)


def test_an_empty_secret_is_no_choice_of_anybodys_message() -> None:
    with pytest.raises(UsageError, match="empty or missing"):
        verify_webhook("assemblyai", {}, b'{"transcript_id": "t1"}', secret="")


def test_a_secret_that_is_no_base64() -> None:
    with pytest.raises(UsageError, match="copy it whole"):
        verify_webhook("replicate", standard(), PREDICTION, secret="whsec_&&&", now=NOW)


@pytest.mark.parametrize("body", [PREDICTION.decode(), {"id": "p1"}])
def test_a_body_that_was_read_already(body: Any) -> None:
    with pytest.raises(UsageError, match="raw bytes"):
        verify_webhook("replicate", standard(), body, secret=SECRET, now=NOW)


def test_a_provider_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match=r"'acme'.*replicate"):
        verify_webhook("acme", {}, b"{}")
    assert providers() == sorted(providers())
