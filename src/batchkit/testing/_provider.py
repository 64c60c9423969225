"""The fake provider in this process, its clients, and crashes on demand.

Tests judge from the provider's side. Whatever a batch believes, the ledger says what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import parse_qsl

import attrs

from batchkit._calls import Clock
from batchkit._clock import SystemClock
from batchkit._errors import NotFoundError, OutcomeUnknownError
from batchkit._io import CrashError
from batchkit._jobs import Handle, Job
from batchkit._results import Output
from batchkit.clients.base import Accepted, Capabilities, RemoteStatus
from batchkit.testing import _protocol as protocol
from batchkit.testing._ledger import Ledger
from batchkit.testing._messages import Reply, Request, Wire
from batchkit.testing._model import Keys, Model
from batchkit.testing._plan import Plan
from batchkit.testing._routes import Routes


class FakeProvider(Model):
    """A provider with a ledger that misbehaves as it is told: by script, or by chance and seed.

    The prompt says what happens: ``"cat"`` simply works, ``"cat [busy busy]"`` is refused twice and
    then works, ``"cat [poll:503*3 fetch:cut]"`` breaks other operations; see :data:`FAULTS` for the
    words. Thread-safe. Its methods are what a client in this process calls;
    :class:`FakeServer` puts the same provider behind HTTP.

    Args:
        polls: good status queries before a job ends.
        keeps_keys: it can look a submission up by its key, and replays a key it has seen.
        price: charged for each job that it starts; a number, or ``"uniform:0.05,2"``.
        keys: what it does with a submit key that it has seen: ``"none"`` ignores it, ``"replay"``
            answers with the first job, ``"reject"`` answers 409, ``"lookup"`` finds jobs by it.
        duration: seconds that a job takes, instead of *polls*: a number, ``"uniform:5,60"`` or
            ``"lognormal:30,0.5"`` (median and sigma).
        seed: the same again for the same faults, durations and prices.
        fault_rate: share of requests that go wrong, 0 to 1, or by operation.
        faults: which faults are drawn, by operation, instead of the usual ones.
        size: bytes of a result; by default what :func:`content` makes.
        url_seconds: how long a signed URL is good.
        api_key: asked for by the server; ``None`` lets everybody in.
        clock: the time.
        ledger: one that goes on in a file.
    """

    def __init__(
        self,
        *,
        polls: int = 2,
        keeps_keys: bool = False,
        price: float | str = 1.0,
        keys: Keys = "none",
        duration: float | str | None = None,
        seed: int | str = 0,
        fault_rate: float | Mapping[str, float] = 0.0,
        faults: Mapping[str, Sequence[str]] | None = None,
        size: int | None = None,
        url_seconds: float = 3600.0,
        api_key: str | None = None,
        clock: Clock | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(
            polls=polls,
            keeps_keys=keeps_keys,
            price=price,
            keys=keys,
            duration=duration,
            size=size,
            url_seconds=url_seconds,
            api_key=api_key,
            clock=clock or SystemClock(),
            plan=Plan(seed, fault_rate, faults),
            ledger=ledger or Ledger(),
        )
        self.routes = Routes(self)
        self._refused_until = 0.0

    def script(self, item: str, *words: str) -> None:
        """Adds to the script of one item.

        Raises:
            UsageError: a word is no fault.
        """
        with self.lock:
            self.plan.script(item, *words)

    def script_next(self, *words: str) -> None:
        """Faults for the next requests, whichever item they are about.

        Raises:
            UsageError: a word is no fault.
        """
        with self.lock:
            self.plan.script_next(*words)

    # -- what check_client asks for ----------------------------------------------------------

    def submissions(self) -> int:
        """How many submissions it has seen."""
        return sum(self.ledger.submissions.values())

    def drop_next(self) -> None:
        """Accepts the next submission, and breaks the connection before it answers."""
        self.script_next("drop_after")

    def refuse_next(self) -> None:
        """Refuses the next submission."""
        self.script_next("reject")

    # -- what a client in this process calls -------------------------------------------------

    def submit(self, prompt: str, key: str) -> Handle:
        """Starts a job, or fails as the script says."""
        reply = self._ask(protocol.submit_request(prompt, key), submits=True)
        return protocol.accepted(reply, self.clock.time()).handle

    def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        reply = self._ask(protocol.poll_request(handle.id))
        return protocol.status_of(reply, self.clock.time())

    def fetch(self, output: Output) -> bytes:
        """Brings a result."""
        job = self.jobs.get(output.ref or "")
        if job is None:
            raise NotFoundError("no such result", code="404")
        path, _, query = self.sign(job).partition("?")
        reply = self._ask(Request(method="GET", path=path, query=dict(parse_qsl(query))))
        if reply.body is None:
            raise protocol.refused(reply, self.clock.time())
        return reply.body

    def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        reply = self._ask(protocol.cancel_request(handle.id))
        return protocol.canceled(reply, self.clock.time())

    def find(self, key: str) -> Handle | None:
        """Looks a submission up by its key."""
        return protocol.found(self._ask(protocol.find_request(key)), self.clock.time())

    def _ask(self, request: Request, *, submits: bool = False) -> Reply:
        """A request and its reply, with what a network would make of it."""
        if self.clock.monotonic() < self._refused_until:
            raise ConnectionRefusedError("nobody listens")
        if self.api_key is not None:
            headers = {**request.headers, "authorization": f"Bearer {self.api_key}"}
            request = attrs.evolve(request, headers=headers)
        reply = self.routes.answer(request)
        if reply.later is not None:
            reply = attrs.evolve(reply.later(), wire=Wire.HANG)
        if reply.refuse:
            self._refused_until = self.clock.monotonic() + reply.refuse
        if reply.sent is not None:
            reply.sent(reply.wire is Wire.WHOLE)
        if reply.wire is not Wire.WHOLE:
            raise _broken(reply, submits=submits)
        return reply


def _broken(reply: Reply, *, submits: bool) -> Exception:
    """What a caller sees when a reply does not arrive."""
    if reply.wire in (Wire.HANG, Wire.STALL):
        return TimeoutError("there was no answer in time")
    if not submits:
        return ConnectionResetError("the connection broke")
    when = "after" if reply.processed else "before"
    return OutcomeUnknownError(f"the connection broke {when} the request was sent")


class FakeClient:
    """A client of a :class:`FakeProvider`, with plain methods.

    Args:
        provider: where the ledger is.
        capabilities: by default paid work that is polled, on the scheduler's own thread.
        lookup: offer ``find``, when the provider keeps keys.
        before: called with the name of each operation first; it may raise.
    """

    def __init__(
        self,
        provider: FakeProvider,
        *,
        capabilities: Capabilities | None = None,
        lookup: bool = False,
        before: Callable[[str], object] | None = None,
    ) -> None:
        self.provider = provider
        self.capabilities = capabilities or Capabilities(inline=True, cancel="running")
        self._before = before or _nothing
        if lookup:
            self.find = self._find

    def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        self._before("submit")
        return Accepted(handle=self.provider.submit(protocol.prompt_of(job), job.submit_key))

    def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        self._before("poll")
        return self.provider.poll(handle)

    def fetch(self, job: Job, output: Output) -> bytes:
        """Brings a result."""
        self._before("fetch")
        return self.provider.fetch(output)

    def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        self._before("cancel")
        return self.provider.cancel(handle)

    def _find(self, job: Job, submit_key: str) -> Handle | None:
        self._before("find")
        return self.provider.find(submit_key)


class AsyncFakeClient:
    """The same with ``async`` methods."""

    def __init__(self, provider: FakeProvider, *, capabilities: Capabilities | None = None) -> None:
        self._sync = FakeClient(provider, capabilities=capabilities)
        self.provider, self.capabilities = provider, self._sync.capabilities

    async def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        return self._sync.submit(job)

    async def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        return self._sync.poll(handle)

    async def fetch(self, job: Job, output: Output) -> bytes:
        """Brings a result."""
        return self._sync.fetch(job, output)

    async def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        return self._sync.cancel(handle)


def _nothing(operation: str) -> None:
    """No fault."""


class Crash(CrashError):  # noqa: N818 - it is the death of a process, not an error
    """The death of the process, as an exception that nothing catches."""


class CrashAt:
    """A hook for ``BatchRunner(hook=...)`` that dies at one of the points it passes.

    Args:
        point: 1 for the first; 0 only counts.

    Attributes:
        passed: the names of the points that were passed, in order.
    """

    def __init__(self, point: int = 0) -> None:
        self.point = point
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.point:
            raise Crash(name)


def items(prompts: Iterable[str]) -> list[str]:
    """The item names of scripted prompts."""
    return [prompt.partition(" [")[0] for prompt in prompts]
