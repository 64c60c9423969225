"""What people see in a terminal is never at the cost of the run."""

from __future__ import annotations

import io
import logging
import sys

import pytest
from terminal_kit import FakeRunner, Tty, free, progress

from batchkit import BatchRunner
from batchkit.storage import MemoryStorage
from batchkit.ui._lines import Snapshot
from batchkit.ui._screens import Picture, is_lively
from batchkit.ui.terminal import show_progress


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
