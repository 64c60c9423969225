"""What people see in a terminal: said once, said truly, and never at the cost of the run."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    BatchRunner,
    Capabilities,
    GenerateVideo,
    Job,
    JobStatus,
    Progress,
    Summary,
)
from batchkit.storage import Failures, MemoryStorage
from batchkit.ui._lines import Snapshot, clean, duration, say, short, span
from batchkit.ui._screens import Lines, Picture, is_lively, picture
from batchkit.ui.terminal import print_summary, show_progress

S = JobStatus


def job(index: int, title: str = "", **fields: Any) -> Job:
    defaults: dict[str, Any] = {"status": S.PROCESSING, "identity": str(index)}
    request = GenerateVideo(prompt=title or f"item {index}")
    return Job(id=index + 1, batch_id=1, index=index, request=request, **{**defaults, **fields})


def progress(**counts: int) -> Progress:
    elapsed, finished = counts.pop("elapsed", 10), counts.pop("finished", 0)
    by_status = {S(name): n for name, n in counts.items()}
    return Progress(counts=by_status, elapsed=elapsed, finished=finished)


CAUSE = Failures("provider", "no credit\x1b[2J", "pay the bill", 2, 1)


class FakeRunner:
    """Goes through the given moments, and stays at the last."""

    name = "films"

    def __init__(self, *moments: Progress, active: list[Job] | None = None) -> None:
        self.moments, self.jobs = list(moments), active or []
        self.looks = 0
        self.grouped = 0

    def progress(self) -> Progress:
        self.looks += 1
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]

    def active(self) -> list[Job]:
        return self.jobs

    def failures(self) -> list[Failures]:
        self.grouped += 1
        return [CAUSE]


def drawn(seen: Snapshot, width: int = 80) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=width)
    console.print(picture(seen, width))
    return console.export_text()


def test_a_picture_has_header_bar_jobs_and_failures() -> None:
    jobs = [job(0, "a cat", progress=0.456), job(1, "a dog", poll_errors=3)]
    counts = progress(completed=3, failed=2, processing=2, pending=3, finished=5)
    seen = Snapshot(name="films", progress=counts, active=jobs, failures=[CAUSE], lang="en")
    header, bar, cat, dog, failures = drawn(seen).splitlines()
    assert header.startswith("films · Running · 5/10 · 50 % · 10 s · remaining 6–23 s")
    assert set(bar.strip()) <= set("━╸╺")
    assert cat.split() == ["a", "cat", "Processing", "45", "%"]
    assert "failed status queries: 3" in dog
    assert failures.strip() == "Errors: 2× no credit [2J"


def test_a_picture_names_eight_jobs_and_counts_the_others() -> None:
    seen = Snapshot(
        name="films",
        progress=progress(processing=20),
        active=[job(i) for i in range(20)],
        lang="pt",
    )
    lines = drawn(seen).splitlines()
    assert len(lines) == 11
    assert lines[-1].strip() == "… e mais 12 em andamento"


def test_a_picture_keeps_each_line_on_one_row_of_a_narrow_terminal() -> None:
    jobs = [job(0, "a very long title " * 20, progress=0.5)]
    seen = Snapshot(
        name="films" * 20, progress=progress(failed=1), active=jobs, failures=[CAUSE, CAUSE]
    )
    lines = drawn(seen, width=30).splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 30 for line in lines)


def test_a_few_jobs_say_nothing_about_the_time_that_remains() -> None:
    seen = Snapshot(name="films", progress=progress(completed=1, pending=9, finished=1), lang="pt")
    assert seen.header() == "films · Executando · 1/10 · 10 % · 10 s · tempo restante: calculando"


def test_nearly_all_is_not_a_hundred_percent() -> None:
    seen = Snapshot(name="films", progress=progress(completed=999, pending=1))
    assert "99 %" in seen.header()


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"stopping": True}, "Encerrando"),
        ({"progress": Progress(counts={S.PAUSED: 1}, paused=True)}, "Pausado"),
        ({"progress": progress(completed=2)}, "Terminado"),
        ({}, "Executando"),
    ],
)
def test_the_state_is_one_word(fields: dict[str, Any], state: str) -> None:
    given = {"progress": progress(pending=1), **fields}
    assert Snapshot(name="films", lang="pt", **given).state == state


def test_local_work_is_in_processing_whatever_the_record_says() -> None:
    seen = Snapshot(
        name="films",
        progress=progress(submitting=1),
        active=[job(0, status=S.SUBMITTING)],
        local=True,
        lang="en",
    )
    assert seen.job_cells()[0][1] == "Processing"


# -- lines -----------------------------------------------------------------------------------


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_of(*moments: Snapshot, seconds: float = 0) -> list[str]:
    stream, time = io.StringIO(), FakeTime()
    screen = Lines(stream, time)
    for moment in moments:
        screen.draw(moment)
        time.now += seconds
    screen.close(moments[-1])
    return stream.getvalue().splitlines()


def at(done: int, total: int = 100, **fields: Any) -> Snapshot:
    counts = progress(completed=done, pending=total - done)
    return Snapshot(name="films", progress=counts, lang="en", **fields)


def test_one_line_per_tenth() -> None:
    lines = lines_of(*(at(done) for done in range(101)))
    assert len(lines) == 11
    assert lines[0].startswith("films · Running · 0/100 · 0 %")
    assert lines[-1].startswith("films · Ended · 100/100 · 100 %")


def test_one_line_per_thirty_seconds_when_a_tenth_takes_longer() -> None:
    assert len(lines_of(*(at(done, 1000) for done in range(60)), seconds=1)) == 3


def test_a_line_is_not_repeated_when_nothing_happened() -> None:
    assert len(lines_of(*[at(5)] * 100, seconds=30)) == 1


def test_a_cause_of_failure_is_told_once() -> None:
    lines = lines_of(at(5), *[at(5, failures=[CAUSE])] * 5)
    assert lines[1:] == ["Failed: no credit [2J (pay the bill)"]


def test_the_end_is_told_when_it_is_news() -> None:
    assert len(lines_of(at(0), at(3))) == 2


# -- the thread ------------------------------------------------------------------------------


class Recorder:
    """A screen that can fail."""

    period = 0.001

    def __init__(self, *, fails: bool = False) -> None:
        self.seen: list[Snapshot] = []
        self.fails, self.closed = fails, 0

    def draw(self, seen: Snapshot) -> None:
        self.seen.append(seen)
        if self.fails:
            raise RuntimeError("the window is gone")

    def close(self, seen: Snapshot | None) -> None:
        self.closed += 1
        if self.fails:
            raise RuntimeError("and cannot be closed")


def test_the_display_follows_the_runner_and_ends_with_the_block() -> None:
    runner, screen = (
        FakeRunner(*(progress(completed=n, pending=3 - n) for n in range(4))),
        Recorder(),
    )
    with show_progress(runner, screen=screen) as display:
        while len(runner.moments) > 1:
            display._over.wait(0.001)
    assert [seen.progress.completed for seen in screen.seen[:3]] == [0, 1, 2]
    assert screen.closed == 1
    assert not display._thread.is_alive()


def test_failures_are_grouped_only_when_there_is_a_new_one() -> None:
    runner, screen = FakeRunner(progress(failed=2, pending=1)), Recorder()
    with show_progress(runner, screen=screen) as display:
        while len(screen.seen) < 5:
            display._over.wait(0.001)
    assert runner.grouped == 1


def test_a_fault_of_the_screen_is_logged_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with show_progress(FakeRunner(progress(pending=1)), screen=Recorder(fails=True)):
        done = "the work"
    assert done == "the work"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the run goes on" in caplog.text


def test_a_fault_while_it_runs_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    screen = Recorder()
    with show_progress(FakeRunner(progress(pending=1)), screen=screen) as display:
        screen.fails = True
        display._thread.join(10)
        assert not display._thread.is_alive()
    assert len(caplog.records) == 1


def test_a_fault_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    screen = Recorder()
    screen.period = 60
    with show_progress(FakeRunner(progress(pending=1)), screen=screen):
        screen.fails = True
    assert "the run goes on" in caplog.text


def test_a_runner_that_cannot_be_read_does_not_end_the_run(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = FakeRunner(progress(pending=1))
    monkeypatch.setattr(runner, "progress", lambda: 1 / 0)
    with show_progress(runner, screen=Recorder()):
        pass
    assert "ZeroDivisionError" in caplog.text


def free(request: GenerateVideo) -> str:
    if "bad" in request.prompt:
        raise ValueError("the prompt is bad")
    return request.prompt


free.capabilities = Capabilities(repeat="free", sync_result=True, local=True)  # type: ignore[attr-defined]


def test_a_real_run_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    runner = BatchRunner(free, storage=MemoryStorage(), name="films")
    runner.add_many(["a", "b", "bad"])
    with show_progress(runner, lang="en"):
        summary = runner.run()
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "films · Running · 0/3 · 0 % · 0 s · time left: calculating"
    assert "Failed: ValueError: the prompt is bad" in lines
    assert lines[-1].startswith("films · Ended · 3/3 · 100 %")
    assert summary.progress.failed == 1


def test_a_real_run_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    stream = io.StringIO()
    screen = Picture(Console(file=stream, force_terminal=True, width=80, height=20))
    runner = BatchRunner(free, storage=MemoryStorage(), name="films")
    runner.add_many(["a", "b"])
    with show_progress(runner, lang="pt", screen=screen):
        assert runner.run().ok
    assert "films · Executando · 0/2" in stream.getvalue()
    # The cursor comes back.
    assert "\x1b[?25h" in stream.getvalue()


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "lively"),
    [
        (Tty(), {"TERM": "xterm"}, True),
        (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (Tty(), {"TERM": "dumb"}, False),
        (Tty(), {"TERM": "xterm", "CI": "true"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_where_a_picture_can_be_drawn(
    stream: io.StringIO, environ: dict[str, str], lively: bool
) -> None:
    assert is_lively(stream, environ) is lively


def test_without_rich_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Tty()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    for name in ("rich.console", "rich.live"):
        monkeypatch.setitem(sys.modules, name, None)
    with show_progress(FakeRunner(progress(pending=1)), lang="en"):
        pass
    assert stream.getvalue() == "films · Running · 0/1 · 0 % · 10 s · time left: calculating\n"


def test_a_terminal_gets_a_picture_without_colours_if_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Tty()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("CI", raising=False)
    with show_progress(FakeRunner(progress(pending=1)), lang="en"):
        pass
    assert "\x1b[?25l" in stream.getvalue()
    assert "\x1b[38" not in stream.getvalue()


# -- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (59.7, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3700, "1 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (3, 9, "3–9 s"),
        (0.1, 0.2, "~1 s"),
        (60, 300, "60 s – 5 min"),
        (300, 600, "5–10 min"),
        (6000, 9000, "1,7–2,5 h"),
    ],
)
def test_estimates_are_as_coarse_as_they_are(low: float, high: float, shown: str) -> None:
    assert span(low, high, "pt") == shown


def test_a_title_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b]0;own\x07ed\r\n\tb") == "a ]0;own ed b"
    assert short("x" * 100) == "x" * 59 + "…"


def test_letters_that_a_stream_does_not_know_do_not_end_it() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    say(stream, "3–9 s")
    assert raw.getvalue() == b"3?9 s\n"


# -- the summary -----------------------------------------------------------------------------


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
    assert lines[-1] == "Try the failed ones again: batchkit retry-failed --name films"


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
    assert "See the uncertain jobs: batchkit list --status uncertain --name films" in lines
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
    assert lines[-2:] == [
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
