"""The conformance suite of clients: what :mod:`batchkit.clients.base` asks, on a fake server.

The author of a client brings a server that only pretends, and says how many submissions it saw:
that number decides whether a batch can pay twice.
"""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from batchkit._calls import Clock
from batchkit._codec import load_handle, plain_handle
from batchkit._errors import NotFoundError
from batchkit._jobs import Handle, Job, JobStatus, submit_key
from batchkit._requests import GenerateVideo, Request
from batchkit._results import Output
from batchkit._runner import BatchRunner
from batchkit._verdicts import Proof, judge
from batchkit.clients.base import (
    Accepted,
    BoundClient,
    Finished,
    Method,
    RemoteState,
    RemoteStatus,
)
from batchkit.clients.binding import bind_client
from batchkit.storage import MemoryStorage
from batchkit.testing._check_storage_base import require
from batchkit.testing._clock import FakeClock
from batchkit.testing._provider import Crash

_LIVE = (RemoteState.QUEUED, RemoteState.RUNNING)
_UNKNOWN = "batchkit-check-no-such-job"


def check_client(
    make_client: Callable[[], object],
    *,
    submissions: Callable[[], int],
    request: Request | None = None,
    drop_next: Callable[[], object] | None = None,
    refuse_next: Callable[[], object] | None = None,
    secrets: Sequence[str] = (),
    clock: Callable[[], Clock] = FakeClock,
) -> None:
    """Tests a client against everything that :mod:`batchkit.clients.base` says.

    The client is called directly, and by a :class:`~batchkit.BatchRunner` in memory. Its server
    should pretend: a suite submits about ten jobs.

    Args:
        make_client: makes a fresh client of the same server, as a restarted program would.
        submissions: how many submissions that server has seen so far, accepted or not.
        request: what to submit; by default a video of a cat.
        drop_next: makes the server accept the next submission, and break the connection before it
            answers. Without it nobody knows whether the client can pay twice.
        refuse_next: makes the server refuse the next submission for certain.
        secrets: keys and tokens that must appear in no ``repr``, handle, error or log.
        clock: makes the time of the runner; the default waits for nothing. A server that needs real
            time to finish a job needs a real clock.

    Raises:
        AssertionError: the rules that the client breaks, one a line, each with its remedy.
    """
    with ExitStack() as stack:
        records = stack.enter_context(_log_records())
        bench = _Bench(
            make_client,
            submissions,
            request or GenerateVideo(prompt="a cat"),
            drop_next,
            refuse_next,
            tuple(secrets),
            clock,
            stack.enter_context(start_blocking_portal("asyncio")),
            records,
        )
        stack.callback(bench.close)
        # Without this one nothing else can be tried.
        broken = [fault] if (fault := _fault(_submit, bench)) else []
        if not broken:
            broken = [fault for rule in RULES if (fault := _fault(rule, bench))]
    if broken:
        raise AssertionError("\n".join(broken))


@attrs.define(eq=False)
class _Bench:
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


Rule = Callable[[_Bench], None]


def _fault(rule: Rule, bench: _Bench) -> str:
    try:
        rule(bench)
    except Exception as exc:  # noqa: BLE001 - whatever a client raises breaks the rule
        named = "" if type(exc) is AssertionError else f"{type(exc).__name__}: "
        return f"{rule.__doc__}: {named}{exc}"
    return ""


@contextmanager
def _log_records() -> Iterator[list[str]]:
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


# -- submit --------------------------------------------------------------------------------------


def _submit(bench: _Bench) -> None:
    """submit: answers Accepted or Finished, and sends one submission"""
    client = bench.client()
    before = bench.submissions()
    answer = bench.call(client.submit, bench.job(client))
    require(
        isinstance(answer, (Accepted, Finished)),
        f"it returned {type(answer).__name__}: return batchkit.Accepted(handle=...) when the "
        "provider took the job, batchkit.Finished(...) when it is done",
    )
    _one_submission(bench, before, "one call of submit")


def _one_submission(bench: _Bench, before: int, what: str) -> None:
    sent = bench.submissions() - before
    require(sent > 0, f"{what} was not seen by the server: let submissions() count the requests")
    require(
        sent == 1,
        f"{what} became {sent} submissions, and each may be billed: something retries behind "
        "batchkit's back; switch the retries of the HTTP library or SDK off (max_retries=0)",
    )


def _drop(bench: _Bench) -> None:
    """submit, when the connection breaks after acceptance: is sent once, and claims nothing"""
    if bench.drop_next is None:
        return
    client = bench.client()
    job, before = bench.job(client), bench.submissions()
    bench.drop_next()
    proof = _proof_of(bench, client, job)
    _one_submission(bench, before, "a submission whose connection broke")
    require(
        client.free or client.is_function or proof in (None, Proof.NOTHING),
        "it raised an error which proves that nothing was started, but the job runs and would be "
        "paid for twice: raise batchkit.OutcomeUnknownError, or let the exception pass",
    )


def _proof_of(bench: _Bench, client: BoundClient, job: Job) -> Proof | None:
    """What a failing submission proves; ``None`` when it answered."""
    try:
        bench.call(client.submit, job)
    except Exception as exc:  # noqa: BLE001 - a client may raise anything
        bench.shown.append(("an error of submit", f"{exc!r} {exc}"))
        return judge(exc, is_function=client.is_function).proof
    return None


def _refuse(bench: _Bench) -> None:
    """submit, when it is refused: raises an error which proves that nothing was started"""
    if bench.refuse_next is None:
        return
    client = bench.client()
    job, before = bench.job(client), bench.submissions()
    bench.refuse_next()
    proof = _proof_of(bench, client, job)
    require(proof is not None, "it answered as if it had been accepted: raise what the server said")
    require(
        client.free or proof is not Proof.NOTHING,
        "its error leaves open whether the job runs, so that a person has to decide: raise "
        "RejectedError, NotAcceptedError, RateLimitedError or AuthenticationError",
    )
    if bench.submissions() > before:
        _one_submission(bench, before, "a submission that was refused")


# -- handles and poll ----------------------------------------------------------------------------


def _handle(bench: _Bench) -> None:
    """handle: is JSON, and sufficient for a fresh client in another process"""
    found = bench.accepted(bench.client())
    if found is None:
        return
    handle: object = found[1]
    if not isinstance(handle, Handle) or not handle.id:
        raise AssertionError(f"it is {handle!r}: make it a batchkit.Handle(id=...) with an id")
    try:
        again = load_handle(json.loads(json.dumps(plain_handle(handle))))
    except TypeError as exc:
        raise AssertionError(f"its data cannot be stored ({exc}): keep only JSON values") from exc
    require(again == handle, "its data changes when it is stored: keep only JSON values in it")
    fresh = bench.client()
    try:
        _status(bench, fresh, again)
    except NotFoundError as exc:
        raise AssertionError(
            f"a fresh client does not find the job by it ({exc}): put everything that poll needs "
            "into Handle.id and Handle.data, and keep nothing in the client"
        ) from exc


def _status(bench: _Bench, client: BoundClient, handle: Handle) -> RemoteStatus:
    require(client.poll is not None, "submit answered Accepted: give the client a poll(handle)")
    assert client.poll is not None
    answer = bench.call(client.poll, handle)
    require(
        isinstance(answer, RemoteStatus),
        f"poll returned {type(answer).__name__}: return batchkit.RemoteStatus(state=...)",
    )
    assert isinstance(answer, RemoteStatus)
    return answer


def _poll(bench: _Bench) -> None:
    """poll: answers RemoteStatus, and asking again changes nothing"""
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    before = bench.submissions()
    states = [_status(bench, client, found[1]).state for _ in range(5)]
    require(bench.submissions() == before, "it submits: polling has to be free")
    ends = [state for state in states if state not in _LIVE]
    require(
        ends == states[len(states) - len(ends) :] and len(set(ends)) < 2,
        f"a job that had ended became another ({', '.join(states)}): an end is final",
    )


def _unknown(bench: _Bench) -> None:
    """poll of an unknown handle: raises NotFoundError, or answers a status"""
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    try:
        _status(bench, client, attrs.evolve(found[1], id=_UNKNOWN))
    except NotFoundError:
        return
    except AssertionError:
        raise
    except Exception as exc:
        raise AssertionError(
            f"it raised {type(exc).__name__}: raise batchkit.NotFoundError when the provider says "
            "that it does not know the job"
        ) from exc


# -- capabilities --------------------------------------------------------------------------------


def _sync_result(bench: _Bench) -> None:
    """capabilities.sync_result: is told truly"""
    client = bench.client()
    accepted = bench.accepted(client) is not None
    require(
        not (client.capabilities.sync_result and accepted),
        "it is declared, but submit answers Accepted: leave it out, so that jobs are polled",
    )


def _cancel(bench: _Bench) -> None:
    """capabilities.cancel: has a method that says whether the provider confirmed"""
    client = bench.client()
    if client.capabilities.cancel == "none":
        return
    require(client.cancel is not None, "it is declared: give the client a cancel(handle) method")
    found = bench.accepted(client)
    if found is None or client.cancel is None:
        return
    answer = bench.call(client.cancel, found[1])
    require(
        isinstance(answer, bool),
        f"cancel returned {type(answer).__name__}: return True only when the provider confirms",
    )


def _find(bench: _Bench) -> None:
    """find: finds its own submission by its key, and None for a key that was never sent"""
    client = bench.client()
    found = bench.accepted(client)
    if client.find is None or found is None:
        return
    job, handle = found
    known = bench.call(client.find, job, job.submit_key)
    require(
        isinstance(known, Handle) and known.id == handle.id,
        f"it answered {known!r} for a submission with the handle {handle.id!r}: None is taken as "
        "proof that nothing was accepted, and the job would be paid for twice",
    )
    other = bench.job(client)
    unknown = bench.call(client.find, other, other.submit_key)
    require(unknown is None, f"it answered {unknown!r} for a key that was never sent: answer None")


def _replay(bench: _Bench) -> None:
    """capabilities.idempotency: the same key again answers with the same job"""
    client = bench.client()
    if client.capabilities.idempotency != "replay":
        return
    found = bench.accepted(client)
    if found is None:
        return
    answer = bench.call(client.submit, found[0])
    require(
        isinstance(answer, Accepted) and answer.handle.id == found[1].id,
        "replay is declared, but the same key started another job: send job.submit_key as the "
        'idempotency key, or declare idempotency="none"',
    )


# -- through a runner ----------------------------------------------------------------------------


def _run(bench: _Bench) -> None:
    """BatchRunner: a job is submitted once, completed, and its outputs can be fetched"""
    client, before = bench.client(), bench.submissions()
    runner = bench.runner(MemoryStorage(), client)
    job = runner.add(bench.request)
    runner.run()
    done = runner.job(job)
    require(
        done.status is JobStatus.COMPLETED,
        f"the job ended {done.status} ({done.error and done.error.message}): let the server finish "
        "it, and poll answer RemoteState.SUCCEEDED",
    )
    _one_submission(bench, before, "one job of a batch")
    assert done.result is not None
    for output in done.result.outputs:
        if output.ref or output.url:
            _fetch(bench, client, done, output)


def _fetch(bench: _Bench, client: BoundClient, job: Job, output: Output) -> None:
    if client.fetch is None:
        require(output.ref is None, "an output has a ref: give the client a fetch(job, output)")
        return
    data = bench.call(client.fetch, job, output)
    if isinstance(data, (bytes, Path)):
        return
    pieces = isinstance(data, Iterable) and not isinstance(data, str)
    require(
        pieces and all(isinstance(piece, bytes) for piece in data),
        f"fetch returned {type(data).__name__}: return bytes, a Path, or pieces of bytes",
    )


def _restart(bench: _Bench) -> None:
    """BatchRunner: a program that died after acceptance goes on without another submission"""
    client, storage, before = bench.client(), MemoryStorage(), bench.submissions()
    if client.poll is None or client.capabilities.sync_result:
        return
    runner = bench.runner(storage, client)
    runner.hook = _die
    runner.add(bench.request)
    try:
        runner.run()
    except Crash:
        runner = bench.runner(storage, client)
    require(runner.run().ok, "the job was not completed by the next run")
    _one_submission(bench, before, "a job whose program died")


def _die(point: str) -> None:
    if point == "poll:before":
        raise Crash(point)


def _run_dropped(bench: _Bench) -> None:
    """BatchRunner: a job whose connection broke after acceptance is not paid for twice"""
    client = bench.client()
    replays = client.capabilities.idempotency == "replay"
    if bench.drop_next is None or client.free or client.is_function or replays:
        return
    before = bench.submissions()
    runner = bench.runner(MemoryStorage(), client)
    runner.add(bench.request)
    bench.drop_next()
    runner.run()
    _one_submission(bench, before, "a job whose connection broke")


def _secrets(bench: _Bench) -> None:
    """secrets: appear in no repr, handle, error or log record"""
    shown = [*bench.shown, *(("the log", line) for line in bench.records)]
    where = sorted({place for place, text in shown for secret in bench.secrets if secret in text})
    require(
        not where,
        f"a secret is shown by {', '.join(where)}: keep it out of URLs and handles, and give the "
        "client a repr without it",
    )


#: In the order in which they are tried; the last one looks at what the others made visible.
RULES: tuple[Rule, ...] = (
    _drop,
    _refuse,
    _handle,
    _poll,
    _unknown,
    _sync_result,
    _cancel,
    _find,
    _replay,
    _run,
    _restart,
    _run_dropped,
    _secrets,
)
