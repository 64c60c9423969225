"""How far a batch is: counts, rate and a range for the time that remains."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from batchkit._i18n import text
from batchkit._jobs import HELD, TERMINAL, JobStatus

#: Standard normal quantile of an 80 % interval.
_Z80 = 1.2816
#: Below this many finished jobs a rate says nothing.
_ENOUGH = 3


@attrs.frozen(kw_only=True)
class Progress:
    """A snapshot.

    Attributes:
        counts: jobs by status.
        elapsed: seconds since this run started.
        finished: jobs that ended in this run.
        active: jobs in flight now.
        paused: whether the batch is paused.
        cost: settled so far; ``None`` when no job told its cost.
        started: UTC seconds, when the batch was first run.
        local: the work is done on this machine; people see one status for all of it.
    """

    counts: Mapping[JobStatus, int]
    elapsed: float = 0.0
    finished: int = 0
    active: int = 0
    paused: bool = False
    cost: float | None = None
    started: float | None = None
    local: bool = False

    @property
    def total(self) -> int:
        """All jobs of the batch."""
        return sum(self.counts.values())

    @property
    def completed(self) -> int:
        """Jobs whose result is here."""
        return self.counts.get(JobStatus.COMPLETED, 0)

    @property
    def failed(self) -> int:
        """Jobs that ended without a result, expired ones included."""
        return self.counts.get(JobStatus.FAILED, 0) + self.counts.get(JobStatus.EXPIRED, 0)

    @property
    def held(self) -> int:
        """Jobs that wait for a person."""
        return sum(self.counts.get(status, 0) for status in HELD)

    @property
    def done(self) -> int:
        """Jobs that ended, well or not."""
        return sum(self.counts.get(status, 0) for status in TERMINAL)

    @property
    def percentage(self) -> float:
        """Share of jobs that ended, 0 to 100; an empty batch is at 100."""
        return 100.0 * self.done / self.total if self.total else 100.0

    @property
    def throughput(self) -> float:
        """Jobs ended per second of this run."""
        return self.finished / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def remaining(self) -> tuple[float, float] | None:
        """Seconds until the end as an 80 % range, or ``None`` while that is a guess.

        The number of jobs ended so far is taken as a Poisson count, whose relative standard
        deviation is 1/sqrt(n); held jobs are not waited for.
        """
        left = self.total - self.done - self.held
        if self.finished < _ENOUGH or self.elapsed <= 0 or self.paused:
            return None
        spread = _Z80 / math.sqrt(self.finished)
        return left / (self.throughput * (1 + spread)), left / (self.throughput * (1 - spread))

    def by_label(self, lang: str | None = None) -> dict[str, int]:
        """Jobs by status as people read it, the completed ones first."""
        found: dict[str, int] = {}
        for status in sorted(self.counts, key=lambda s: (s is not JobStatus.COMPLETED, s)):
            if count := self.counts[status]:
                label = status.label(lang, local=self.local)
                found[label] = found.get(label, 0) + count
        return found

    def __str__(self) -> str:
        return f"{self.percentage:.0f} % ({self.done}/{self.total}, {self.failed} failed)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("percentage", round(self.percentage, 1)), ("counts", dict(self.counts))]

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<td>{label}</td><td style='text-align:right'>{count}</td>"
            for label, count in self.by_label().items()
        )
        return (
            f"<table><tr><th>{self.percentage:.0f} %</th>{cells}"
            f"<td>{text('elapsed')}</td><td>{self.elapsed:.0f} s</td></tr></table>"
        )
