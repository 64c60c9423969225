"""Whatever a provider answers to report a failure, no client stumbles over it."""

from __future__ import annotations

import pytest

from batchkit.clients import load, names
from batchkit.clients._load import class_of
from batchkit.clients.http import HttpClient, HttpResponse

CLIENTS = [
    name
    for name in names()
    if isinstance(made := class_of(name), type) and issubclass(made, HttpClient)
]
DEEP = b'{"error": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
CONTENTS = {
    "nothing": b"",
    "page": b"<html>Bad gateway</html>",
    "list": b"[1]",
    "number": b"3",
    "null": b"null",
    "bytes": b"\xff\xfe\x00",
    "deep": DEEP,
    "numbers": b'{"error": 1, "detail": 2, "message": 3, "err_msg": 4, "title": 5}',
    "lists": b'{"error": [1], "detail": [1], "message": [1], "validation_errors": 3}',
    "objects": b'{"error": {"message": {}, "code": []}, "detail": {"a": 1}, "message": {}}',
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_fault_is_read_whatever_it_says(name: str, content: bytes) -> None:
    client = load(name, key="k", base_url="https://api.example.com/v1")
    for status in (400, 402, 422, 498, 500, 503):
        fault = client.fault(HttpResponse(status=status, content=content))
        assert isinstance(fault.message, str)
        assert fault.code is None or isinstance(fault.code, str)


def test_all_of_them_are_tried() -> None:
    assert len(CLIENTS) >= 12
