"""What every rule for clients works with: the server, and how its client is called."""

from __future__ import annotations

import inspect
import itertools
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from anyio.from_thread import BlockingPortal

from batchkit._calls import Clock
from batchkit._jobs import Handle, Job, JobStatus, submit_key
from batchkit._requests import Request
from batchkit._runner import BatchRunner
from batchkit.clients.base import (
    Accepted,
    BoundClient,
    Method,
    RemoteStatus,
)
from batchkit.clients.binding import bind_client
from batchkit.storage import MemoryStorage
from batchkit.testing._check_storage_base import require


@attrs.define(eq=False)
class Bench:
    """A client's server, and how it is called: async methods all on one event loop."""

    make: Callable[[], object]
    submissions: Callable[[], int]
    request: Request
    drop_next: Callable[[], object] | None
    refuse_next: Callable[[], object] | None
    secrets: tuple[str, ...]
    clock: Callable[[], Clock]
    portal: BlockingPortal
    records: list[str]
    #: What a person may see of the client, as (where, text).
    shown: list[tuple[str, str]] = attrs.field(factory=list)
    _made: list[object] = attrs.field(factory=list)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _uid: str = attrs.field(factory=lambda: uuid.uuid4().hex)

    def client(self) -> BoundClient:
        """A fresh client, as after a restart."""
        made = self.make()
        self._made.append(made)
        self.shown.append(("repr(client)", repr(made)))
        return bind_client(made)

    def call(self, method: Method, *args: object) -> Any:
        if not method.is_async:
            return method.fn(*args)
        return self.portal.call(method.fn, *args)

    def job(self, client: BoundClient) -> Job:
        """A job that is about to be submitted for the first time, with a key of its own."""
        number = next(self._numbers)
        job = Job(
            id=number + 1,
            batch_id=1,
            index=number,
            identity=f"check-{number}",
            request=self.request,
            status=JobStatus.SUBMITTING,
            attempt=1,
            submit_key=submit_key(self._uid, number, 1),
        )
        if client.prepare is None:
            return job
        return job.evolve(prepared=self.call(client.prepare, job))

    def accepted(self, client: BoundClient) -> tuple[Job, Handle] | None:
        """A submitted job and its handle; ``None`` for clients whose calls are the work."""
        job = self.job(client)
        answer = self.call(client.submit, job)
        if not isinstance(answer, Accepted):
            return None
        stored = getattr(answer.handle, "data", {})
        self.shown.append(("a handle", f"{answer.handle!r} {dict(stored)}"))
        return job, answer.handle

    def runner(self, storage: MemoryStorage, client: BoundClient) -> BatchRunner:
        # The runner makes its own: a client belongs to the event loop that it is used on.
        spec = self.make() if client.is_function else self._factory
        return BatchRunner(spec, storage=storage, clock=self.clock(), delay=0)

    def _factory(self) -> object:
        # A bound method without parameters is one, whatever kind of callable the author gave.
        return self.make()

    def close(self) -> None:
        for made in self._made:
            closer = getattr(made, "aclose", None) or getattr(made, "close", None)
            if callable(closer):
                self.call(Method(closer, inspect.iscoroutinefunction(closer)))


Rule = Callable[[Bench], None]


def fault_of(rule: Rule, bench: Bench) -> str:
    try:
        rule(bench)
    except Exception as exc:  # noqa: BLE001 - whatever a client raises breaks the rule
        named = "" if type(exc) is AssertionError else f"{type(exc).__name__}: "
        return f"{rule.__doc__}: {named}{exc}"
    return ""


@contextmanager
def log_records() -> Iterator[list[str]]:
    """Everything that is logged at INFO or above meanwhile, tracebacks included."""
    lines: list[str] = []
    handler, formatter = logging.Handler(logging.INFO), logging.Formatter()
    handler.emit = lambda record: lines.append(formatter.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO) or logging.INFO)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def one_submission(bench: Bench, before: int, what: str) -> None:
    sent = bench.submissions() - before
    require(sent > 0, f"{what} was not seen by the server: let submissions() count the requests")
    require(
        sent == 1,
        f"{what} became {sent} submissions, and each may be billed: something retries behind "
        "batchkit's back; switch the retries of the HTTP library or SDK off (max_retries=0)",
    )


def status_of(bench: Bench, client: BoundClient, handle: Handle) -> RemoteStatus:
    require(client.poll is not None, "submit answered Accepted: give the client a poll(handle)")
    assert client.poll is not None
    answer = bench.call(client.poll, handle)
    require(
        isinstance(answer, RemoteStatus),
        f"poll returned {type(answer).__name__}: return batchkit.RemoteStatus(state=...)",
    )
    assert isinstance(answer, RemoteStatus)
    return answer
