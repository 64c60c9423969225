"""The two screens of a terminal: lines for logs and pipes, a live picture for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from batchkit._i18n import text
from batchkit.ui._lines import Snapshot, say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds between two lines when less than a tenth of the batch was done in them.
LINE_SECONDS = 30.0
_BAR_WIDTH = 60
#: Title, status, progress, trouble.
_COLUMNS: tuple[Literal["left", "right"], ...] = ("left", "left", "right", "left")


class Screen(Protocol):
    """Shows snapshots.

    Attributes:
        period: seconds between two of them.
    """

    period: float

    def draw(self, seen: Snapshot) -> None:
        """Shows the next one."""

    def close(self, seen: Snapshot | None) -> None:
        """Shows the last one, and gives the terminal back."""


def is_lively(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a picture can be redrawn there: a terminal, no dumb one, no build server's log."""
    return stream.isatty() and environ.get("TERM") != "dumb" and not environ.get("CI")


class Lines:
    """One line at the start, one per tenth of the batch or per 30 s, one per cause of failure.

    Args:
        stream: standard error by default, looked up at each line.
        monotonic: the time.
    """

    period = 0.5

    def __init__(
        self, stream: TextIO | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._monotonic = stream, monotonic
        self._tenth, self._at = -1, 0.0
        self._said = ""
        self._causes: set[tuple[str, str]] = set()

    def draw(self, seen: Snapshot) -> None:
        """Writes what is new; nothing when nothing is."""
        tenth = int(seen.progress.percentage // 10)
        waited = self._monotonic() - self._at >= LINE_SECONDS
        if tenth != self._tenth or waited:
            self._tenth, self._at = tenth, self._monotonic()
            self._write(seen)
        self._write_causes(seen)

    def _write(self, seen: Snapshot) -> None:
        # Times alone are no news.
        news = seen.header(times=False) + "".join("".join(cells) for cells in seen.job_cells())
        if news != self._said:
            self._said = news
            say(self._stream or sys.stderr, seen.header())

    def _write_causes(self, seen: Snapshot) -> None:
        for cause in seen.failures:
            if (cause.kind, cause.message) not in self._causes:
                self._causes.add((cause.kind, cause.message))
                remedy = f" ({seen.said(cause.remedy)})" if cause.remedy else ""
                label = text("failed", seen.lang)
                say(self._stream or sys.stderr, f"{label}: {seen.said(cause.message)}{remedy}")

    def close(self, seen: Snapshot | None) -> None:
        """Writes how it ended, unless that was the last line."""
        if seen is not None:
            self._write_causes(seen)
            if seen.header(times=False) != self._said:
                self._write(seen)


class Picture:
    """A live picture by *rich*, redrawn in place and gone at the end.

    Args:
        console: by default one on standard error.

    Raises:
        ImportError: *rich* is not installed.
    """

    #: Five times a second: smooth for an eye, nothing for a processor.
    period = 0.2

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            # Lines that others write go above the picture; but data for a pipe stay out of it.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def draw(self, seen: Snapshot) -> None:
        """Redraws."""
        self._live.update(picture(seen, self._console.width), refresh=True)

    def close(self, seen: Snapshot | None) -> None:
        """Takes the picture away."""
        self._live.stop()


def picture(seen: Snapshot, width: int) -> RenderableType:
    """A snapshot as something that *rich* prints: header, bar, jobs in flight, failures."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def line(value: str, style: str = "") -> Text:
        return Text(value, style=style, no_wrap=True, overflow="ellipsis")

    # In a grid, because a bar alone does not end its line.
    bar = Table.grid()
    share = seen.progress.percentage
    bar.add_row(ProgressBar(total=100, completed=share, width=min(_BAR_WIDTH, max(1, width - 2))))
    parts: list[RenderableType] = [line(seen.header(), "bold"), bar]
    if seen.active:
        parts.append(_jobs(seen))
    if more := seen.more_jobs():
        parts.append(line(f"  {more}", "dim"))
    if failures := seen.failure_line():
        parts.append(line(failures, "red"))
    return Group(*parts)


def _jobs(seen: Snapshot) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), pad_edge=True)
    for justify in _COLUMNS:
        table.add_column(no_wrap=True, overflow="ellipsis", justify=justify)
    for title, status, share, trouble in seen.job_cells():
        table.add_row(Text(title), Text(status, "cyan"), Text(share), Text(trouble, "yellow"))
    return table
