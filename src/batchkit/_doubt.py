"""Uncertain submissions as a person sees them: the cause, what to look for, and what to do."""

from __future__ import annotations

import datetime as dt

import attrs

from batchkit._i18n import text
from batchkit._jobs import Job


@attrs.frozen(kw_only=True)
class Doubt:
    """Submissions of one cause that nobody can vouch for.

    Attributes:
        cause: what broke, in the words of the last error.
        jobs: the jobs, in order of their index.
    """

    cause: str
    jobs: tuple[Job, ...] = attrs.field(repr=lambda jobs: f"{len(jobs)} jobs")

    @property
    def message(self) -> str:
        """What happened, for people."""
        error = self.jobs[0].error
        return error.message if error is not None else self.cause

    def check(self, lang: str | None = None) -> str:
        """What to look for at the provider, and what to say then; one text for people."""
        started = [job.started for job in self.jobs if job.started is not None]
        first, last = (_clock(min(started)), _clock(max(started))) if started else ("?", "?")
        return text("check_uncertain", lang, len(self.jobs), first, last)


def _clock(when: float) -> str:
    return dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
