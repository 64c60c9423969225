"""How a run ended: never a success that was none."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import ExitCode, JobStatus, Progress, Summary
from batchkit._dispatch import AT_FIRST_ERROR
from batchkit.storage import Failures

_S = JobStatus
COUNTS = st.dictionaries(st.sampled_from(_S), st.integers(0, 5))


def summary(counts: dict[_S, int], **facts: object) -> Summary:
    progress = Progress(counts=counts, elapsed=1.25)
    return Summary(batch="b", progress=progress, **facts)  # type: ignore[arg-type]


CASES: list[tuple[dict[_S, int], dict[str, object], ExitCode]] = [
    ({}, {}, ExitCode.DONE),
    ({_S.COMPLETED: 2}, {}, ExitCode.DONE),
    ({_S.COMPLETED: 2, _S.CANCELED: 1}, {}, ExitCode.DONE),
    ({_S.COMPLETED: 2, _S.FAILED: 1}, {}, ExitCode.FAILED),
    ({_S.COMPLETED: 2, _S.EXPIRED: 1}, {}, ExitCode.FAILED),
    ({_S.COMPLETED: 2, _S.UNCERTAIN: 1}, {}, ExitCode.HELD),
    ({_S.PAUSED: 1}, {}, ExitCode.HELD),
    ({_S.PENDING: 1}, {"paused": "no credit"}, ExitCode.HELD),
    ({_S.PENDING: 1}, {"stopped": "Ctrl-C"}, ExitCode.INTERRUPTED),
    ({_S.PENDING: 1, _S.FAILED: 1}, {"stopped": "Ctrl-C"}, ExitCode.INTERRUPTED),
    ({_S.PENDING: 1, _S.FAILED: 1}, {"stopped": AT_FIRST_ERROR}, ExitCode.FAILED),
    ({_S.COMPLETED: 1}, {"stopped": "Ctrl-C"}, ExitCode.DONE),
    ({_S.COMPLETED: 1, _S.PENDING: 9}, {"limited": True}, ExitCode.DONE),
    ({_S.UNCERTAIN: 1, _S.PENDING: 9}, {"limited": True}, ExitCode.HELD),
    ({_S.FAILED: 1, _S.PENDING: 9}, {"limited": True}, ExitCode.FAILED),
    ({_S.COMPLETED: 1, _S.FAILED: 2}, {"earlier": 2}, ExitCode.DONE),
    ({_S.COMPLETED: 1, _S.FAILED: 2}, {"earlier": 1}, ExitCode.FAILED),
    ({_S.PENDING: 1, _S.FAILED: 2}, {"earlier": 2}, ExitCode.HELD),
    ({_S.UNCERTAIN: 1, _S.FAILED: 1}, {"earlier": 1}, ExitCode.HELD),
]


@pytest.mark.parametrize(("counts", "facts", "code"), CASES)
def test_exit_code(counts: dict[_S, int], facts: dict[str, object], code: ExitCode) -> None:
    found = summary(counts, **facts)
    assert found.exit_code is code
    assert found.ok is (code is ExitCode.DONE)


@given(COUNTS, st.sampled_from(["", "why"]), st.booleans())
def test_failures_are_never_a_success(counts: dict[_S, int], stopped: str, limited: bool) -> None:
    found = summary(counts, stopped=stopped, limited=limited)
    if counts.get(_S.FAILED) or counts.get(_S.EXPIRED):
        assert found.exit_code in (ExitCode.FAILED, ExitCode.INTERRUPTED)
        assert stopped or found.exit_code is ExitCode.FAILED
    if found.ok and not limited:
        ended = counts.get(_S.COMPLETED, 0) + counts.get(_S.CANCELED, 0)
        assert ended == sum(counts.values())
    for lang in ("pt", "en"):
        line = found.headline(lang)
        assert "\n" not in line
        assert all(f"{n} {s.label(lang)}" in line for s, n in counts.items() if n)


@pytest.mark.parametrize(
    ("counts", "facts", "words"),
    [
        ({}, {}, "Nothing to do"),
        ({_S.COMPLETED: 2}, {}, "All done: 2 Completed (1.2 s)"),
        ({_S.FAILED: 1, _S.COMPLETED: 2}, {}, "Finished with failures: 2 Completed, 1 Failed"),
        ({_S.PAUSED: 1}, {}, "Stopped: items wait for a decision: 1 Paused"),
        ({_S.PENDING: 1}, {"stopped": "x"}, "Interrupted: 1 Pending"),
        ({_S.COMPLETED: 1, _S.PENDING: 1}, {"limited": True}, "Sample done: 1 Completed, 1 Pend"),
        ({_S.COMPLETED: 1, _S.FAILED: 1}, {"earlier": 1}, "Done what was asked for: 1 Completed"),
    ],
)
def test_headline(counts: dict[_S, int], facts: dict[str, object], words: str) -> None:
    assert summary(counts, **facts).headline("en").startswith(words)


def test_shown_in_the_language_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHKIT_LANG", "pt")
    assert str(summary({_S.COMPLETED: 1})).startswith("Tudo concluído: 1 Concluído")


def test_html_shows_causes_and_hides_nothing_in_tags() -> None:
    causes = [Failures("network", "<b>busy & gone</b>", "wait", 2, 1)]
    causes.append(Failures("provider", "no", None, 1, 3))
    html = summary({_S.FAILED: 3}, failures=causes)._repr_html_()
    assert "<td>2</td><td>&lt;b&gt;busy &amp; gone&lt;/b&gt;</td><td>wait</td>" in html
    assert "<td>1</td><td>no</td><td></td>" in html


def test_html_without_failures_has_no_table() -> None:
    assert "<table" not in summary({_S.COMPLETED: 3})._repr_html_()


def test_local_work_is_shown_under_one_status() -> None:
    counts = {_S.SUBMITTING: 1, _S.PROCESSING: 2, _S.COLLECTING: 1, _S.COMPLETED: 3}
    assert Progress(counts=counts, local=True).by_label("en") == {"Completed": 3, "Processing": 4}
    assert Progress(counts=counts).by_label("pt")["Enviando"] == 1
    assert "Processando" in Progress(counts=counts, local=True)._repr_html_()


def test_exit_codes_are_a_promise() -> None:
    found = {code.name: int(code) for code in ExitCode}
    first = {"DONE": 0, "FAILED": 1, "USAGE": 2, "HELD": 3}
    assert found == {**first, "STORAGE": 4, "INTERRUPTED": 130}
