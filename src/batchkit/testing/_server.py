"""The fake provider behind HTTP, in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from batchkit._errors import UsageError
from batchkit.testing._dialect import Dialect
from batchkit.testing._http_client import AsyncHTTPFakeClient, HTTPFakeClient
from batchkit.testing._ledger import Ledger
from batchkit.testing._provider import FakeProvider
from batchkit.testing._site import Site

_FAILURES = ("500", "reset", "503", "429")
_GARBAGE = ("garbage", "wrong_json", "cut", "noise")


class ServedProvider:
    """A fake provider behind HTTP, in a thread of this process. A context manager.

    Args:
        provider: what is served; by default made of *options*.
        host: an address of this machine.
        port: 0 takes a free one.
        dialect: another interface than its own; see :mod:`batchkit.testing.vendors`.
        options: as for :class:`FakeProvider`.

    Attributes:
        provider: its jobs, its script and its ledger.

    Raises:
        OSError: the port is taken; at the start.
    """

    def __init__(
        self,
        provider: FakeProvider | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        dialect: Callable[[FakeProvider], Dialect] | None = None,
        **options: Any,
    ) -> None:
        if provider is not None and options:
            raise UsageError("give the server a provider, or the options of a new one")
        self.provider = provider or FakeProvider(**options)
        spoken = self.provider.routes if dialect is None else dialect(self.provider)
        self._site = Site(self.provider, host, port, spoken)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._clients = contextlib.ExitStack()
        self._failures, self._garbage = itertools.cycle(_FAILURES), itertools.cycle(_GARBAGE)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @property
    def url(self) -> str:
        """Where it listens, as ``"http://127.0.0.1:49152"``."""
        return self._site.url

    @property
    def ledger(self) -> Ledger:
        """The provider's."""
        return self.provider.ledger

    # -- what check_client asks for ----------------------------------------------------------

    def submissions(self) -> int:
        """How many submissions it has seen."""
        return self.provider.submissions()

    def drop_next(self) -> None:
        """Accepts the next submission, and breaks the connection before it answers."""
        self.provider.drop_next()

    def refuse_next(self) -> None:
        """Refuses the next submission."""
        self.provider.refuse_next()

    def fail_next(self) -> None:
        """Fails at the next request, each time in another way."""
        self._first(next(self._failures))

    def garble_next(self) -> None:
        """Accepts the next request, and answers nonsense."""
        self._first(next(self._garbage))

    def confuse_next(self) -> None:
        """Answers the next status query with a word that nobody knows."""
        self._first("confused")

    def _first(self, word: str) -> None:
        with self.provider.lock:
            self.provider.plan.script_first(word)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work, name="batchkit-fake-server", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        assert self._loop is not None
        self._clients.close()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as exc:  # noqa: BLE001 - raised where it was started
            self._failure = exc
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._site.open()
        self._started.set()
        try:
            await self._stop.wait()
        finally:
            await self._site.close()

    def refuse(self, seconds: float) -> None:
        """Refuses connections for a while, from now on."""
        assert self._loop is not None
        done = threading.Event()

        def work() -> None:
            self._site.refuse(seconds)
            done.set()

        self._loop.call_soon_threadsafe(work)
        done.wait()


class FakeServer(ServedProvider):
    """A fake provider behind its own HTTP interface, in a thread of this process.

    A context manager.

    Args:
        provider: what is served; by default made of *options*.
        host: an address of this machine.
        port: 0 takes a free one.
        options: as for :class:`FakeProvider`.

    Attributes:
        provider: its jobs, its script and its ledger.

    Raises:
        OSError: the port is taken; at the start.
    """

    def client(self, **options: Any) -> HTTPFakeClient:
        """A client that fits the provider; closed with the server.

        Args:
            options: those of :class:`HTTPFakeClient`.
        """
        made = HTTPFakeClient(self.url, **self._fitting(options))
        self._clients.callback(made.close)
        return made

    def async_factory(self, **options: Any) -> Callable[[], AsyncHTTPFakeClient]:
        """Makes async clients: give it to a runner, and each run has one of its own.

        Args:
            options: those of :class:`AsyncHTTPFakeClient`.
        """
        return functools.partial(AsyncHTTPFakeClient, self.url, **self._fitting(options))

    def _fitting(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"keys": self.provider.keys, "api_key": self.provider.api_key or "", **options}
