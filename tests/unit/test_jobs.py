"""The table of transitions, exhaustively; records that are copied, compared and shown."""

from __future__ import annotations

import copy
import itertools
import pickle

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import (
    TRANSITIONS,
    Attempt,
    ErrorKind,
    GenerateVideo,
    Handle,
    InvalidTransitionError,
    Job,
    JobError,
    JobResult,
    JobStatus,
)
from batchkit._jobs import HELD, IN_FLIGHT, TERMINAL, count_by_status, submit_key

_S = JobStatus
#: What must never be possible: each would pay twice, or hide what was paid.
FORBIDDEN = {
    (_S.COLLECTING, _S.PENDING),
    (_S.COLLECTING, _S.SUBMITTING),
    (_S.COMPLETED, _S.PENDING),
    (_S.PENDING, _S.PROCESSING),
    (_S.PROCESSING, _S.SUBMITTING),
    (_S.UNCERTAIN, _S.SUBMITTING),
    (_S.FAILED, _S.SUBMITTING),
    (_S.PAUSED, _S.SUBMITTING),
}


def job(**fields: object) -> Job:
    facts: dict[str, object] = {"id": 7, "batch_id": 1, "index": 3, "identity": "x"}
    return Job(**{**facts, "request": GenerateVideo(prompt="um gato"), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("old", "new"), [*itertools.product(_S, _S)])
def test_transitions(old: _S, new: _S) -> None:
    before = job(status=old)
    if new in TRANSITIONS[old]:
        after = before.to(new, attempt=2)
        assert (after.status, after.attempt, after.id) == (new, 2, 7)
        assert (before.status, before.attempt) == (old, 0)
        return
    with pytest.raises(InvalidTransitionError, match=f"job 7 cannot go from {old} to {new}") as e:
        before.to(new)
    assert (e.value.job_id, e.value.old, e.value.new) == (7, old, new)


def test_what_must_never_happen() -> None:
    assert not {(old, new) for old in _S for new in TRANSITIONS[old]} & FORBIDDEN


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) == set(_S)
    assert all(status not in after for status, after in TRANSITIONS.items())


def test_every_status_is_reached() -> None:
    seen, new = {_S.PENDING}, {_S.PENDING}
    while new:
        new = {after for status in new for after in TRANSITIONS[status]} - seen
        seen |= new
    assert seen == set(_S)


def test_every_job_can_end() -> None:
    ends = set(TERMINAL)
    while more := {s for s, after in TRANSITIONS.items() if after & ends} - ends:
        ends |= more
    assert ends == set(_S)


def test_groups_of_statuses() -> None:
    assert TERMINAL | IN_FLIGHT | HELD | {_S.PENDING} == set(_S)
    assert len(TERMINAL) + len(IN_FLIGHT) + len(HELD) + 1 == len(_S)


@pytest.mark.parametrize("status", _S)
def test_done(status: _S) -> None:
    assert job(status=status).done == (status in TERMINAL)


def test_labels() -> None:
    assert _S.COLLECTING.label("pt") == "Baixando"
    assert _S.COLLECTING.label("en") == "Collecting"
    live = {status.label("pt", local=True) for status in IN_FLIGHT}
    assert live == {"Processando"}
    assert _S.UNCERTAIN.label("pt", local=True) == "Incerto"


def test_seconds() -> None:
    assert job(started=10.0, completed=12.5).seconds == 2.5
    assert job(started=10.0).seconds is None
    assert job(completed=10.0).seconds is None


def test_title_and_repr() -> None:
    assert job().title == "um gato"
    assert repr(job()) == "<Job 7 PENDING 'um gato'>"
    error = JobError(kind=ErrorKind.NETWORK, message="secret")
    assert repr(job(attempt=2, error=error)) == "<Job 7 PENDING 'um gato' attempt=2 error=network>"


def test_evolve_shares_nothing() -> None:
    before = job(handle=Handle(id="h"))
    after = before.evolve(attempt=1)
    assert (before.attempt, after.attempt) == (0, 1)
    assert after.handle is before.handle
    assert after.evolve(attempt=0) == before
    assert hash(after.evolve(attempt=0)) == hash(before)


RECORDS = (
    job(handle=Handle(id="h", data={"u": 1}), prepared={"a": 1}, result=JobResult(text="t")),
    job(handle=Handle(id="h"), result=JobResult()),
    JobError(kind=ErrorKind.PROVIDER, message="no"),
    Attempt(number=1, submit_key="u-0-1", started=1.0),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_go_to_other_processes(record: object) -> None:
    assert pickle.loads(pickle.dumps(record)) == record
    assert copy.deepcopy(record) == record


@given(st.lists(st.tuples(st.uuids(), st.integers(0, 99), st.integers(1, 9)), unique=True))
def test_submit_keys_are_never_the_same(places: list[tuple[object, int, int]]) -> None:
    keys = {submit_key(f"{uid}", index, attempt) for uid, index, attempt in places}
    assert len(keys) == len(places)


@given(st.lists(st.sampled_from(_S)))
def test_count_by_status(statuses: list[_S]) -> None:
    counts = count_by_status(job(status=status) for status in statuses)
    assert counts == {status: statuses.count(status) for status in set(statuses)}


def test_what_nobody_gave_is_an_empty_mapping() -> None:
    nothing = job().metadata
    assert (dict(nothing), len(nothing), repr(nothing), nothing.get("x")) == ({}, 0, "{}", None)
    assert nothing == {}
    with pytest.raises(KeyError):
        nothing["x"]
    with pytest.raises(TypeError):
        nothing["x"] = 1  # type: ignore[index]
