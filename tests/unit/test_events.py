"""Events: one class for each kind, and the journal's lines as events again."""

from __future__ import annotations

import pytest

import batchkit
from batchkit import EVENT_KINDS, Event, GenerateVideo, Job, JobEvent, JobStatus
from batchkit._events import TERMINAL_EVENTS, BatchEvent, BatchFinished, JobCompleted, JobHeld
from batchkit._jobs import TERMINAL
from batchkit.storage import Entry
from batchkit.storage._journal import event_class, make_event

JOB = Job(id=7, batch_id=1, index=0, identity="x", request=GenerateVideo(prompt="x"))


@pytest.mark.parametrize("kind", sorted(EVENT_KINDS))
def test_kinds(kind: str) -> None:
    cls = EVENT_KINDS[kind]
    assert cls.kind == kind
    assert cls.__doc__
    assert issubclass(cls, (JobEvent, BatchEvent))
    assert getattr(batchkit, cls.__name__, None) is cls


def test_the_bases_have_no_kind() -> None:
    assert {Event.kind, JobEvent.kind, BatchEvent.kind} == {""}
    assert not {Event, JobEvent, BatchEvent} & set(EVENT_KINDS.values())


def test_every_end_has_an_event() -> None:
    assert {cls.kind for cls in TERMINAL_EVENTS} == {status.value for status in TERMINAL}


@pytest.mark.parametrize(
    "status", [s for s in JobStatus if s in TERMINAL or s.value in EVENT_KINDS]
)
def test_events_named_as_their_status(status: JobStatus) -> None:
    assert issubclass(EVENT_KINDS[status.value], JobEvent)


def test_lines_of_the_journal_are_events_again() -> None:
    line = Entry(JobCompleted.kind, 5.0, 7, 2, {"é": 1}, seq=9)
    cls = event_class(line)
    assert cls is JobCompleted
    event = make_event(cls, line, 1, JOB, 9)
    assert event == JobCompleted(at=5.0, batch_id=1, data={"é": 1}, job=JOB, attempt=2, seq=9)
    assert hash(event) == hash(event)


def test_lines_of_the_batch() -> None:
    event = make_event(BatchFinished, Entry(BatchFinished.kind, 5.0), 1, None, 3)
    assert event == BatchFinished(at=5.0, batch_id=1, seq=3)
    assert not isinstance(event, JobEvent)


def test_lines_of_a_newer_version_have_no_class() -> None:
    assert event_class(Entry("of-tomorrow", 5.0)) is None
    assert event_class(Entry(JobHeld.kind, 5.0)) is JobHeld
