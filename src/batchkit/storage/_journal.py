"""Reads attempts and evidence out of journal lines; the same for every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from batchkit._codec import load_handle
from batchkit._events import (
    EVENT_KINDS,
    Event,
    JobEvent,
    JobResubmitted,
    JobRetrying,
    JobSubmitted,
    JobSubmitting,
)
from batchkit._jobs import Attempt, Handle, Job, submit_key
from batchkit.storage.base import Change, Entry


def handle_from(entries: Iterable[Entry], attempt: int) -> Handle | None:
    """The handle that the provider gave for one attempt, if it ever reached us."""
    found = None
    for entry in entries:
        if entry.kind == JobSubmitted.kind and entry.attempt == attempt and entry.data:
            found = load_handle(entry.data["handle"])
    return found


def handles_in(changes: Iterable[Change]) -> list[Entry]:
    """The lines of *changes* that hold a handle."""
    entries = [entry for change in changes for entry in change.entries]
    return [entry for entry in entries if entry.kind == JobSubmitted.kind and entry.data]


def missing(handles: Iterable[Entry], known: Callable[[int], Iterable[Entry]]) -> list[Entry]:
    """Those of *handles* that the journal does not have.

    Args:
        handles: lines that hold a handle.
        known: the lines of a job, by its id, that hold a handle.
    """
    return [
        entry
        for entry in handles
        if (entry.attempt, entry.data) not in [(e.attempt, e.data) for e in known(entry.job_id)]
    ]


def attempts_from(entries: Iterable[Entry], uid: str, index: int) -> list[Attempt]:
    """Every submission of one job, from its journal lines in order."""
    grouped: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry.attempt and (grouped.get(entry.attempt) or entry.kind == JobSubmitting.kind):
            grouped.setdefault(entry.attempt, []).append(entry)
    return [_attempt(number, lines, uid, index) for number, lines in sorted(grouped.items())]


#: What an event that belongs to the next attempt says of the last one.
_OUTCOMES = {JobRetrying.kind: "failed", JobResubmitted.kind: "uncertain"}


def _attempt(number: int, lines: list[Entry], uid: str, index: int) -> Attempt:
    last = lines[-1]
    ended = last.kind not in (JobSubmitting.kind, JobSubmitted.kind)
    outcome = _OUTCOMES.get(last.kind, last.kind)
    return Attempt(
        number=number,
        submit_key=submit_key(uid, index, number),
        started=lines[0].at,
        handle=handle_from(lines, number),
        outcome=outcome if ended else None,
        ended=last.at if ended else None,
    )


def make_event(cls: type[Event], entry: Entry, batch_id: int, job: Job | None, seq: int) -> Event:
    """The event that a journal line stands for."""
    data = entry.data or {}
    if issubclass(cls, JobEvent):
        assert job is not None
        return cls(
            seq=seq, at=entry.at, batch_id=batch_id, data=data, job=job, attempt=entry.attempt
        )
    return cls(seq=seq, at=entry.at, batch_id=batch_id, data=data)


def event_class(entry: Entry) -> type[Event] | None:
    """The class of a journal line; ``None`` for a kind that a newer version wrote."""
    return EVENT_KINDS.get(entry.kind)
