"""What an HTTP answer means, and what is read in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchkit import (
    AuthenticationError,
    ClientError,
    ModerationError,
    NotAcceptedError,
    OutcomeUnknownError,
    QuotaError,
    RateLimitedError,
    RejectedError,
)
from batchkit.clients._http_errors import error_of
from batchkit.clients.http import Fault, HttpClient, HttpResponse


class Toy(HttpClient):
    """The smallest client of an API."""

    default_url = "https://api.example.com/v1"


def answer(status: int, body: Any = None, **headers: str) -> HttpResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, content=json.dumps(body).encode(), headers=names)


#: Status, the fault's kind, whether it answers a submission, and the error that it means.
MEANINGS: list[tuple[int, str, bool, type[ClientError]]] = [
    (403, "moderation", True, ModerationError),
    (400, "moderation", False, ModerationError),
    (429, "quota", True, QuotaError),
    (402, "quota", True, QuotaError),
    (400, "rate_limit", True, RateLimitedError),
    (422, "invalid", True, RejectedError),
    (401, "", True, AuthenticationError),
    (409, "moderation", True, OutcomeUnknownError),
    (500, "moderation", True, OutcomeUnknownError),
    (503, "", True, NotAcceptedError),
    (502, "", True, OutcomeUnknownError),
    (502, "", False, ClientError),
    (301, "", False, ClientError),
]


@pytest.mark.parametrize(("status", "kind", "paying", "cls"), MEANINGS)
def test_what_an_answer_means(status: int, kind: str, paying: bool, cls: type[ClientError]) -> None:
    fault = Fault(message="no", code="E", kind=kind)
    error = error_of(answer(status), fault, paying=paying, not_accepted={503})
    assert type(error) is cls
    assert error.code == "E"


def test_an_error_names_the_request_and_hides_the_key() -> None:
    client = Toy("canary-key")
    body = {"error": {"message": "wrong at https://h/x?key=canary, token=canary1"}}
    found = answer(400, body, x_request_id="req-7", retry_after="3")
    error = error_of(found, client.fault(found), paying=True, not_accepted=())
    assert "req-7" in str(error)
    assert "canary" not in str(error)
    assert error.retry_after == 3
    long = answer(500, {"detail": "x" * 10_000})
    assert len(str(error_of(long, client.fault(long), paying=False, not_accepted=()))) < 600


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "b"}, "b"),
        ({"message": "c"}, "c"),
        ({"detail": "d"}, "d"),
        ([1], ""),
        ({"error": {"code": 3}}, ""),
    ],
)
def test_where_most_apis_put_their_message(body: Any, said: str) -> None:
    assert Toy("canary-key").fault(answer(400, body)).message == said


def test_values_in_an_answer() -> None:
    found = answer(200, {"a": [{"b": 3}], "empty": "", "no": None, "yes": True})
    assert found.get("a", 0, "b") == 3
    assert found.get("a", 5, "b", default="x") == "x"
    assert found.get("no", default=1) == 1
    assert found.text("a", 0, "b") == "3"
    for name in ("empty", "no", "yes", "missing"):
        with pytest.raises(ClientError, match=name):
            found.text(name)
