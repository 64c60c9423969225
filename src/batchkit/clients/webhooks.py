"""Webhooks in: whether a message is from the provider, and which job it is about.

A webhook never says how a job ended. It means *poll this job now*: give the hint's ``handle_id`` to
:meth:`batchkit.BatchRunner.wake`. What the provider then answers is what counts. So one that never
comes, comes late, comes twice or is made up changes nothing but the time of a query.

Nothing here knows a web framework: it takes the headers and the raw bytes of the body.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from batchkit._errors import UsageError, WebhookError
from batchkit.clients._webhook_checks import (
    SECRET_HEADER,
    check_openrouter,
    check_shared,
    check_standard,
)
from batchkit.clients._webhook_fal import FalKeys, check_fal

__all__ = ["FalKeys", "providers", "SECRET_HEADER", "verify_webhook", "WebhookHint"]

_Check = Callable[[Mapping[str, str], bytes, Sequence[str], float], None]


@attrs.frozen
class WebhookHint:
    """What a webhook is about.

    Attributes:
        provider: as it was asked for.
        handle_id: the job's id at the provider; that of its :class:`~batchkit.Handle`.
        state_hint: the provider's own word, for the log. Nothing may be decided by it.
    """

    provider: str
    handle_id: str
    state_hint: str = ""


@attrs.frozen
class _Dialect:
    """One provider's webhooks.

    Attributes:
        check: of the signature; ``None`` for fal, which has keys instead of a secret.
        ids: where the body names the job; the first that is there counts.
        states: where it names the state.
        signed: whether it has to be given a secret.
    """

    check: _Check | None
    ids: tuple[str, ...] = ("id",)
    states: tuple[str, ...] = ("status",)
    signed: bool = True


_DIALECTS = {
    # What is in the body is left to the sender; most have an event's type and its data.
    "standard-webhooks": _Dialect(check_standard, ("data.id", "id"), ("type", "status")),
    "replicate": _Dialect(check_standard),
    "fal": _Dialect(None, ("request_id",)),
    "openrouter": _Dialect(check_openrouter, ("data.id",), ("data.status",)),
    "assemblyai": _Dialect(check_shared, ("transcript_id",), signed=False),
    "soniox": _Dialect(check_shared, signed=False),
    "luma": _Dialect(check_shared, states=("state",), signed=False),
}
#: Made at first use, and shared: fal's keys are fetched once.
_fal_keys: list[FalKeys] = []


def providers() -> list[str]:
    """The names that :func:`verify_webhook` knows, in order."""
    return sorted(_DIALECTS)


def verify_webhook(
    provider: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret: str | Sequence[str] | None = None,
    now: float | None = None,
    keys: FalKeys | None = None,
) -> WebhookHint:
    """Checks that a message is from the provider; which job it is about.

    A message is refused when its signature is wrong, and when it was signed more than five minutes
    ago or ahead: so it cannot be replayed later. Within five minutes the same message may come
    twice, as providers repeat what was not answered; that is harmless.

    Args:
        provider: as ``"replicate"``; see :func:`providers`. ``"standard-webhooks"`` is whoever
            signs by that specification and names the job as ``data.id`` or ``id``.
        headers: with any spelling of the names.
        body: as received, byte for byte: parsed and written again it has another signature.
        secret: with which the provider signs; several while it is being replaced. For AssemblyAI
            and Soniox, which do not sign: what they were told to send as ``X-Webhook-Secret``;
            without it, and for Luma, anybody's message is taken. fal needs none.
        now: UTC seconds; by default the system's time.
        keys: fal's public keys; by default one set for the process.

    Raises:
        WebhookError: why the message is refused: its ``code`` is ``header``, ``signature``,
            ``timestamp``, ``body``, or ``keys`` when fal's keys are not to be had: then answer 503.
        UsageError: no such provider, no secret, or a body that is not raw.
        MissingExtraError: fal's signatures need the extra ``webhooks``.
    """
    dialect = _DIALECTS.get(provider)
    if dialect is None:
        raise UsageError(f"no webhooks of {provider!r} are known: use {', '.join(providers())}")
    if not isinstance(body, bytes):
        raise UsageError("body must be the raw bytes, as received: parsed, it cannot be checked")
    lower = {name.lower(): value for name, value in headers.items()}
    at = time.time() if now is None else now
    if dialect.check is None:
        check_fal(lower, body, keys or _shared_keys(), at)
    else:
        dialect.check(lower, body, _secrets(provider, secret, needed=dialect.signed), at)
    return _hint(provider, dialect, body)


def _secrets(provider: str, secret: str | Sequence[str] | None, *, needed: bool) -> Sequence[str]:
    if secret is None and not needed:
        return ()
    found = [secret] if isinstance(secret, str) else list(secret or ())
    # An empty one, as of a variable that is not set, is a secret that everybody knows.
    if not found or not all(each.removeprefix("whsec_").strip() for each in found):
        raise UsageError(f"webhooks of {provider} need secret=, and it is empty or missing")
    return found


def _shared_keys() -> FalKeys:
    if not _fal_keys:
        _fal_keys.append(FalKeys())
    return _fal_keys[0]


def _hint(provider: str, dialect: _Dialect, body: bytes) -> WebhookHint:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise WebhookError("the webhook is no JSON", code="body") from exc
    handle_id = _first(told, dialect.ids)
    if not handle_id:
        where = " or ".join(dialect.ids)
        raise WebhookError(f"the webhook names no job: there is no {where} in it", code="body")
    return WebhookHint(provider, handle_id, _first(told, dialect.states))


def _first(told: Any, paths: Sequence[str]) -> str:
    """The first text that is found at one of these places, or an empty one."""
    for path in paths:
        found = told
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            return found
    return ""
