"""The summary at the end, for people: what was done, what failed and why, what to do next."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from batchkit._errors import BatchkitError
from batchkit._i18n import text
from batchkit._jobs import IN_FLIGHT, JobStatus
from batchkit._summary import ExitCode, Summary
from batchkit._wording import Wording, translated
from batchkit.storage.base import Failures
from batchkit.ui._lines import clean, duration, say, short

if TYPE_CHECKING:
    from batchkit._runner import BatchRunner

log = logging.getLogger("batchkit.ui")

#: Clients that the command line makes by itself, by what a batch remembers of them.
BUILT_IN = {
    "batchkit.clients.whisper.FasterWhisperClient": "whisper",
    "batchkit.clients.storyboard.StoryboardClient": "storyboard",
}
#: The storage that every command takes unless it is told another one.
DEFAULT_STORAGE = "batchkit.db"

_MOST_CAUSES = 10
_GIVE_UP = "cancel --status failed --status expired"
_KEYS = {
    ExitCode.DONE: "done_all",
    ExitCode.FAILED: "done_failed",
    ExitCode.HELD: "done_held",
    ExitCode.INTERRUPTED: "done_stopped",
}
#: Why a run ended, where the headline does not say it.
_STOPS = {"stopped at the first error": "stop_first_error"}
_SAID_ALREADY = ("", "interrupted", "stopped")
_COLORS = {ExitCode.DONE: "32", ExitCode.FAILED: "31"}
_YELLOW = "33"


def print_summary(
    summary: Summary,
    runner: BatchRunner | None = None,
    *,
    lang: str | None = None,
    file: TextIO | None = None,
    worded: Wording = translated,
) -> None:
    """Prints how a run ended, and what can be done next.

    A batch of which a part failed is never called a success.

    Args:
        summary: what :meth:`~batchkit.BatchRunner.run` returned.
        runner: the same runner, still open: for the titles of failed jobs, the output folder, and
            commands that fit.
        lang: ``"pt"`` or ``"en"``; by default ``BATCHKIT_LANG``, else the locale's.
        file: standard output by default.
        worded: how messages of errors are said; called with one and the language.
    """
    stream = file or sys.stdout
    report = _Report(summary, runner, lang, worded)
    say(stream, _bold(report.headline(), _COLORS.get(summary.exit_code, _YELLOW), stream))
    for block in (report.counts, report.failures, report.next_steps):
        for line in block():
            say(stream, line)


def _bold(line: str, color: str, stream: TextIO) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if plain or not stream.isatty() else f"\x1b[1;{color}m{line}\x1b[0m"


class _Report:
    def __init__(
        self, summary: Summary, runner: BatchRunner | None, lang: str | None, worded: Wording
    ) -> None:
        self._summary, self._runner, self._lang = summary, runner, lang
        self._worded = worded

    def _text(self, key: str, *args: object) -> str:
        return text(key, self._lang, *args)

    def _said(self, message: str) -> str:
        return clean(self._worded(message, self._lang))

    def headline(self) -> str:
        progress = self._summary.progress
        name = f"{self._text('batch')} {clean(self._summary.batch)}"
        if not progress.total:
            return f"{self._text('done_empty')} ({name})"
        took = self._text("in_time", duration(progress.elapsed)) if progress.elapsed >= 1 else ""
        done = self._text("completed_of", progress.completed, progress.total)
        return f"{self._text(self._key())} ({name}): {done} {took}".rstrip()

    def _key(self) -> str:
        code = self._summary.exit_code
        open_jobs = self._open()
        early = code in (ExitCode.FAILED, ExitCode.INTERRUPTED) and self._summary.stopped
        if early and open_jobs and self._summary.progress.failed:
            return "done_stopped_failed"
        if code is ExitCode.HELD and self._summary.paused is not None:
            return "state_paused"
        if code is ExitCode.DONE and open_jobs:
            # What --limit asked for is done; the batch is not.
            return "done_limited"
        if code is ExitCode.DONE and self._summary.progress.failed:
            return "done_asked"
        # Nobody runs it, and nothing waits for a person: that is no case for a decision.
        if code is ExitCode.HELD and open_jobs and not self._summary.progress.held:
            return "done_partial"
        return _KEYS[code]

    def _open(self) -> int:
        counts = self._summary.counts
        return sum(counts.get(status, 0) for status in (JobStatus.PENDING, *IN_FLIGHT))

    def counts(self) -> Iterator[str]:
        found = self._summary.progress.by_label(self._lang)
        width = max(map(len, found), default=0)
        for label, count in found.items():
            yield f"  {label:<{width}}  {count:>6}"

    def failures(self) -> Iterator[str]:
        causes = self._summary.failures
        if causes:
            yield f"{self._text('errors')}:"
        for cause in causes[:_MOST_CAUSES]:
            yield f"  {cause.count} × {self._said(cause.message) or cause.kind}"
            if cause.remedy:
                yield f"      {self._text('remedy')}: {self._said(cause.remedy)}"
            yield from self._example(cause)
        if len(causes) > _MOST_CAUSES:
            more = self._text("more_causes", len(causes) - _MOST_CAUSES)
            yield f"  {more}: {self._command('list --status failed')}"

    def _example(self, cause: Failures) -> Iterator[str]:
        if self._runner is None:
            return
        try:
            job = self._runner.job(cause.example)
        except BatchkitError as exc:
            # Somebody removed it meanwhile: a cause without an example still is a cause.
            log.debug("no example for %r: %s", cause.message, exc)
            return
        yield f"      {self._text('example', job.id, short(job.title))}"

    def next_steps(self) -> Iterator[str]:
        summary = self._summary
        if summary.stopped not in _SAID_ALREADY and summary.exit_code is not ExitCode.DONE:
            yield self._text("stopped_because", self._cause())
        if summary.paused:
            yield self._text("paused_because", self._said(summary.paused))
        if summary.earlier:
            yield self._text("failed_earlier", summary.earlier)
        if summary.repeated:
            yield self._text("repeated", summary.repeated, summary.repeated_cost)
        if summary.callback_errors:
            yield self._text("callback_errors", summary.callback_errors)
        output = self._runner.config.output if self._runner is not None else None
        if output and summary.progress.completed:
            yield f"{self._text('results_in')}: {output}"
        yield from self._commands()

    def _cause(self) -> str:
        known = _STOPS.get(self._summary.stopped)
        return self._text(known) if known else self._said(self._summary.stopped)

    def _commands(self) -> Iterator[str]:
        summary = self._summary
        counts = summary.counts
        if summary.progress.failed:
            yield f"{self._text('to_retry')}: {self._command('retry-failed', client=True)}"
            if not self._in_memory:
                yield f"{self._text('to_give_up')}: {self._command(_GIVE_UP)}"
        if self._open() or summary.paused is not None:
            yield f"{self._text('to_resume')}: {self._command('resume', client=True)}"
        if counts.get(JobStatus.UNCERTAIN):
            yield f"{self._text('to_see_uncertain')}: {self._command('uncertain')}"
        if counts.get(JobStatus.PAUSED) and summary.paused is None:
            yield f"{self._text('to_see_held')}: {self._command('list --status paused')}"

    @property
    def _in_memory(self) -> bool:
        return self._summary.location in ("memory", ":memory:")

    def _command(self, words: str, *, client: bool = False) -> str:
        runner, location = self._runner, self._summary.location
        if self._in_memory:
            return self._text("to_resume_program")
        ref = runner.batch.client_ref if runner is not None else ""
        named = runner is not None and runner.config.client_name is not None
        several = runner is None or len(runner.storage.batches()) > 1
        return command(
            words,
            location,
            self._summary.batch if several else None,
            foreign_client=client and bool(ref) and ref not in BUILT_IN and not named,
        )


def command(words: str, location: str, name: str | None, *, foreign_client: bool = False) -> str:
    """A command line that can be pasted.

    Args:
        words: sub-command and options.
        location: of the storage; left out where it is the usual one.
        name: of the batch; ``None`` where the storage has only one.
        foreign_client: a person has to say which client.
    """
    parts = ["batchkit", words]
    if Path(location).absolute() != Path(DEFAULT_STORAGE).absolute():
        parts += ["--storage", shlex.quote(location)]
    if name is not None:
        parts += ["--name", shlex.quote(name)]
    if foreign_client:
        parts += ["--client", "MODULE:FACTORY"]
    return " ".join(parts)
