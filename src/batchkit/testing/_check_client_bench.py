"""What every clause for clients works with: the server, and how its client is called."""

from __future__ import annotations

import inspect
import itertools
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import attrs
from anyio.from_thread import BlockingPortal

from batchkit._calls import Clock
from batchkit._jobs import Handle, Job, JobStatus, submit_key
from batchkit._requests import Request
from batchkit._runner import BatchRunner
from batchkit.clients.base import Accepted, BoundClient, Method, RemoteStatus
from batchkit.clients.binding import bind_client
from batchkit.storage import MemoryStorage
from batchkit.testing._check_storage_base import require


class CountsSubmissions(Protocol):
    """The least that a server has; see :func:`~batchkit.testing.check_client` for the rest."""

    def submissions(self) -> int:
        """How many submissions it has seen, accepted or not."""
        ...


@attrs.define(eq=False)
class Bench:
    """A client's server, and how it is called: async methods all on one event loop."""

    make: Callable[[], object]
    server: CountsSubmissions
    request: Request
    secrets: tuple[str, ...]
    clock: Clock
    portal: BlockingPortal
    records: list[str]
    #: What a person may see of the client, as (where, text).
    shown: list[tuple[str, str]] = attrs.field(factory=list)
    #: Methods that changed what they were given.
    changers: set[str] = attrs.field(factory=set)
    _closers: list[Method] = attrs.field(factory=list)
    #: Whether the client itself makes one for each run.
    _for_run: bool = False
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _uid: str = attrs.field(factory=lambda: uuid.uuid4().hex)

    def offers(self, need: str) -> bool:
        """Whether what a clause needs was given."""
        if need == "secrets":
            return bool(self.secrets)
        return not need or callable(getattr(self.server, need, None))

    def prepare_server(self, what: str) -> None:
        """Tells the server what to do next; only clauses that need it do."""
        getattr(self.server, what)()

    def client(self) -> BoundClient:
        """A fresh client, as after a restart."""
        made = self.make()
        self.shown.append(("repr(client)", repr(made)))
        bound, self._for_run = bind_client(made), hasattr(made, "for_run")
        self._closers += bound.closers or _closers(made)
        self.shown.append(("its capabilities", str(snapshot(bound.capabilities))))
        return bound

    def call(self, method: Method, *args: object) -> Any:
        """Calls a method; notes what it raises, and whether it changed what it was given."""
        name = getattr(method.fn, "__name__", "call").strip("_")
        before = snapshot(args)
        try:
            if not method.is_async:
                return method.fn(*args)
            return self.portal.call(method.fn, *args)
        except Exception as exc:
            self.shown.append((f"an error of {name}", _whole(exc)))
            raise
        finally:
            if snapshot(args) != before:
                self.changers.add(name)

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
            metadata={"number": number},
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
        self.shown.append(("a handle", str(snapshot(answer.handle))))
        return job, answer.handle

    def pause(self, client: BoundClient) -> None:
        """Waits as long as *client* says that there has to be between two polls of a job."""
        seconds = client.capabilities.min_poll_seconds
        if pace_fault(seconds) or not seconds:
            # That it is a number is a clause of its own.
            return
        if not self.clock.skip(seconds):
            time.sleep(seconds)

    def runner(self, storage: MemoryStorage, client: BoundClient) -> BatchRunner:
        # The runner makes its own: a client belongs to the event loop that it is used on.
        spec = self.make() if client.is_function or self._for_run else self._factory
        return BatchRunner(spec, storage=storage, clock=self.clock, delay=0)

    def _factory(self) -> object:
        # A bound method without parameters is one, whatever kind of callable the author gave.
        return self.make()

    def close(self) -> None:
        for closer in self._closers:
            self.call(closer)


def _closers(made: object) -> tuple[Method, ...]:
    found = getattr(made, "aclose", None) or getattr(made, "close", None)
    return (Method(found, inspect.iscoroutinefunction(found)),) if callable(found) else ()


@attrs.frozen
class Clause:
    """One thing that is asked of a client.

    Attributes:
        name: stable; what a report begins with.
        check: raises ``AssertionError`` with a remedy.
        needs: the method of the server without which it cannot be tried.
    """

    name: str
    check: Callable[[Bench], None]
    needs: str = ""

    def fault(self, bench: Bench) -> str:
        """What is wrong, in one line; empty when nothing is."""
        try:
            self.check(bench)
        except Exception as exc:  # noqa: BLE001 - whatever a client raises breaks the clause
            named = "" if type(exc) is AssertionError else f"{type(exc).__name__}: "
            return " ".join(f"{self.name}: {named}{exc}".split())
        return ""


def pace_fault(seconds: object) -> str:
    """What is wrong with a number of seconds between polls; empty when nothing is."""
    if isinstance(seconds, (int, float)) and math.isfinite(seconds) and seconds >= 0:
        return ""
    return f"min_poll_seconds is {seconds!r}: give seconds, from 0"


def snapshot(value: object) -> Any:
    """A copy of a value, all the way down, to compare with and to search."""
    cls: Any = type(value)
    if attrs.has(cls):
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(cls)}
        return snapshot(fields | getattr(value, "__dict__", {}))
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [snapshot(item) for item in value]
    return value


def _whole(exc: BaseException) -> str:
    """An exception and those that it came from, as a traceback names them."""
    told, seen = "", list[BaseException]()
    found: BaseException | None = exc
    while found is not None and found not in seen:
        seen.append(found)
        told += f"{found!r} {found}\n"
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return told


@contextmanager
def log_records() -> Iterator[list[str]]:
    """Everything that is logged meanwhile, tracebacks included."""
    lines: list[str] = []
    handler, formatter = logging.Handler(), logging.Formatter()
    handler.emit = lambda record: lines.append(formatter.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def one_submission(bench: Bench, before: int, what: str) -> None:
    """Requires that the server has seen exactly one submission since."""
    sent = bench.server.submissions() - before
    require(sent > 0, f"{what} was not seen by the server: let submissions() count the requests")
    require(
        sent == 1,
        f"{what} became {sent} submissions, and each may be billed: something retries behind "
        "batchkit's back; switch the retries of the HTTP library or SDK off (max_retries=0)",
    )


def status_of(bench: Bench, client: BoundClient, handle: Handle) -> RemoteStatus:
    """Asks for the status of a job once, at the pace that the client declares."""
    require(client.poll is not None, "submit answered Accepted: give the client a poll(handle)")
    assert client.poll is not None
    bench.pause(client)
    answer = bench.call(client.poll, handle)
    require(
        isinstance(answer, RemoteStatus),
        f"poll returned {type(answer).__name__}: return batchkit.RemoteStatus(state=...)",
    )
    assert isinstance(answer, RemoteStatus)
    bench.shown.append(("a status", str(snapshot(answer))))
    return answer
