"""What happened at the provider, counted from its side; in memory, and in a file if asked."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from batchkit._batch_view import BatchView
    from batchkit.testing._ledger_check import LedgerReport


@attrs.define
class Bill:
    """One job that the provider started, and charged for.

    Attributes:
        job: its id at the provider.
        item: which item of the batch it serves.
        key: the submit key that started it.
        cents: what it costs.
        state: how it ended; ``"running"`` until then.
    """

    job: str
    item: str
    key: str
    cents: int
    state: str = "running"


_COUNTERS = {
    "submission": "submissions",
    "charge": "charges",
    "cancel": "cancels",
    "poll": "polls",
    "download": "downloads",
    "partial": "partial",
    "upload": "uploads",
}


@attrs.define(eq=False)
class Ledger:
    """What happened at the provider, per item.

    Attributes:
        submissions: requests that reached it.
        charges: jobs that were accepted and started, and billed.
        cancels: jobs that it cancelled.
        downloads: results that were fetched to their end.
        polls: status queries.
        partial: downloads that did not reach the end of the file.
        uploads: files that were sent before a submission.
        cents: what was charged.
        by_key: submissions by submit key.
        bills: every job that was charged for, by its id.
    """

    submissions: Counter[str] = attrs.field(factory=Counter)
    charges: Counter[str] = attrs.field(factory=Counter)
    cancels: Counter[str] = attrs.field(factory=Counter)
    downloads: Counter[str] = attrs.field(factory=Counter)
    polls: Counter[str] = attrs.field(factory=Counter)
    partial: Counter[str] = attrs.field(factory=Counter)
    uploads: Counter[str] = attrs.field(factory=Counter)
    cents: Counter[str] = attrs.field(factory=Counter)
    by_key: Counter[str] = attrs.field(factory=Counter)
    bills: dict[str, Bill] = attrs.field(factory=dict)
    _sink: Callable[[bytes], object] | None = attrs.field(default=None, init=False, repr=False)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The ledger that a server wrote, alive or not.

        A last line that was cut by the death of the server is left out.
        """
        ledger = cls()
        for line in Path(path).read_bytes().split(b"\n")[:-1]:
            ledger._count(**json.loads(line))
        return ledger

    @classmethod
    def append(cls, path: str | Path) -> Self:
        """A ledger that goes on in a file, made when it does not exist.

        Each line is with the operating system before the provider answers, so that it outlives
        the death of every process.
        """
        there = Path(path).exists()
        ledger = cls.read(path) if there else cls()
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        ledger._sink = _File(fd).write
        return ledger

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The ledger that :meth:`as_dict` wrote, as from ``GET /_ledger``."""
        ledger = cls(bills={job: Bill(**bill) for job, bill in data["bills"].items()})
        for name in (*_COUNTERS.values(), "cents", "by_key"):
            getattr(ledger, name).update(data[name])
        return ledger

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return attrs.asdict(self, filter=lambda field, _: field.name != "_sink")

    def record(
        self, what: str, item: str, *, key: str = "", job: str = "", cents: int = 0, state: str = ""
    ) -> None:
        """Notes one event: for the provider alone."""
        given = {"key": key, "job": job, "cents": cents, "state": state}
        line = {"what": what, "item": item, **{name: v for name, v in given.items() if v}}
        if self._sink is not None:
            self._sink(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._count(**line)  # type: ignore[arg-type]

    def _count(
        self, what: str, item: str, key: str = "", job: str = "", cents: int = 0, state: str = ""
    ) -> None:
        if what == "end":
            self.bills[job].state = state
            return
        getattr(self, _COUNTERS[what])[item] += 1
        if what == "submission":
            self.by_key[key] += 1
        elif what == "charge":
            self.cents[item] += cents
            self.bills[job] = Bill(job, item, key, cents)

    @property
    def total_cents(self) -> int:
        """What was charged for everything."""
        return self.cents.total()

    def charged_twice(self) -> list[str]:
        """Items that were billed more than once."""
        return sorted(item for item, count in self.charges.items() if count > 1)

    def check(
        self, *batches: BatchView, allowed: Iterable[str] = (), costs_told: bool = True
    ) -> LedgerReport:
        """Compares what the provider knows with what batches know.

        Args:
            batches: every batch that used this provider, run or opened.
            allowed: items whose second charge a person explicitly allowed.
            costs_told: whether the provider's interface tells what a job cost; where it does not,
                a job that a batch knows by its handle counts as known.

        Returns:
            a report with a line for each item; ``report.raise_for_faults()`` asserts that nothing
            was lost, nothing was paid for twice, and both sides agree to the cent.
        """
        from batchkit.testing._ledger_check import compare

        return compare(self, batches, frozenset(allowed), costs_told=costs_told)


@attrs.define
class _File:
    """Appends whole lines; closed with its ledger."""

    fd: int

    def write(self, line: bytes) -> None:
        # One call: a line of a process that dies is there, or it is not.
        os.write(self.fd, line)

    def __del__(self) -> None:
        os.close(self.fd)
