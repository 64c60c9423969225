"""Judges each step as it happens: submissions by the ledger, changes of records by the promises."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from sim_world import Broken, World

from batchkit import Accepted, ErrorKind, Handle, Job, JobStatus, RemoteState
from batchkit._events import JobResubmitted, JobSubmitted
from batchkit._jobs import TERMINAL, TRANSITIONS
from batchkit._scheduler import Task
from batchkit.storage import Change, Entry, Storage
from batchkit.testing import RemoteJob

_S = JobStatus
#: The journal's word for each status that a runner may write.
WORDS = {
    _S.PENDING: {"retrying", "resubmitted"},
    _S.SUBMITTING: {"submitting"},
    _S.UNCERTAIN: {"uncertain"},
    _S.PROCESSING: {"submitted"},
    _S.COLLECTING: {"collecting"},
    _S.COMPLETED: {"completed"},
    _S.FAILED: {"failed"},
    _S.EXPIRED: {"expired"},
    _S.CANCELED: {"canceled"},
}
#: Why a job that a provider holds may be given up.
GIVEN_UP = {ErrorKind.DEADLINE, ErrorKind.NOT_FOUND}
#: The status that each word of the journal stands for; "released" may stand for several.
MEANS = {word: status for status, words in WORDS.items() for word in words} | {"held": _S.PAUSED}
#: Ends of which a person, or a provider, said so.
DECIDED = TERMINAL | {_S.UNCERTAIN}


@attrs.define(eq=False)
class Judge:
    """What the promises allow, per item, kept beside the library.

    Attributes:
        excused: attempts up to this one may be paid again: somebody allowed it.
        keys: which attempt of which job a submit key belongs to.
        owed: handles that were returned to the library and are not in the storage yet.
        gone: the same, when the process died, or the disk refused, before they could be.
        stored: handles that the storage holds, in a record, the journal or the rescue file.
        status: of each job, as it was last written.
        items: item names by job.
        odd: jobs whose journal holds lines that did not become true: fenced, late or rescued ones.
        begun: jobs whose intent was stored in this run.
        seen: attempt and progress of each flow of this run.
    """

    world: World
    excused: dict[str, int] = attrs.field(factory=dict)
    keys: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    owed: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    gone: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    stored: set[str] = attrs.field(factory=set)
    status: dict[int, JobStatus] = attrs.field(factory=dict)
    items: dict[int, str] = attrs.field(factory=dict)
    odd: set[int] = attrs.field(factory=set)
    begun: set[int] = attrs.field(factory=set)
    seen: dict[Task, tuple[int, float]] = attrs.field(factory=dict)

    @property
    def paid(self) -> bool:
        return self.world.plan.work != "free"

    def require(self, holds: bool, promise: str) -> None:
        if not holds:
            raise Broken(promise)

    # -- submissions -----------------------------------------------------------------------

    def leaves(self, job: Job) -> None:
        """A submission leaves the library."""
        self.world.note(f"submit: job {job.id} attempt {job.attempt}")
        assert self.world.runner is not None
        stored = self.world.runner.storage.get(job.id)
        intended = stored is not None and (stored.status, stored.attempt) == (
            _S.SUBMITTING,
            job.attempt,
        )
        # A replay has been intended before; persons may decide its job at any moment.
        replayed = job.status is _S.UNCERTAIN and job.submit_key in self.keys
        self.require(
            intended or replayed, f"job {job.id} is submitted without a stored intent: {stored!r}"
        )
        mine = (job.id, job.attempt)
        owner = self.keys.setdefault(job.submit_key, mine)
        self.require(owner == mine, f"{job.submit_key} is used for {owner} and for {mine}")

    def charged(self, remote: RemoteJob) -> None:
        """The provider has started a job."""
        self.world.tally["charges"] += 1
        if not self.paid:
            return
        allowed = self.excused.get(remote.item, 0)
        others = [
            other.id
            for other in self.world.provider.jobs.values()
            if other.item == remote.item
            and other is not remote
            and attempt_of(other.key) > allowed
            and not (other.state is RemoteState.FAILED and other.script == "flaky")
        ]
        self.require(not others, f"{remote.item} is paid twice: {others} and {remote.id}")
        if len([o for o in self.world.provider.jobs.values() if o.item == remote.item]) > 1:
            self.world.tally["allowed repeats"] += 1

    def returned(self, job: Job, answer: object) -> None:
        """A handle was handed to the library."""
        if not self.paid or not isinstance(answer, Accepted):
            # What costs nothing is left at any moment, and repeated.
            return
        if answer.handle.id not in self.stored:
            self.owed[answer.handle.id] = (job.id, job.attempt)

    def excuse(self, job: Job, why: str) -> None:
        """Somebody allowed that this job is paid again."""
        item = self.items.get(job.id, "")
        self.excused[item] = max(job.attempt, self.excused.get(item, 0))
        self.world.note(f"job {job.id} may be paid again after attempt {job.attempt}: {why}")

    def died(self) -> None:
        """What was owed can no longer be written."""
        self.gone |= self.owed
        self.owed.clear()

    # -- writes ----------------------------------------------------------------------------

    def saving(self, change: Change) -> None:
        """A save that is asked for, whatever becomes of it."""
        if not self.paid:
            return
        needs = change.job.status is _S.SUBMITTING or JobSubmitted in change.told
        self.require(
            change.power_safe or not needs, f"{change.job!r} is saved, but not against a power cut"
        )

    def wrote(self, handles: Sequence[str]) -> None:
        """These handles are in the storage."""
        self.stored.update(handles)
        for handle in handles:
            self.owed.pop(handle, None)
            self.gone.pop(handle, None)

    def saved(self, change: Change) -> None:
        """A runner's change, as it was written."""
        job, was = change.job, self.status[change.job.id]
        self.moved(job, job.status)
        if job.status is was:
            return
        if job.status is _S.SUBMITTING:
            self.begun.add(job.id)
        self.require(
            bool(change.entries) and change.entries[-1].kind in WORDS[job.status],
            f"{job!r}: the journal does not say how it came to {job.status}",
        )
        if JobResubmitted in change.told:
            self.require(self._may_repeat(), f"{job!r} is repeated, which nobody allowed")
            self.excuse(job, "on_uncertain")
        elif self.paid and was in (_S.SUBMITTING, _S.UNCERTAIN, _S.PROCESSING):
            self._left(job, was)

    def _may_repeat(self) -> bool:
        assert self.world.runner is not None
        return self.world.runner.config.on_uncertain == "resubmit"

    def _left(self, job: Job, was: JobStatus) -> None:
        """Out of the hands of the provider: only with a reason."""
        item = self.items[job.id]
        remotes = [
            remote
            for remote in self.world.provider.jobs.values()
            if remote.item == item and attempt_of(remote.key) == job.attempt
        ]
        states = {remote.state for remote in remotes}
        kind = job.error.kind if job.error is not None else None
        if job.status is _S.PENDING:
            again = all(r.script == "flaky" and r.state is RemoteState.FAILED for r in remotes)
            self.require(again, f"{job!r} was accepted, and would be submitted again")
        elif job.status is _S.FAILED:
            told = kind is ErrorKind.UNCERTAIN and was is not _S.PROCESSING
            # A person gave a handle to a client that cannot ask: it says so, and keeps the handle.
            blind = job.error is not None and "no poll method" in job.error.message
            known = RemoteState.FAILED in states or kind in GIVEN_UP or told or blind or not remotes
            self.require(known, f"{job!r} has failed ({kind}), and nobody said so")
        elif job.status is _S.CANCELED:
            self.require(RemoteState.CANCELED in states, f"{job!r}: the provider did not confirm")

    def steered(self, job: Job, was: JobStatus) -> None:
        """A person's change, as it was written."""
        self.moved(job, job.status)
        if job.status is _S.PENDING and was in DECIDED:
            self.excuse(job, "a person")

    def moved(self, job: Job, status: JobStatus) -> None:
        was = self.status[job.id]
        # Without files to fetch, or with files that are here, both steps are one save.
        at_once = status is _S.COMPLETED and _S.COLLECTING in TRANSITIONS[was]
        legal = status is was or status in TRANSITIONS[was] or at_once
        self.require(legal, f"job {job.id} went from {was} to {status}")
        self.status[job.id] = status
        if status is not was:
            self.world.note(f"  job {job.id}: {was} -> {status}")

    def watch(self) -> None:
        """What screens see of the run: progress only grows."""
        assert self.world.runner is not None
        engine = self.world.runner._engine
        for task in engine.scheduler.tasks.values() if engine is not None else ():
            job = engine.live.get(task.key) if engine is not None else None
            if job is None or job.progress is None:
                continue
            # By flow: a job that is left and taken up again begins anew, for this is not stored.
            number, before = self.seen.get(task, (0, 0.0))
            before = before if number == job.attempt else 0.0
            grew = before <= job.progress <= 1.0
            self.require(grew, f"{job!r}: progress went from {before} to {job.progress}")
            self.seen[task] = (job.attempt, job.progress)

    # -- at the end of a run ---------------------------------------------------------------

    def begins(self) -> None:
        """A run begins."""
        self.seen.clear()
        self.begun.clear()

    def ended(self) -> None:
        """A run has ended in order: no submission of its own is left without an outcome."""
        left = [number for number in self.begun if self.status.get(number) is _S.SUBMITTING]
        self.require(not (left and self.paid), f"the run left jobs {left} while it submitted them")

    def settle(self, storage: Storage, batch_id: int) -> None:
        """A run has ended without a death: everything that it was told is written down."""
        self.require(not self.owed, f"handles were returned and are nowhere: {self.owed}")
        self.recount(storage, batch_id)

    def recount(self, storage: Storage, batch_id: int) -> None:
        found: dict[JobStatus, int] = {}
        cost = 0.0
        for job in storage.jobs(batch_id):
            found[job.status] = found.get(job.status, 0) + 1
            cost += job.cost or 0.0
            self.require(
                self.status.get(job.id) is job.status,
                f"{job!r} is stored, and {self.status.get(job.id)} was written",
            )
        counts = dict(storage.counts(batch_id))
        self.require(counts == found, f"counters say {counts}, the jobs are {found}")
        told = storage.cost(batch_id) or 0.0
        self.require(abs(told - cost) < 1e-6, f"the batch has cost {told}, its jobs {cost}")

    def read(self, entries: Sequence[Entry]) -> None:
        """The whole journal of a batch, against the table of transitions."""
        last: dict[int, JobStatus | None] = {}
        for entry in entries:
            status = MEANS.get(entry.kind)
            if not entry.job_id or entry.job_id in self.odd:
                continue
            was = last.get(entry.job_id, _S.PENDING)
            if was is not None and status is not None:
                at_once = status is _S.COMPLETED and was is _S.PENDING
                legal = status is was or status in TRANSITIONS[was] or at_once
                self.require(legal, f"the journal of job {entry.job_id}: {was}, then {entry.kind}")
            last[entry.job_id] = status


def attempt_of(key: str) -> int:
    return int(key.rpartition("-")[2])


def handles_in(entries: Sequence[Entry]) -> list[str]:
    """The handles that journal lines hold."""
    return [
        str(entry.data["handle"]["id"])
        for entry in entries
        if entry.kind == JobSubmitted.kind and entry.data
    ]


def handle_of(job: Job) -> list[str]:
    return [job.handle.id] if isinstance(job.handle, Handle) else []
