"""The faults of the fake provider, by name: what each one does, and to which operation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from batchkit._errors import UsageError

#: What a client asks of a provider; ``replay`` is a submission whose key was seen before.
REQUESTS = ("submit", "replay", "poll", "list", "find", "cancel", "fetch", "prepare")
#: Everything that a fault can be scripted for.
OPERATIONS = (*REQUESTS, "webhook")

_SUBMITS = ("submit", "replay")
_JSON = tuple(name for name in REQUESTS if name != "fetch")


@attrs.frozen
class Fault:
    """One way to misbehave.

    Attributes:
        name: what a script calls it.
        meaning: what happens, for people.
        operations: what it can happen to; empty for what happens to a whole job.
        processed: whether the request has its effect all the same.
        status: of the HTTP answer, for faults that are one.
    """

    name: str
    meaning: str
    operations: tuple[str, ...] = ()
    processed: bool = False
    status: int = 0

    @property
    def of_job(self) -> bool:
        """Whether it is decided at acceptance, for the whole life of the job."""
        return not self.operations


def _statuses() -> Iterator[Fault]:
    for status in (401, 402, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504):
        yield Fault(str(status), f"answers {status}, and does nothing", REQUESTS, status=status)
    for status in (408, 409, 500, 502, 503, 504):
        does = f"answers {status}, but has done what was asked"
        yield Fault(f"{status}_after", does, _JSON, True, status)


_LIST = (
    # the connection
    Fault("reset", "the connection breaks before the request is looked at", REQUESTS),
    Fault("reset_after", "does what was asked, then the connection breaks", REQUESTS, True),
    Fault("drop_before", "another name of reset", REQUESTS),
    Fault("drop_after", "another name of reset_after", REQUESTS, True),
    Fault("hang", "accepts the connection and never answers", REQUESTS),
    Fault("hang_after", "does what was asked, and never answers", REQUESTS, True),
    Fault("late", "does what was asked and answers, but seconds later", REQUESTS, True),
    Fault("refuse", "answers; then refuses connections for a while", REQUESTS, True),
    Fault("cut", "the answer breaks off in its middle", REQUESTS, True),
    Fault("noise", "does what was asked, and answers bytes that are not HTTP", REQUESTS, True),
    # the answer
    *_statuses(),
    Fault("garbage", "does what was asked, and answers 200 with no JSON", _JSON, True),
    Fault("wrong_json", "does what was asked, and answers 200 with other JSON", _JSON, True),
    Fault("no_id", "accepts, and answers 200 without an id", _SUBMITS, True),
    # what the provider documents of submissions
    Fault("reject", "refuses for good: 422", _SUBMITS, status=422),
    Fault("busy", "proves that it did not accept: 503 with accepted: false", _SUBMITS, status=503),
    Fault("limit", "asks everybody to slow down: 429 with Retry-After: 2", _SUBMITS, status=429),
    Fault("confused", "says a word that nobody knows", ("poll",), True),
    Fault("blind", "breaks its word: says that it has no job with this tag", ("find",)),
    # files
    Fault("410", "the file has been deleted", ("fetch",), status=410),
    Fault("corrupt", "one byte is another", ("fetch",), True),
    Fault("stall", "half of the file, then nothing", ("fetch",), True),
    Fault("no_range", "ignores Range and sends the whole file", ("fetch",), True),
    Fault("new_etag", "the file has another ETag from now on", ("fetch",), True),
    # webhooks
    Fault("late", "comes seconds after the end", ("webhook",)),
    Fault("twice", "comes twice", ("webhook",)),
    Fault("forged", "a forged one comes at once, the true one at the end", ("webhook",)),
    Fault("missing", "never comes", ("webhook",)),
    # jobs
    Fault("ok", "nothing goes wrong"),
    Fault("slow", "takes ten times as long"),
    Fault("fail", "accepted, then fails; repeating does not help"),
    Fault("flaky", "accepted, then fails; repeating may help"),
    Fault("blips", "status queries break three times in a row"),
    Fault("unknown", "says a word that nobody knows, then succeeds"),
    Fault("flap", "says queued, running and unknown words in turn, then succeeds"),
    Fault("backwards", "its progress goes back, then it succeeds"),
    Fault("empty", "succeeds without an output"),
    Fault("expire", "succeeds, but the result is gone"),
    Fault("unseen", "is not known for two status queries"),
    Fault("lost", "accepted, then the provider no longer knows it"),
)  # fmt: skip

_BY_OPERATION: Mapping[str, Mapping[str, Fault]] = {
    operation: {f.name: f for f in _LIST if operation in f.operations} for operation in OPERATIONS
} | {"job": {f.name: f for f in _LIST if f.of_job}}

#: Every fault by name; where two operations share a name, what it does to a request.
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in reversed(_LIST)}
#: What a word of a prompt's script can be: it makes something of one submission.
SCRIPTS: tuple[str, ...] = tuple(
    dict.fromkeys(f.name for f in _LIST if f.of_job or "submit" in f.operations)
)


_WAITS = "429:1 429:date 429:ms 429:none"
_ANSWERS = f"reset reset_after 408 425 {_WAITS} 500 502 503 504 garbage wrong_json cut noise refuse"
_DRAWN = {
    "submit": f"{_ANSWERS} 409 408_after 409_after 500_after 502_after 503_after 504_after "
    "hang hang_after late no_id reject busy busy",
    "poll": f"{_ANSWERS} 404 hang late",
    "list": _ANSWERS,
    "find": _ANSWERS,
    "cancel": f"{_ANSWERS} 500_after",
    "prepare": f"{_ANSWERS} 500_after",
    "fetch": f"reset cut corrupt stall no_range new_etag {_WAITS} 500 502 503 504",
    "webhook": "late:0.5 twice forged missing",
    "job": "slow fail flaky flaky blips unknown flap backwards empty expire unseen",
}
#: What is drawn when a fault rate is given and no list. The provider keeps its documented word
#: here; 401, ``lost`` and ``blind`` have to be asked for.
SEEDED: Mapping[str, Sequence[str]] = {name: words.split() for name, words in _DRAWN.items()}


@attrs.frozen
class Word:
    """A fault as a script writes it: ``429``, ``429:date``, ``late:0.5``.

    Attributes:
        fault: which.
        arg: what stands after the colon.
    """

    fault: Fault
    arg: str = ""

    @property
    def name(self) -> str:
        """Of the fault."""
        return self.fault.name

    def number(self, default: float) -> float:
        """The argument as a number."""
        try:
            return float(self.arg)
        except ValueError:
            return default


#: Nothing goes wrong.
OK = Word(FAULTS["ok"])


def read_word(written: str) -> Sequence[tuple[str, Word]]:
    """What one word of a script asks for, as operation and fault; nothing when nobody knows it.

    ``poll:503*3`` is the fault ``503`` for three status queries. Without an operation it is for
    the submission.
    """
    found = re.fullmatch(r"([a-z]+:)?(\w+)(:[\w.]+)?(\*\d+)?", written)
    if found is None:
        return ()
    operation, name, arg, times = (part or "" for part in found.groups())
    operation, arg = operation.rstrip(":"), arg.lstrip(":")
    if operation and operation not in OPERATIONS:
        # "late:5" has an argument and no operation.
        operation, name, arg = "", operation, name
    operation = operation or "submit"
    fault = _known(operation, name)
    return () if fault is None else [(operation, Word(fault, arg))] * int(times.lstrip("*") or 1)


def _known(operation: str, name: str) -> Fault | None:
    jobs = _BY_OPERATION["job"] if operation == "submit" else {}
    return _BY_OPERATION[operation].get(name) or jobs.get(name)


def knows(operation: str, name: str) -> bool:
    """Whether an operation has such a fault."""
    return name in _BY_OPERATION[operation]


def drawn_word(operation: str, written: str) -> Word:
    """A word of a list that is drawn from.

    Raises:
        UsageError: this operation has no such fault.
    """
    name, _, arg = written.partition(":")
    fault = _BY_OPERATION[operation].get(name)
    if fault is None:
        names = ", ".join(_BY_OPERATION[operation])
        raise UsageError(f"{operation} has no fault {name!r}: choose from {names}")
    return Word(fault, arg)
