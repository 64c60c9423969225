"""The summary at the end: it says what was done, what failed, and what to do next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from terminal_kit import CAUSE, S, Tty, free, progress

from batchkit import BatchRunner, Summary
from batchkit.storage import Failures, MemoryStorage
from batchkit.ui.terminal import print_summary


def said(summary: Summary, runner: BatchRunner | None = None, lang: str = "en") -> list[str]:
    stream = io.StringIO()
    print_summary(summary, runner, lang=lang, file=stream)
    return stream.getvalue().splitlines()


def ended(**fields: Any) -> Summary:
    counts = {name: fields.pop(name) for name in list(fields) if name in set(S)}
    defaults = {"batch": "films", "progress": progress(**counts), "location": "batchkit.db"}
    return Summary(**{**defaults, **fields})


def test_all_done_is_said_so() -> None:
    assert said(ended(completed=3)) == [
        "All done (batch films): 3 of 3 jobs completed in 10 s",
        "  Completed       3",
    ]


def test_a_partly_failed_batch_is_no_success() -> None:
    headline, *lines = said(ended(completed=97, failed=2, expired=1, failures=[CAUSE]))
    assert headline == "Finished with failures (batch films): 97 of 100 jobs completed in 10 s"
    assert "  2 × no credit [2J" in lines
    assert "      remedy: pay the bill" in lines
    assert lines[-2:] == [
        "Try the failed ones again: batchkit retry-failed --name films",
        "Give up on the failed ones: batchkit cancel --status failed --status expired --name films",
    ]


def test_portuguese_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHKIT_LANG", raising=False)
    stream = io.StringIO()
    print_summary(ended(completed=1, failed=1), file=stream)
    assert stream.getvalue().startswith("Terminou com erros (lote films): 1 de 2 itens")


def test_an_interrupted_batch_says_how_to_go_on() -> None:
    lines = said(ended(completed=1, pending=2, stopped="interrupted", location="/x y/b.db"))
    assert lines[0].startswith("Interrupted (batch films): 1 of 3")
    assert lines[-1] == "Go on: batchkit resume --storage '/x y/b.db' --name films"


def test_an_interrupted_batch_with_failures_is_called_both() -> None:
    lines = said(ended(completed=1, failed=1, pending=2, stopped="interrupted"))
    assert lines[0].startswith("Interrupted, with failures (batch films): 1 of 4")


def test_a_sample_is_done_and_the_batch_is_not() -> None:
    lines = said(ended(completed=1, pending=2, limited=True))
    assert lines[0].startswith("Sample done (batch films): 1 of 3")
    assert lines[-1].startswith("Go on: batchkit resume")


def test_what_nobody_runs_is_no_case_for_a_decision() -> None:
    assert said(ended(completed=1, pending=2))[0].startswith("Partly done: jobs are still queued")


def test_why_a_batch_is_paused_and_stopped() -> None:
    counts = progress(completed=1, paused=2)
    lines = said(Summary(batch="films", progress=counts, paused="no credit", location="b.db"))
    assert lines[0].startswith("Paused (batch films)")
    assert "Paused: no credit" in lines
    lines = said(ended(failed=1, pending=1, stopped="stopped at the first error"))
    assert "Cause: stopped at the first failure" in lines
    assert "Cause: disk" in said(ended(failed=1, pending=1, stopped="disk"))


def test_uncertain_held_and_callback_errors_are_told() -> None:
    lines = said(
        Summary(
            batch="films",
            progress=progress(completed=1, uncertain=1, paused=1),
            location="batchkit.db",
            callback_errors=4,
        )
    )
    assert lines[0].startswith("Stopped: items wait for a decision")
    assert "Callbacks that raised: 4 (see the log)" in lines
    assert "See the uncertain jobs: batchkit uncertain --name films" in lines
    assert "See the jobs that are held: batchkit list --status paused --name films" in lines


def test_an_empty_batch() -> None:
    assert said(ended()) == ["Nothing to do (batch films)"]


def test_many_causes_are_cut() -> None:
    causes = [Failures("client", f"fault {n}", None, 1, n) for n in range(30)]
    lines = said(ended(failed=30, failures=causes))
    assert any(line.startswith("  … and more causes: 20: batchkit list") for line in lines)


def test_with_its_runner_it_names_examples_folder_and_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with BatchRunner(free, name="films", output=str(tmp_path / "out")) as runner:
        runner.add_many(["a cat", "a bad dog"])
        lines = said(runner.run(), runner)
    assert "      example: item 2, a bad dog" in lines
    assert lines[-3:-1] == [
        f"Results in: {tmp_path / 'out'}",
        "Try the failed ones again: batchkit retry-failed --client MODULE:FACTORY",
    ]


def test_a_batch_in_memory_is_resumed_by_its_program() -> None:
    runner = BatchRunner(free, storage=MemoryStorage())
    runner.add("bad")
    assert said(runner.run(), runner)[-1] == "Try the failed ones again: run the same program again"


def test_an_example_that_was_removed_is_left_out() -> None:
    runner = BatchRunner(free, storage=MemoryStorage())
    lines = said(ended(failed=1, failures=[Failures("client", "gone", None, 1, 77)]), runner)
    assert not any("example" in line for line in lines)


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
)
def test_the_headline_is_coloured_in_terminals_that_like_it(
    environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = Tty()
    print_summary(ended(completed=1), file=stream, lang="en")
    assert stream.getvalue().startswith("\x1b[1;32m") is coloured
