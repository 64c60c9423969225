"""What a screen says, as plain text: no terminal, no library, nothing to import but the record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TextIO

import attrs

from batchkit._i18n import language, text
from batchkit._jobs import Job
from batchkit._progress import Progress
from batchkit._wording import Wording, translated
from batchkit.storage.base import Failures

#: Jobs in flight that a screen names; the rest is counted.
MOST_JOBS = 8
_LONGEST_TITLE = 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Watched(Protocol):
    """What a screen needs of a runner."""

    @property
    def name(self) -> str:
        """Of the batch."""
        ...

    def progress(self) -> Progress:
        """How far it is."""
        ...

    def active(self) -> list[Job]:
        """Jobs in flight."""
        ...

    def failures(self) -> list[Failures]:
        """Failed jobs by cause."""
        ...


@attrs.frozen(kw_only=True)
class Snapshot:
    """What a screen shows at one moment.

    Attributes:
        name: of the batch.
        progress: how far it is.
        active: jobs in flight.
        failures: failed jobs by cause.
        stopping: a person asked for the end of the run.
        local: the work is done on this machine.
        lang: ``"pt"`` or ``"en"``.
        worded: how messages of errors are said.
    """

    name: str
    progress: Progress
    active: Sequence[Job] = ()
    failures: Sequence[Failures] = ()
    stopping: bool = False
    local: bool = False
    lang: str | None = None
    worded: Wording = translated

    @property
    def state(self) -> str:
        """What the batch is doing, in one word."""
        if self.stopping:
            return text("state_stopping", self.lang)
        if self.progress.paused:
            return text("state_paused", self.lang)
        ended = self.progress.done == self.progress.total
        return text("state_ended" if ended else "state_running", self.lang)

    def header(self, *, times: bool = True) -> str:
        """Name, state, counts, and unless told otherwise how long it took and will take."""
        progress = self.progress
        # Rounded down: 999 of 1000 are not 100 %.
        share = f"{math.floor(progress.percentage)} %"
        parts = [clean(self.name), self.state, f"{progress.done}/{progress.total}", share]
        if times:
            parts += [duration(progress.elapsed), *self._remaining()]
        return " · ".join(parts)

    def _remaining(self) -> list[str]:
        progress = self.progress
        if self.stopping or progress.paused or progress.done + progress.held >= progress.total:
            return []
        found = progress.remaining
        if found is None:
            return [text("remaining_unknown", self.lang)]
        return [f"{text('remaining', self.lang)} {span(*found, self.lang)}"]

    def job_cells(self) -> list[tuple[str, str, str, str]]:
        """Title, status, progress and trouble of the jobs that a screen names."""
        return [self._cells(job) for job in self.active[:MOST_JOBS]]

    def _cells(self, job: Job) -> tuple[str, str, str, str]:
        share = "" if job.progress is None else f"{math.floor(100 * job.progress)} %"
        trouble = text("poll_errors", self.lang, job.poll_errors) if job.poll_errors else ""
        status = job.status.label(self.lang, local=self.local)
        return short(job.title), status, share, trouble

    def more_jobs(self) -> str:
        """How many jobs in flight are not named; empty when all are."""
        more = len(self.active) - MOST_JOBS
        return text("more_active", self.lang, more) if more > 0 else ""

    def said(self, message: str) -> str:
        """The message of an error, fit for a line of a screen."""
        return clean(self.worded(message, self.lang))

    def failure_line(self) -> str:
        """Failures by cause in one line; empty when there are none."""
        causes = "; ".join(f"{cause.count}× {self.said(cause.message)}" for cause in self.failures)
        return f"{text('errors', self.lang)}: {causes}" if causes else ""


def clean(value: str) -> str:
    """Without control characters: a file name may hold the codes that steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def short(title: str) -> str:
    """A title that leaves room for the rest of its line."""
    title = clean(title)
    return title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"


def duration(seconds: float) -> str:
    """A time that has passed, in its two largest units."""
    whole = round(seconds)
    for unit, name, lower, lower_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // lower} {lower_name}"
    return f"{whole} s"


def span(low: float, high: float, lang: str | None = None) -> str:
    """An estimate, as coarse as it is."""
    first, last = _coarse(low, lang), _coarse(high, lang)
    if first == last:
        return f"~{first}"
    number, unit = first.split(" ")
    return f"{number}–{last}" if last.endswith(f" {unit}") else f"{first} – {last}"


def _coarse(seconds: float, lang: str | None) -> str:
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    hours = f"{seconds / _HOUR:.1f} h"
    return hours.replace(".", ",") if language(lang) == "pt" else hours


def say(stream: TextIO, line: str = "") -> None:
    """Writes one line; letters that the stream does not know become question marks."""
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError:
        known = stream.encoding or "ascii"
        stream.write(line.encode(known, "replace").decode(known) + "\n")
    stream.flush()
