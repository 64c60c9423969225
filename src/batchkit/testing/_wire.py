"""HTTP/1.1 on asyncio streams, with all the rude ways to break it. Small, and for tests alone."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import socket
import struct
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from batchkit.testing._messages import NOT_JSON, Reply, Request, Wire

_HEAD_LIMIT = 65536
_NOISE = b"\x16\x03\x01\x00\xff garbage, not HTTP \x00\x00\r\n\r\n"


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; ``None`` at its end.

    Raises:
        ValueError: it is not HTTP as this server understands it.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    try:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError:
        return None
    url = urlsplit(target)
    return Request(
        method=method,
        path=unquote(url.path),
        query=dict(parse_qsl(url.query)),
        headers=headers,
        data=_json(body),
        body=body,
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return NOT_JSON


async def write_reply(writer: asyncio.StreamWriter, reply: Reply, *, close: bool) -> bool:
    """Sends a reply, or what becomes of it; whether the connection can go on."""
    if reply.wire is Wire.RESET:
        reset(writer)
        return False
    if reply.wire is Wire.HANG:
        return True
    if reply.wire is Wire.NOISE:
        writer.write(_NOISE)
        await writer.drain()
        return False
    head, body = _encode(reply, close=close)
    if reply.wire is Wire.WHOLE:
        await _write_whole(writer, reply, head + body)
        return True
    writer.write(head + body[: len(body) // 2])
    await writer.drain()
    return reply.wire is Wire.STALL


async def _write_whole(writer: asyncio.StreamWriter, reply: Reply, data: bytes) -> None:
    if reply.sent is not None:
        # The other side has not all of it before it is in the ledger: a test may look at once.
        writer.write(data[:-1])
        try:
            await writer.drain()
        except OSError:
            reply.sent(False)
            raise
        reply.sent(True)
        data = data[-1:]
    writer.write(data)
    await writer.drain()


def _encode(reply: Reply, *, close: bool) -> tuple[bytes, bytes]:
    kind, body = reply.encoded()
    headers = {
        "Date": email.utils.formatdate(usegmt=True),
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Connection": "close" if close else "keep-alive",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body


def reset(writer: asyncio.StreamWriter) -> None:
    """Breaks a connection so that the other side sees a reset, not an end (SO_LINGER 0)."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """Sends one webhook; the status of the answer.

    Raises:
        OSError: nobody is there.
        ValueError: the answer is not HTTP.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [
        f"POST {target or '/'} HTTP/1.1",
        *(f"{name}: {value}" for name, value in sent.items()),
    ]
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        await writer.drain()
        answer = await reader.readline()
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else 0
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # the other side may have closed first
            await writer.wait_closed()
