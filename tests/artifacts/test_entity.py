from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.artifacts._entity import Entity, read_entity

OLD, NOW = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:01 GMT"


def entity(status: int = 200, **headers: str) -> Entity:
    return read_entity(
        status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    )


def test_an_answer_without_headers_says_nothing() -> None:
    assert entity() == Entity()


@pytest.mark.parametrize(
    ("length", "total"), [("5", 5), ("0", 0), ("-1", None), ("5.0", None), ("", None), ("x", None)]
)
def test_lengths(length: str, total: int | None) -> None:
    assert entity(content_length=length).total == total


@pytest.mark.parametrize(
    ("said", "start", "total"),
    [
        ("bytes 5-9/10", 5, 10),
        ("bytes 5-9/*", 5, None),
        ("bytes 9-5/10", None, None),
        ("bytes */10", None, None),
        ("items 5-9/10", None, None),
        ("bytes 5-9/10, 0-1", None, None),
        ("", None, None),
    ],
)
def test_ranges(said: str, start: int | None, total: int | None) -> None:
    found = entity(206, content_range=said, content_length="5")
    assert (found.start, found.total) == (start, total)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": '"x"'}, '"x"'),
        ({"etag": '"x"', "last_modified": OLD, "date": NOW}, '"x"'),
        ({"etag": 'W/"x"'}, None),
        ({"etag": '"'}, None),
        ({"etag": "x"}, None),
        ({"etag": 'W/"x"', "last_modified": OLD, "date": NOW}, OLD),
        ({"last_modified": OLD, "date": OLD}, None),
        ({"last_modified": OLD}, None),
        ({"last_modified": "yesterday", "date": NOW}, None),
        ({"last_modified": "Wed, 21 Oct 2015 07:28:00", "date": NOW}, None),
    ],
)
def test_only_strong_validators_count(headers: Any, validator: str | None) -> None:
    assert entity(**headers).validator == validator


def told(algorithm: str, body: bytes = b"x") -> tuple[str, str]:
    made = hashlib.new(algorithm, body, usedforsecurity=False)
    return base64.b64encode(made.digest()).decode(), made.hexdigest()


def test_digests_of_the_whole() -> None:
    (sha, sha_hex), (md5, md5_hex), (long, long_hex) = map(told, ("sha256", "md5", "sha512"))
    found = entity(repr_digest=f"sha-256=:{sha}:, sha-512=:{long}:", content_md5=md5)
    assert found.digests == {"sha256": sha_hex, "sha512": long_hex, "md5": md5_hex}
    assert entity(digest=f"MD5={md5}, SHA-256={sha}").digests == {"sha256": sha_hex, "md5": md5_hex}


def test_the_digest_of_a_part_is_not_that_of_the_whole() -> None:
    sha, sha_hex = told("sha256")
    part = {"content_md5": told("md5")[0], "content_digest": f"sha-256=:{sha}:"}
    assert entity(206, **part).digests == {}
    assert entity(206, repr_digest=f"sha-256=:{sha}:").digests == {"sha256": sha_hex}


@pytest.mark.parametrize(
    "said", ["sha-256=", "sha-256=:QQ==:", "sha-256=:====:", "crc32c=:AAAA:", "sha-256", "=,;:"]
)
def test_digests_that_make_no_sense_are_not_there(said: str) -> None:
    assert entity(repr_digest=said).digests == {}


def test_encodings() -> None:
    assert entity(content_encoding="identity").encoding == ""
    assert entity(content_encoding="GZIP").encoding == "gzip"


@pytest.mark.parametrize(
    ("said", "expected", "is_words"),
    [
        ("text/html", "video/mp4", True),
        ("application/json; charset=utf-8", "audio/mpeg", True),
        ("TEXT/PLAIN", "image/png", True),
        ("application/octet-stream", "video/mp4", False),
        ("video/webm", "video/mp4", False),
        ("", "video/mp4", False),
        ("text/html", "text/vtt", False),
        ("text/html", None, False),
    ],
)
def test_words_in_the_place_of_a_recording(said: str, expected: str | None, is_words: bool) -> None:
    assert entity(content_type=said).is_words(expected) == is_words


ANY = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@given(
    st.sampled_from([200, 206]),
    st.dictionaries(
        st.sampled_from(
            ["Content-Length", "Content-Range", "ETag", "Last-Modified", "Date", "Digest",
             "Repr-Digest", "Content-Digest", "Content-MD5", "Content-Encoding", "Content-Type"]
        ),
        ANY,
    ),
)  # fmt: skip
def test_no_header_is_a_fault(status: int, headers: dict[str, str]) -> None:
    found = read_entity(status, httpx.Headers(headers))
    assert found.total is None or found.total >= 0
    assert found.start is None or found.start >= 0
