"""Serves a fake provider over HTTP: one event loop, one listener, no framework."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

from batchkit.testing._dialect import Dialect
from batchkit.testing._messages import Reply, Wire, refusal
from batchkit.testing._provider import FakeProvider
from batchkit.testing._wire import post, read_request, reset, write_reply

log = logging.getLogger("batchkit.testing")

#: Seconds between looks for webhooks that are due.
_TICK = 0.02
_BACKLOG = 256
#: Seconds that a webhook's receiver may take.
_WEBHOOK_TIMEOUT = 5.0


class Site:
    """Serves one provider until it is told to stop. Belongs to the event loop that runs it.

    Args:
        provider: what is served.
        host: an address of this machine.
        port: 0 takes a free one.
        dialect: its interface; by default the fake provider's own.
    """

    def __init__(
        self,
        provider: FakeProvider,
        host: str = "127.0.0.1",
        port: int = 0,
        dialect: Dialect | None = None,
    ) -> None:
        self.provider, self.host, self.port = provider, host, port
        self.dialect = dialect or provider.routes
        self._idle: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    async def open(self) -> None:
        """Starts to listen.

        Raises:
            OSError: the port is taken.
        """
        self._listen()
        self._soon(self._send_webhooks())

    def _listen(self) -> None:
        # Not asyncio's own server: when that is closed while it accepts a connection, it forgets
        # the connection, whose other side waits for ever.
        self._listener = socket.create_server((self.host, self.port), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # it has gone again
            self._soon(self._serve(self._listener.accept()[0]))

    def _deaf(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def close(self) -> None:
        """Stops to listen, and breaks every connection that is left."""
        self._deaf()
        # A task that is cancelled before it began would not close its connection; and a transport
        # closes its socket with the loop's next turn.
        await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def refuse(self, seconds: float) -> None:
        """Listens to nobody for a while: connections are refused, and idle ones closed."""
        if self._listener is not None:
            self._deaf()
            for writer in list(self._idle):
                writer.close()
            self._soon(self._listen_again(seconds))

    async def _listen_again(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while self._listener is None:
            try:
                self._listen()
            except OSError as exc:
                log.warning("port %d cannot be taken again yet: %s", self.port, exc)
                await asyncio.sleep(_TICK)

    def _soon(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- connections -------------------------------------------------------------------------

    async def _serve(self, sock: socket.socket) -> None:
        with sock:
            reader, writer = await asyncio.open_connection(sock=sock)
            try:
                while await self._exchange(reader, writer):
                    pass
            except (OSError, ValueError, asyncio.LimitOverrunError) as exc:
                log.debug("a connection ended: %s", exc)
            except asyncio.CancelledError:
                log.debug("a connection was cut off by the end of the server")
                reset(writer)
            finally:
                await _closed(writer)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether the connection goes on."""
        self._idle.add(writer)
        request = await read_request(reader)
        self._idle.discard(writer)
        if request is None:
            return False
        try:
            reply = self.dialect.answer(request)
        except Exception:
            # A fault of the fake itself; whoever tests has to see it.
            log.exception("the fake provider failed at %s %s", request.method, request.path)
            reply = refusal(500, "the fake provider itself failed: see its log")
        if reply.later is not None:
            await asyncio.sleep(reply.wait)
            reply = reply.later()
        close = request.headers.get("connection", "").lower() == "close" or reply.refuse > 0
        if reply.refuse:
            # Before the answer: whoever has read it finds nobody.
            self.refuse(reply.refuse)
        return await self._reply(reader, writer, reply, close=close) and not close

    async def _reply(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reply: Reply,
        *,
        close: bool,
    ) -> bool:
        goes_on = False
        try:
            goes_on = await write_reply(writer, reply, close=close)
            if reply.wire in (Wire.HANG, Wire.STALL):
                # Until the other side has enough of it.
                await reader.read()
                goes_on = False
        finally:
            if reply.sent is not None and reply.wire is not Wire.WHOLE:
                reply.sent(False)
        return goes_on

    # -- webhooks ----------------------------------------------------------------------------

    async def _send_webhooks(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            with self.provider.lock:
                due = self.provider.due_webhooks()
                now = self.provider.clock.time()
            for hook in due:
                headers = hook.headers(self.provider.webhook_secret, now)
                self._soon(self._deliver(hook.url, headers, hook.body()))

    async def _deliver(self, url: str, headers: dict[str, str], body: bytes) -> None:
        try:
            async with asyncio.timeout(_WEBHOOK_TIMEOUT):
                status = await post(url, headers, body)
        except (OSError, ValueError) as exc:
            log.info("nobody took the webhook %s: %s", headers["webhook-id"], exc)
        else:
            log.debug("webhook %s was answered %d", headers["webhook-id"], status)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):  # the other side may have broken it
        await writer.wait_closed()
