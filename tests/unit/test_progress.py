"""How far a batch is, and what nobody can know yet."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import JobStatus, Progress
from batchkit._jobs import HELD, TERMINAL

_S = JobStatus
COUNTS = st.dictionaries(st.sampled_from(_S), st.integers(0, 500))


@given(COUNTS)
def test_numbers(counts: dict[_S, int]) -> None:
    progress = Progress(counts=counts)
    assert progress.total == sum(counts.values())
    assert progress.done == sum(counts.get(status, 0) for status in TERMINAL)
    assert progress.held == sum(counts.get(status, 0) for status in HELD)
    assert progress.completed == counts.get(_S.COMPLETED, 0)
    assert progress.failed == counts.get(_S.FAILED, 0) + counts.get(_S.EXPIRED, 0)
    assert 0 <= progress.percentage <= 100
    assert (progress.percentage == 100) == (progress.done == progress.total)


@given(COUNTS, st.integers(3, 10_000), st.floats(0.001, 1e6))
def test_remaining_is_a_range(counts: dict[_S, int], finished: int, elapsed: float) -> None:
    found = Progress(counts=counts, finished=finished, elapsed=elapsed).remaining
    assert found is not None
    progress = Progress(counts=counts)
    left = progress.total - progress.done - progress.held
    assert 0 <= found[0] <= left * elapsed / finished <= found[1] + 1e-9


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_nobody_knows_after_two_jobs(finished: int) -> None:
    assert Progress(counts={_S.PENDING: 9}, finished=finished, elapsed=60.0).remaining is None


def test_nobody_knows_while_paused_or_at_once() -> None:
    facts = {_S.PENDING: 9}
    assert Progress(counts=facts, finished=9, elapsed=60.0, paused=True).remaining is None
    assert Progress(counts=facts, finished=9).remaining is None


def test_the_range_narrows() -> None:
    def width(finished: int) -> float:
        found = Progress(counts={_S.PENDING: 9}, finished=finished, elapsed=finished).remaining
        assert found is not None
        return found[1] - found[0]

    assert width(3) > width(10) > width(1000)


def test_throughput() -> None:
    assert Progress(counts={}, finished=6, elapsed=3.0).throughput == 2.0
    assert Progress(counts={}, finished=6).throughput == 0.0


def test_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHKIT_LANG", "en")
    progress = Progress(counts={_S.COMPLETED: 1, _S.FAILED: 1, _S.PENDING: 2, _S.PAUSED: 0})
    assert str(progress) == "50 % (2/4, 1 failed)"
    assert dict(progress.__rich_repr__()) == {"percentage": 50.0, "counts": progress.counts}
    html = progress._repr_html_()
    assert "<td>Completed</td><td style='text-align:right'>1</td>" in html
    assert "Paused" not in html
    assert "elapsed" in html


def test_an_empty_batch() -> None:
    assert Progress(counts={}).percentage == 100.0
