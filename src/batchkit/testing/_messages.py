"""Requests and replies of the fake provider, as values."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from batchkit._results import EMPTY

#: The body of a reply that is not JSON.
NOT_JSON: Final = object()


@attrs.frozen(kw_only=True)
class Request:
    """What is asked.

    Attributes:
        method: as ``"POST"``.
        path: without the query.
        query: each name once.
        headers: with names in lower case.
        data: the JSON value of the body; :data:`NOT_JSON` when it is none.
        body: bytes that are not JSON: an upload.
    """

    method: str
    path: str
    query: Mapping[str, str] = EMPTY
    headers: Mapping[str, str] = EMPTY
    data: Any = None
    body: bytes = b""


class Wire(enum.Enum):
    """What becomes of a reply on its way."""

    WHOLE = enum.auto()
    #: It ends in its middle, and the connection with it.
    CUT = enum.auto()
    #: It stops in its middle; the connection stays.
    STALL = enum.auto()
    #: The connection is reset instead.
    RESET = enum.auto()
    #: Nothing is ever sent.
    HANG = enum.auto()
    #: Bytes that are not HTTP are sent instead.
    NOISE = enum.auto()


@attrs.frozen(kw_only=True)
class Reply:
    """What is answered.

    Attributes:
        status: of HTTP.
        headers: with names as they are sent.
        data: the JSON value of the body; :data:`NOT_JSON` for a page that is none.
        body: bytes instead of a JSON value: a file.
        wire: what becomes of it.
        processed: whether the request had its effect.
        wait: seconds before *later* says the true reply.
        later: processes the request, after *wait*.
        refuse: seconds for which nobody listens afterwards.
        sent: called with whether all of it went out.
        refused: code and message of a refusal that is not in the provider's words yet.
    """

    status: int = 200
    headers: Mapping[str, str] = EMPTY
    data: Any = None
    body: bytes | None = None
    wire: Wire = Wire.WHOLE
    processed: bool = True
    wait: float = 0.0
    later: Callable[[], Reply] | None = None
    refuse: float = 0.0
    sent: Callable[[bool], object] | None = None
    refused: tuple[str, str] | None = None

    def encoded(self) -> tuple[str, bytes]:
        """Content type and body, as they are sent."""
        if self.body is not None:
            return "video/mp4", self.body
        if self.data is NOT_JSON:
            return "text/html", b"<html><h1>Welcome to our proxy</h1></html>"
        return "application/json", json.dumps(self.data).encode()


def refusal(
    status: int, message: str, code: str = "", headers: Mapping[str, str] = EMPTY, **more: Any
) -> Reply:
    """An error as the fake provider words it."""
    error = {"code": code or str(status), "message": message, **more}
    refused = (error["code"], message)
    return Reply(
        status=status, headers=headers, data={"error": error}, processed=False, refused=refused
    )
