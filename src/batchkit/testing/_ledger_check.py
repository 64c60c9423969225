"""Compares the provider's ledger with what batches believe, item by item and to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from batchkit._events import JobUncertain
from batchkit._jobs import Attempt, ErrorKind, Job, JobStatus
from batchkit.testing._ledger import Bill, Ledger
from batchkit.testing._protocol import prompt_of

if TYPE_CHECKING:
    from batchkit._batch_view import BatchView

#: Remote states of jobs that were billed, and that may be submitted again without asking.
_ENDED_BADLY = ("failed", "canceled", "expired")
#: A batch that gave up in one of these ways was never told what the job cost.
_GAVE_UP = (ErrorKind.DEADLINE, ErrorKind.NOT_FOUND)
#: Last words on an attempt that come with the cost...
_TOLD = ("completed", "collecting", "expired", "failed")
#: ...and those that may: a cancel, or a person, overrides what was said before.
_PERHAPS_TOLD = ("canceled", "released", "uncertain", "failed")
#: Last words on an attempt whose result is here.
_HAVE_IT = ("completed", "collecting")
_ALL_SHOWN = 60


@attrs.frozen(kw_only=True)
class ItemReport:
    """One item, from both sides.

    Attributes:
        item: the prompt without its script.
        statuses: what the batches say of it.
        submissions: requests that reached the provider.
        charges: jobs that it started.
        cents: what it charged for them.
        known_cents: what the batches know that they cost.
        polls: status queries.
        downloads: results that were fetched to their end.
        faults: what is wrong, for people.
    """

    item: str
    statuses: tuple[str, ...] = ()
    submissions: int = 0
    charges: int = 0
    cents: int = 0
    known_cents: int = 0
    polls: int = 0
    downloads: int = 0
    faults: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class LedgerReport:
    """A comparison of a provider's ledger with batches.

    Attributes:
        items: a line for each item, in order of name.
        lost: jobs at the provider, by id, that no batch knows and that are not listed uncertain.
        twice: items that were paid for more than once, and should not have been.
        unaccounted: jobs at the provider, by id, whose cost no batch was told; they are listed
            uncertain, were given up, or still run.
        cents: what the provider charged for everything.
        known_cents: what the batches know.
        unaccounted_cents: what the jobs in *unaccounted* cost.
    """

    items: tuple[ItemReport, ...] = ()
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    unaccounted: tuple[str, ...] = ()
    cents: int = 0
    known_cents: int = 0
    unaccounted_cents: int = 0

    @property
    def balances(self) -> bool:
        """Whether what is known and what is listed add up to what was charged."""
        return self.known_cents + self.unaccounted_cents == self.cents

    @property
    def ok(self) -> bool:
        """Whether nothing was lost or paid for twice, and the money balances."""
        return self.balances and not any(line.faults for line in self.items)

    def raise_for_faults(self) -> None:
        """Asserts :attr:`ok`.

        Raises:
            AssertionError: with the whole report.
        """
        if not self.ok:
            raise AssertionError(f"the ledger disagrees\n{self}")

    def __str__(self) -> str:
        lines = self.items
        if len(lines) > _ALL_SHOWN:
            lines = tuple(line for line in lines if line.faults)
        shown = "\n".join(_shown(line) for line in lines)
        total = (
            f"{len(self.items)} items: charged {_money(self.cents)}, known "
            f"{_money(self.known_cents)}, listed {_money(self.unaccounted_cents)}; "
            f"{len(self.lost)} lost, {len(self.twice)} paid twice"
        )
        return f"{shown}\n{total}" if shown else total


def _shown(line: ItemReport) -> str:
    said = "/".join(line.statuses) or "-"
    counted = (
        f"{line.item[:30]:30} {said:10} {line.submissions:3} sent {line.charges:3} started "
        f"{_money(line.cents):>8} charged {_money(line.known_cents):>8} known "
        f"{line.polls:4} polls {line.downloads:3} fetched"
    )
    return "".join([counted, *(f"\n    {fault}" for fault in line.faults)])


def _money(cents: int) -> str:
    return f"{cents / 100:.2f}"


@attrs.frozen
class _Known:
    """An attempt of a batch, the job that it belongs to, and whether it was ever told uncertain."""

    job: Job
    attempt: Attempt
    uncertain: bool

    def vouches_for(self, bill: Bill) -> bool:
        """Whether its handle is the one of the bill."""
        # What a person resolved has its handle in the job alone.
        handles = [self.attempt.handle, self.job.handle if self.is_last else None]
        if any(handle is not None and handle.id == bill.job for handle in handles):
            return True
        # Where the answer to the submission is the result, there never is a handle.
        return handles == [None, None] and self.attempt.outcome in _HAVE_IT

    @property
    def is_last(self) -> bool:
        """Whether the job made no later attempt."""
        return self.attempt.number == self.job.attempt

    @property
    def listed(self) -> bool:
        """Whether people are, or were, told that nobody can vouch for it."""
        return self.uncertain or (self.is_last and self.job.status is JobStatus.SUBMITTING)

    @property
    def told(self) -> bool | None:
        """Whether the provider has told what it cost; ``None`` when only the sum can show it."""
        job, outcome = self.job, self.attempt.outcome
        gave_up = job.error is not None and job.error.kind in _GAVE_UP
        if outcome in _TOLD and not (gave_up and self.is_last):
            return True
        return None if outcome in _PERHAPS_TOLD else False


def compare(
    ledger: Ledger,
    batches: Iterable[BatchView],
    allowed: frozenset[str],
    *,
    costs_told: bool = True,
) -> LedgerReport:
    """The report of :meth:`Ledger.check`."""
    attempts: defaultdict[str, list[_Known]] = defaultdict(list)
    jobs: defaultdict[str, list[Job]] = defaultdict(list)
    for batch in batches:
        uncertain = set(_uncertain(batch))
        for job in batch.jobs():
            jobs[item_of(job)].append(job)
            for attempt in batch.attempts(job):
                was = (job.id, attempt.number) in uncertain
                attempts[item_of(job)].append(_Known(job, attempt, was))
    bills: defaultdict[str, list[Bill]] = defaultdict(list)
    for bill in ledger.bills.values():
        bills[bill.item].append(bill)
    names = sorted({*jobs, *bills, *ledger.submissions})
    judged = [
        _Judge(
            ledger,
            name,
            jobs[name],
            bills[name],
            attempts[name],
            allowed=name in allowed,
            costs_told=costs_told,
        )
        for name in names
    ]
    return _summed(ledger, judged)


def item_of(job: Job) -> str:
    """What a ledger calls a job of a batch: its prompt without the script."""
    return prompt_of(job).partition(" [")[0]


def _uncertain(batch: BatchView) -> Iterator[tuple[int, int]]:
    """Every attempt that the journal calls uncertain, as (job, attempt)."""
    seq, batch_id = 0, batch.batch.id
    while page := batch.storage.journal(batch_id, seq):
        seq = page[-1].seq
        yield from ((e.job_id, e.attempt) for e in page if e.kind == JobUncertain.kind)


def _summed(ledger: Ledger, judged: Sequence[_Judge]) -> LedgerReport:
    lines = tuple(judge.report() for judge in judged)
    unaccounted = [bill for judge in judged for bill in judge.unaccounted]
    return LedgerReport(
        items=lines,
        lost=tuple(bill.job for judge in judged for bill in judge.lost),
        twice=tuple(judge.name for judge in judged if judge.twice),
        unaccounted=tuple(bill.job for bill in unaccounted),
        cents=ledger.total_cents,
        known_cents=sum(line.known_cents for line in lines),
        unaccounted_cents=sum(bill.cents for bill in unaccounted),
    )


def _owners(bills: Sequence[Bill], attempts: Sequence[_Known]) -> dict[str, _Known | None]:
    """Which attempt started each job: by the submit key, where the interface has a place for it,
    else by the handle, else any one attempt that got no other job."""
    left = list(attempts)
    owners: dict[str, _Known | None] = {}
    tests: Sequence[Callable[[Bill, _Known], bool]] = (
        lambda bill, known: known.attempt.submit_key == bill.key,
        lambda bill, known: known.attempt.handle is not None and known.vouches_for(bill),
        lambda bill, known: not bill.key and (known.vouches_for(bill) or known.listed),
    )
    for fits in tests:
        for bill in bills:
            found = next((known for known in left if fits(bill, known)), None)
            if owners.get(bill.job) is None and found is not None:
                owners[bill.job] = found
                # A provider that replays keys, or not, may bill one key twice.
                if not bill.key:
                    left.remove(found)
    return {bill.job: owners.get(bill.job) for bill in bills}


class _Judge:
    """Judges one item."""

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        jobs: Sequence[Job],
        bills: Sequence[Bill],
        attempts: Sequence[_Known],
        *,
        allowed: bool,
        costs_told: bool,
    ) -> None:
        self.ledger, self.name, self.jobs, self.bills = ledger, name, jobs, bills
        self._costs_told = costs_told
        self._known = _owners(bills, attempts)
        self.known_cents = sum(round((job.cost or 0.0) * 100) for job in jobs)
        if not costs_told:
            self.known_cents = sum(bill.cents for bill in bills if self._told(bill))
        self.lost = [bill for bill in bills if not self._is_known(bill, allowed)]
        self.twice = [] if allowed else list(self._needless())
        self.unaccounted = self._unaccounted()

    def _is_known(self, bill: Bill, allowed: bool) -> bool:
        known = self._known[bill.job]
        return known is not None and (known.vouches_for(bill) or known.listed or allowed)

    def _needless(self) -> Iterator[Bill]:
        """Bills of jobs that went well, or may have, and are not the last of their item."""
        by_owner: defaultdict[int, list[Bill]] = defaultdict(list)
        for bill in self.bills:
            known = self._known[bill.job]
            if bill.state not in _ENDED_BADLY:
                by_owner[0 if known is None else known.job.id].append(bill)
        for going in by_owner.values():
            yield from going[:-1]

    def _unaccounted(self) -> list[Bill]:
        """Bills that no batch was told of; where that is open, the known sum decides."""
        left, rest = self.known_cents, []
        for bill in self.bills:
            if self._told(bill):
                left -= bill.cents
            else:
                rest.append(bill)
        for bill in list(rest):
            if self._told(bill) is None and 0 < bill.cents <= left:
                left -= bill.cents
                rest.remove(bill)
        return rest

    def _told(self, bill: Bill) -> bool | None:
        known = self._known[bill.job]
        if known is None or not known.vouches_for(bill):
            return False
        return known.told if self._costs_told else True

    def _faults(self) -> Iterator[str]:
        for bill in self.lost:
            yield f"lost: {bill.job} was charged, and no batch has its handle or lists it"
        for bill in self.twice:
            yield f"paid twice: {bill.job} ({bill.state}) was charged beside another job"
        settled = sum(bill.cents for bill in self.bills) - sum(b.cents for b in self.unaccounted)
        if settled != self.known_cents:
            yield (
                f"money: {_money(settled)} were charged for what ended, and the batch knows "
                f"{_money(self.known_cents)}"
            )

    def report(self) -> ItemReport:
        """Its line."""
        ledger, name = self.ledger, self.name
        return ItemReport(
            item=name,
            statuses=tuple(str(job.status) for job in self.jobs),
            submissions=ledger.submissions[name],
            charges=ledger.charges[name],
            cents=ledger.cents[name],
            known_cents=self.known_cents,
            polls=ledger.polls[name],
            downloads=ledger.downloads[name],
            faults=tuple(self._faults()),
        )
