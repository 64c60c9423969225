"""How a run ended: in numbers, in words, and as an exit code."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs

from batchkit._dispatch import AT_FIRST_ERROR
from batchkit._i18n import text
from batchkit._jobs import JobStatus
from batchkit._progress import Progress
from batchkit.storage.base import Failures


class ExitCode(enum.IntEnum):
    """What the command line answers; 2 is kept for bad use, 130 for an interrupt."""

    #: Every job is completed.
    DONE = 0
    #: Some jobs failed or expired, or could not be changed.
    FAILED = 1
    #: The call was wrong; nothing was started.
    USAGE = 2
    #: Some jobs wait for a person: uncertain, held, or the batch is paused.
    HELD = 3
    #: The database cannot be used.
    STORAGE = 4
    #: The run was stopped before its end; the same command goes on.
    INTERRUPTED = 130


@attrs.frozen(kw_only=True)
class Summary:
    """What a run left behind. It never calls a partly failed batch a success.

    Attributes:
        batch: its name.
        progress: counts and times at the end.
        failures: failed jobs by cause, the most frequent first.
        stopped: why the run ended early; empty when it did not.
        limited: the run ended because it had started as many jobs as it was allowed to.
        paused: why the batch is paused; ``None`` when it is not, ``""`` when a person did it.
        callback_errors: how many callbacks raised.
        location: of the storage, for the command that resumes.
        repeated: submissions that this run repeated although they may have been accepted, because
            ``on_uncertain="resubmit"`` allows it.
        repeated_cost: what these cost at most, as far as the client knows prices.
        earlier: failed jobs that an earlier run left and that nobody asked for now; they are
            counted and told, but are no failure of this run. The command line sets it.
    """

    batch: str
    progress: Progress
    failures: Sequence[Failures] = ()
    stopped: str = ""
    limited: bool = False
    paused: str | None = None
    callback_errors: int = 0
    location: str = ""
    repeated: int = 0
    repeated_cost: float = 0.0
    earlier: int = 0

    @property
    def counts(self) -> Mapping[JobStatus, int]:
        """Jobs by status."""
        return self.progress.counts

    @property
    def ok(self) -> bool:
        """Whether every job that was asked for is completed."""
        return self.exit_code is ExitCode.DONE

    @property
    def exit_code(self) -> ExitCode:
        """What the command line answers."""
        progress = self.progress
        if self.stopped and progress.done < progress.total:
            return ExitCode.FAILED if self.stopped == AT_FIRST_ERROR else ExitCode.INTERRUPTED
        if progress.failed > self.earlier:
            return ExitCode.FAILED
        if progress.done == progress.total or (self.limited and not progress.held):
            return ExitCode.DONE
        return ExitCode.HELD

    def headline(self, lang: str | None = None) -> str:
        """One line: how it ended."""
        progress = self.progress
        if not progress.total:
            return text("done_empty", lang)
        return f"{text(self._key(), lang)}: {self._counted(lang)}"

    def _key(self) -> str:
        if self.exit_code is ExitCode.DONE and self.limited:
            return "done_limited"
        if self.exit_code is ExitCode.DONE and self.progress.failed:
            return "done_asked"
        return {
            ExitCode.DONE: "done_all",
            ExitCode.FAILED: "done_failed",
            ExitCode.HELD: "done_held",
            ExitCode.INTERRUPTED: "done_stopped",
        }[self.exit_code]

    def _counted(self, lang: str | None) -> str:
        parts = [f"{count} {label}" for label, count in self.progress.by_label(lang).items()]
        return f"{', '.join(parts)} ({self.progress.elapsed:.1f} s)"

    def __str__(self) -> str:
        return self.headline()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{cause.count}</td><td>{_escape(cause.message)}</td>"
            f"<td>{_escape(cause.remedy or '')}</td></tr>"
            for cause in self.failures
        )
        table = f"<table>{rows}</table>" if rows else ""
        return f"<b>{_escape(self.headline())}</b>{table}"


def _escape(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
