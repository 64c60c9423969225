"""What each fault makes of a reply."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping

import attrs

from batchkit._calls import Clock
from batchkit._results import EMPTY
from batchkit.testing._faults import Word
from batchkit.testing._messages import NOT_JSON, Reply, Wire, refusal

#: Seconds, where a script says nothing else.
LATE = 5.0
REFUSE = 0.2
_WIRES = {
    "reset": Wire.RESET,
    "reset_after": Wire.RESET,
    "drop_before": Wire.RESET,
    "drop_after": Wire.RESET,
    "hang": Wire.HANG,
    "hang_after": Wire.HANG,
    "cut": Wire.CUT,
    "stall": Wire.STALL,
    "noise": Wire.NOISE,
}
_MESSAGES = {429: "too many requests", 404: "no such job", 410: "the result has been deleted"}


def misbehave(word: Word, process: Callable[[], Reply], clock: Clock) -> Reply:
    """The reply that a fault gives instead of the true one.

    Args:
        word: the fault.
        process: does what was asked, and says what a good provider would answer.
        clock: the time, for headers that hold a date.
    """
    if not word.fault.processed:
        return _unprocessed(word, clock)
    if word.name == "late":
        return Reply(wait=word.number(LATE), later=process)
    return _spoiled(word, process(), clock)


def _unprocessed(word: Word, clock: Clock) -> Reply:
    name, status = word.name, word.fault.status
    if name in _WIRES:
        return Reply(wire=_WIRES[name], processed=False)
    if name == "blind":
        return Reply(data={"jobs": [], "more": False})
    if name == "reject":
        return refusal(status, "the prompt is not allowed", "moderation")
    if name == "busy":
        headers = _retry_after(word, clock)
        return refusal(status, "the service is busy", headers=headers, accepted=False)
    if name == "limit":
        return refusal(status, _MESSAGES[status], headers={"Retry-After": "2"})
    return _status(word, clock)


def _status(word: Word, clock: Clock) -> Reply:
    status = word.fault.status
    message = _MESSAGES.get(status, f"the server answers {status}")
    return refusal(status, message, headers=_retry_after(word, clock))


def _spoiled(word: Word, reply: Reply, clock: Clock) -> Reply:
    name = word.name
    if name in _WIRES:
        return attrs.evolve(reply, wire=_WIRES[name])
    if name == "refuse":
        return attrs.evolve(reply, refuse=word.number(REFUSE))
    if word.fault.status:
        return attrs.evolve(_status(word, clock), processed=True)
    if name == "garbage":
        return attrs.evolve(reply, status=200, data=NOT_JSON)
    if name == "wrong_json":
        return attrs.evolve(reply, status=200, data=["what", {"is": "this?"}])
    if name == "no_id":
        return attrs.evolve(reply, status=200, data={"state": "queued"})
    if name == "corrupt" and reply.body:
        middle = len(reply.body) // 2
        other = bytes([reply.body[middle] ^ 1])
        body = reply.body[:middle] + other + reply.body[middle + 1 :]
        return attrs.evolve(reply, body=body)
    # What is left was heeded where the file was chosen.
    return reply


def _retry_after(word: Word, clock: Clock) -> Mapping[str, str]:
    """The three ways in which providers write it: see :func:`batchkit.parse_retry_after`."""
    if word.arg == "date":
        return {"Retry-After": email.utils.formatdate(clock.time() + 1.5, usegmt=True)}
    if word.arg == "ms":
        return {"retry-after-ms": "50"}
    return {"Retry-After": word.arg} if word.arg not in ("", "none") else EMPTY
