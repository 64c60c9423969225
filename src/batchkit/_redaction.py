"""Keeps secrets out of everything that people or logs see: messages, reprs, manifests.

Three things are taken out of a text: user, query and fragment of URLs (a signed URL is a secret);
what stands behind a name such as ``api_key=`` or ``Authorization:``; and the very secrets that this
process knows, see :func:`remember`. What cannot be told from ordinary text stays: a secret that
nobody declared and that no name precedes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

MASK = "***"
#: Shorter values are words, not secrets, and masking them would garble messages.
_SHORTEST = 8

_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#@]*@)?([^\s?#\"'<>)\]]*)[?#][^\s\"'<>)\]]*", re.IGNORECASE
)
_USER = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/?#@]+@", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic|key|token)\s+[A-Za-z0-9._~+/=:-]{8,}", re.IGNORECASE)
#: Headers that are secret up to the end of the line, or of the quotation.
_HEADER = re.compile(
    r"(?P<name>\b(?:(?:proxy-)?authorization|(?:set-)?cookie)[\"']?\s*[:=,]\s*b?)(?P<quote>[\"']?)[^\n\"']+",
    re.IGNORECASE,
)
#: Not "tokens", which are counted and not kept secret.
_NAME = (
    r"[\w.-]*(?:api[_-]?key|access[_-]?key|secret|token(?!s)|password|passwd|credential|signature"
    r"|authorization|cookie|session[_-]?id|[a-z]_key)[\w.-]*"
)
_NAMED = re.compile(
    rf"(?P<name>\b{_NAME}[\"']?\s*[:=]\s*)(?P<quote>[\"']?)[^\s\"',;&}})]{{4,}}", re.IGNORECASE
)
_IS_SECRET_NAME = re.compile(rf"{_NAME}\Z", re.IGNORECASE)

_known: set[str] = set()


def remember(secrets: Iterable[str]) -> None:
    """Masks these values in every message of this process from now on; short ones are ignored."""
    _known.update(secret for secret in secrets if len(secret) >= _SHORTEST)


def secrets_in(values: Mapping[str, Any]) -> list[str]:
    """The values whose name says that they are secret, as ``api_key`` does."""
    return [
        value
        for name, value in values.items()
        if isinstance(value, str) and _IS_SECRET_NAME.search(name) and not _is_path(value)
    ]


def secrets_of_headers(headers: Mapping[str, str]) -> list[str]:
    """What is secret in HTTP headers: each part of those whose name says so."""
    found = secrets_in(dict(headers))
    return [*found, *(part for value in found for part in re.split(r"[\s;=,]+", value))]


def _is_path(value: str) -> bool:
    """As in ``PASSWORD_STORE_DIR=/home/...``, which stands in many a message."""
    return value.startswith(("/", "~", "."))


def scrub(text: str) -> str:
    """*text* without the secrets in it; see the module for what is recognised."""
    # A copy: another thread may remember one more meanwhile.
    for secret in tuple(_known):
        if secret in text:
            text = text.replace(secret, MASK)
    if "://" in text:
        text = _USER.sub(r"\1", _URL.sub(r"\1\2", text))
    text = _HEADER.sub(rf"\g<name>\g<quote>{MASK}", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    return _NAMED.sub(rf"\g<name>\g<quote>{MASK}", text)


def scrubbed(value: Any) -> Any:
    """The same for JSON values: texts at any depth, and whatever a secret name stands before."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {
            name: MASK if isinstance(item, str) and _IS_SECRET_NAME.search(name) else scrubbed(item)
            for name, item in value.items()
        }
    return [scrubbed(item) for item in value] if isinstance(value, (list, tuple)) else value


# -- the logs of HTTP libraries, which show every address as a whole ------------------------

#: Set where a call of ours runs, so that the host's own requests are logged as it wants.
ours: ContextVar[bool] = ContextVar("batchkit_call", default=False)
#: A filter hears its own logger only, not those below.
_LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "httpx2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "urllib3.connectionpool",
    "aiohttp.client",
)


#: A redirect within one server, as httpcore logs its header: no URL, but it may be signed as well.
_LOCATION = re.compile(r"(b'location', b'[^'?#]*)[?#][^']*", re.IGNORECASE)


def _redact(record: logging.LogRecord) -> bool:
    if ours.get():
        record.msg, record.args = _LOCATION.sub(r"\1", scrub(record.getMessage())), ()
    return True


def hush_http_logs() -> None:
    """From now on, HTTP libraries log the requests of our own calls without their secrets."""
    for name in _LOGGERS:
        # Adding the same filter again changes nothing.
        logging.getLogger(name).addFilter(_redact)
