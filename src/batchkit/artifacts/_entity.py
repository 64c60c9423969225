"""What the headers of an answer say of a file: its size, its digests, and whether it has changed.

Sources: RFC 9110 (HTTP semantics), sections 8.8 (validators), 13.1.5 (If-Range) and 14 (ranges);
RFC 9530 (``Repr-Digest``, ``Content-Digest``); RFC 3230 (``Digest``); RFC 1864 (``Content-MD5``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import attrs

#: The name of an algorithm in headers, and in :mod:`hashlib`.
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
#: ``name=:base64:`` as a structured field, or ``name=base64`` in the older header.
_DIGEST = re.compile(r"([A-Za-z0-9-]+)=:?([A-Za-z0-9+/]+={0,2}):?(?=\s*(?:[,;]|\Z))")
_LENGTH = re.compile(r"\d+\Z")
#: What a server sends in the place of a recording: its own words about why there is none.
_WORDS = ("text/", "application/json", "application/xml", "application/xhtml")
_MEDIA = ("video", "audio", "image")


@attrs.frozen(kw_only=True)
class Entity:
    """A file as one answer describes it.

    Attributes:
        total: its whole size in bytes, or ``None``.
        start: where the bytes of this answer begin in it; ``None`` when the range that the answer
            names makes no sense.
        validator: what ``If-Range`` sends to learn whether it has changed, or ``None``.
        digests: hex digests of the whole, by algorithm.
        encoding: of the content, empty when there is none.
        media_type: in lower case, without parameters.
    """

    total: int | None = None
    start: int | None = 0
    validator: str | None = None
    digests: Mapping[str, str] = attrs.field(factory=dict)
    encoding: str = ""
    media_type: str = ""

    def is_words(self, expected: str | None) -> bool:
        """Whether this is a page or a message where a recording is *expected* (a media type)."""
        wanted = (expected or "").partition("/")[0].lower() in _MEDIA
        return wanted and self.media_type.startswith(_WORDS)


def read_entity(status: int, headers: Mapping[str, str]) -> Entity:
    """Reads the headers of an answer of 200 or 206.

    Args:
        status: of the answer.
        headers: found under any spelling of their names, as those of httpx are.
    """
    start, total = _extent(status, headers)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return Entity(
        total=total,
        start=start,
        validator=_validator(headers),
        digests=dict(_digests(headers, is_whole=status == 200)),
        encoding="" if encoding == "identity" else encoding,
        media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
    )


def _extent(status: int, headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    if status == 206:
        found = _RANGE.match(headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) > int(found[2]):
            return None, None
        return int(found[1]), None if found[3] == "*" else int(found[3])
    length = headers.get("Content-Length", "").strip()
    return 0, int(length) if _LENGTH.match(length) else None


def _validator(headers: Mapping[str, str]) -> str | None:
    """A strong one, for a weak one may stand for other bytes."""
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"') and tag.endswith('"') and len(tag) > 1:
        return tag
    modified, now = headers.get("Last-Modified", ""), headers.get("Date", "")
    try:
        age = parsedate_to_datetime(now) - parsedate_to_datetime(modified)
    except (ValueError, TypeError):
        return None
    # In its own second a file may change twice (RFC 9110, section 8.8.2.2).
    return modified if age.total_seconds() >= 1 else None


def _digests(headers: Mapping[str, str], *, is_whole: bool) -> Iterator[tuple[str, str]]:
    """Algorithm and hex digest; what is said of a part says nothing of the whole."""
    named = [headers.get("Digest", ""), headers.get("Repr-Digest", "")]
    if is_whole:
        named.append(headers.get("Content-Digest", ""))
        named.append(f"md5={headers.get('Content-MD5', '').strip()}")
    for text in named:
        for name, value in _DIGEST.findall(text):
            algorithm = _ALGORITHMS.get(name.lower())
            if algorithm is not None and (digest := _hex(algorithm, value)):
                yield algorithm, digest


def _hex(algorithm: str, value: str) -> str | None:
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        return None
    fits = len(digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size
    return digest.hex() if fits else None
