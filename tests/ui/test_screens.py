"""What a screen says at one moment: a picture, or lines."""

from __future__ import annotations

import io
from typing import Any

import pytest
from terminal_kit import CAUSE, S, job, progress

from batchkit import Progress
from batchkit.ui._lines import Snapshot, clean, duration, say, short, span
from batchkit.ui._screens import Lines, picture


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
