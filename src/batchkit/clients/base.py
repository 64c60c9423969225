"""The injected protocol: any object with the right methods is a client.

A client needs ``submit``; one that answers :class:`Accepted` needs ``poll`` as well. The other
methods are optional and found by presence. Each may be a plain or an ``async`` method.

========== ======================================================================================
method     meaning
========== ======================================================================================
submit     ``submit(job) -> Accepted | Finished``: the one call that may cost money. It must not
           retry by itself. ``job.submit_key`` is the key of this attempt alone: send it where the
           provider takes an idempotency key or a tag.
poll       ``poll(handle) -> RemoteStatus``: free, repeated, may fail without consequence.
prepare    ``prepare(job) -> Mapping``: free and repeatable work before the intent (uploads).
fetch      ``fetch(job, output) -> bytes | Iterable[bytes] | Path | Download``: brings one output,
           or says where it is and with which headers: then batchkit downloads it, and goes on
           where it broke off. Without this method, URLs are downloaded as they are.
cancel     ``cancel(handle) -> bool``: ``True`` when the provider confirms the end.
find       ``find(job, submit_key) -> Handle | None``: looks a submission up; ``None`` proves that
           it was not accepted.
estimate   ``estimate(job) -> float | None``: what a submission costs at most, in the provider's
           currency; ``None`` is unknown, not zero. Free.
check      ``check(request) -> None``: raises ``UsageError`` for what cannot work; before anything
           is paid.
close      called when the client was made by a factory.
========== ======================================================================================

``capabilities`` is a :class:`Capabilities`, as an attribute.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import attrs

from batchkit._jobs import Handle, Job, JobError
from batchkit._results import EMPTY, JobResult, Output, Transcript

log = logging.getLogger("batchkit.clients")


def as_statuses(values: Iterable[int]) -> frozenset[int]:
    """HTTP status codes, from any collection of them."""
    return frozenset(values)


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a client's provider does, as data.

    Attributes:
        repeat: ``"paid"`` never submits again what may have been accepted; ``"free"`` does.
        sync_result: ``submit`` itself does the work and returns the result; there is no job to
            look up, and each call keeps a thread busy.
        cancel: what ``cancel`` can end: nothing, queued jobs, or running ones too.
        idempotency: what the provider does with a submit key that it has seen: ``"replay"``
            returns the first answer, so that submitting again is safe; ``"none"`` ignores it.
        not_accepted: HTTP status codes with which the provider, as it documents, answers a
            submission that it did not accept, such as 503.
        find_after_seconds: how long after a submission was given up its absence from what ``find``
            sees proves that it was not accepted; the provider may still be at work on it.
        find_until_seconds: how long after a submission ``find`` still sees it; later its absence
            proves nothing, and the job stays uncertain. ``None``: the provider deletes no jobs.
        min_poll_seconds: never poll one job more often.
        result_ttl_seconds: how long the provider keeps a result, when its answers do not tell;
            what goes first is collected first.
        auth_on_download: results are behind the key, so that ``fetch`` has to bring them, or to
            return a :class:`~batchkit.Download` with the headers.
        local: the work is done on this machine; people see one status, Processing.
        inline: its methods return at once and may run on the scheduler's own thread.
        account: tells accounts apart on resume; never a secret.
        quota: the same for all clients that use the same key of a provider: runs of one process
            that share it share its rate limit too. Never the key itself.
    """

    repeat: Literal["paid", "free"] = "paid"
    sync_result: bool = False
    cancel: Literal["none", "queued", "running"] = "none"
    idempotency: Literal["none", "replay"] = "none"
    not_accepted: frozenset[int] = attrs.field(default=frozenset(), converter=as_statuses)
    find_after_seconds: float = 60.0
    find_until_seconds: float | None = None
    min_poll_seconds: float = 0.0
    result_ttl_seconds: float | None = None
    auth_on_download: bool = False
    local: bool = False
    inline: bool = False
    account: str = ""
    quota: str = attrs.field(default="", repr=False)


def _handle(value: Handle | str) -> Handle:
    return value if isinstance(value, Handle) else Handle(id=str(value))


def _outputs(values: Iterable[Output | str]) -> tuple[Output, ...]:
    return tuple(v if isinstance(v, Output) else Output(url=str(v)) for v in values)


def _number(value: Any) -> float:
    return float(value)


#: Providers send numbers as text, and money as Decimal; what is no number at all is the client's
#: own error, raised where it makes the answer.
_NUMBER: Any = attrs.field(default=None, converter=attrs.converters.optional(_number))


@attrs.frozen(kw_only=True)
class Accepted:
    """The provider took the job; ``handle`` finds it again.

    Attributes:
        handle: a :class:`~batchkit.Handle`; JSON, and sufficient in another process.
        poll_after: seconds the provider asks to wait before the first poll.
    """

    handle: Handle = attrs.field(converter=_handle)
    poll_after: float | None = _NUMBER


@attrs.frozen(kw_only=True)
class Finished:
    """The job is done already.

    Attributes:
        outputs: what it produced.
        text: what was said, or another text to keep in the record.
        value: any JSON value to keep in the record.
        cost: in the provider's currency; ``None`` when it does not say.
        raw: small facts worth keeping.
    """

    outputs: tuple[Output, ...] = attrs.field(default=(), converter=_outputs)
    text: str | None = None
    transcript: Transcript | None = None
    value: Any = None
    cost: float | None = _NUMBER
    raw: Mapping[str, Any] = EMPTY

    def result(self) -> JobResult:
        """As the record keeps it until it is collected."""
        text = self.text
        if text is None and self.transcript is not None:
            text = self.transcript.text
        return JobResult(
            outputs=self.outputs,
            text=text,
            transcript=self.transcript,
            value=self.value,
            raw=self.raw,
        )


class RemoteState(enum.StrEnum):
    """What a provider says of a job. A word that an adapter does not know is RUNNING."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


def _state(value: RemoteState | str) -> RemoteState:
    try:
        return RemoteState(value)
    except ValueError:
        log.warning("a provider says %r, which is taken for running", str(value)[:40])
        return RemoteState.RUNNING


@attrs.frozen(kw_only=True)
class RemoteStatus:
    """One answer to a status query.

    Attributes:
        state: the provider's word, translated.
        progress: 0 to 1.
        finished: the outputs, when SUCCEEDED.
        error: why, when FAILED.
        cost: when it is told.
        poll_after: seconds until the next query, when the provider says so.
        raw_state: the provider's own word, for the log.
    """

    state: RemoteState = attrs.field(converter=_state)
    progress: float | None = _NUMBER
    finished: Finished | None = None
    error: JobError | None = None
    cost: float | None = _NUMBER
    poll_after: float | None = _NUMBER
    raw_state: str = ""


@runtime_checkable
class VideoClient(Protocol):
    """The least that a client has; see the module for the optional methods."""

    def submit(self, job: Job) -> Any:
        """Starts the job at the provider: ``Accepted``, or ``Finished``, or an awaitable of one."""
        ...


@attrs.frozen
class Method:
    """A client's method and whether calling it gives an awaitable."""

    fn: Callable[..., Any]
    is_async: bool = False


@attrs.frozen(kw_only=True)
class BoundClient:
    """A client with its methods looked up once.

    Attributes:
        ref: which client this is: module, name and account; compared on resume.
        capabilities: what it declared.
        is_function: it is a plain function, whose exceptions mean failure.
        asyncio_only: its async methods cannot be awaited on trio.
    """

    ref: str
    capabilities: Capabilities
    submit: Method
    poll: Method | None = None
    prepare: Method | None = None
    fetch: Method | None = None
    cancel: Method | None = None
    find: Method | None = None
    estimate: Method | None = None
    check: Method | None = None
    is_function: bool = False
    asyncio_only: bool = False
    closers: tuple[Method, ...] = ()

    @property
    def is_async(self) -> bool:
        """Whether its work is awaited."""
        return self.submit.is_async

    @property
    def free(self) -> bool:
        """Whether repeating a submission costs nothing."""
        return self.capabilities.repeat == "free"
