"""The same operations, in any order, on two backends: they never disagree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from batchkit import BatchBusyError, ErrorKind, GenerateVideo, Handle, Job, JobError, JobResult
from batchkit._events import JobCompleted, JobFailed, JobHeld, JobSubmitted, JobSubmitting
from batchkit._jobs import TERMINAL, TRANSITIONS, JobStatus
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, MemoryStorage, NewJob, SQLiteStorage, Storage

T = TypeVar("T")
_S = JobStatus
LIVE = (_S.SUBMITTING, _S.UNCERTAIN, _S.PROCESSING, _S.COLLECTING)
NAMES = ("one", "two")
IDENTITIES = tuple("abc")
ERRORS = (
    None,
    JobError(kind=ErrorKind.NETWORK, message="busy", remedy="wait"),
    JobError(kind=ErrorKind.PROVIDER, message="no"),
    JobError(kind=ErrorKind.PROVIDER, message="no: request 1", code="E1"),
    JobError(kind=ErrorKind.PROVIDER, message="no: request 2", code="E1", remedy="wait"),
)


def same(job: Job) -> Job:
    """A record without what each backend gives itself or need not keep."""
    facts = {"id": 0, "batch_id": 0, "epoch": 0, "result": None, "metadata": dict(job.metadata)}
    return job.evolve(progress=None, **facts)


@attrs.define
class Held:
    """A job that a runner holds, as each backend handed it over."""

    name: str
    jobs: list[Job]
    owners: list[Storage]


class Agreement(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.storages: list[Storage] = [MemoryStorage(), self.other(Path(self._folder.name))]
        self.now = 1000.0
        self.epochs: dict[str, list[int]] = {}
        self.held: list[Held] = []

    def teardown(self) -> None:
        for storage in self.storages:
            storage.close()
        self._folder.cleanup()

    def other(self, folder: Path) -> Storage:
        return SQLiteStorage(folder / "batch.db", durability="off")

    # -- both at once ----------------------------------------------------------------------

    def each(self, do: Callable[[Storage], T]) -> list[T]:
        return [do(storage) for storage in self.storages]

    def agree(self, do: Callable[[Storage], object]) -> Any:
        memory, sqlite = self.each(do)
        assert memory == sqlite
        return memory

    def batch(self, storage: Storage, name: str) -> int:
        return storage.open_batch(name, 1.0).id

    def find(self, storage: Storage, name: str, identity: str) -> Job | None:
        return storage.find(self.batch(storage, name), identity)

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.add(name, list(IDENTITIES))
            self.acquire(name)

    # -- a person --------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), items=st.lists(st.sampled_from(IDENTITIES), max_size=3))
    def add(self, name: str, items: list[str]) -> None:
        made = []
        for item in items:
            request = GenerateVideo(prompt=item)
            stored, priority = dump_request(request), ord(item) % 3
            made.append(NewJob(identity=item, request=request, stored=stored, priority=priority))
        self.agree(
            lambda s: [new for _, new in s.add(self.batch(s, name), made, self.now)],
        )

    @rule(
        name=st.sampled_from(NAMES),
        item=st.sampled_from(IDENTITIES),
        to=st.sampled_from(_S),
        was=st.sampled_from([None, None, None, *_S]),
        wait=st.none() | st.integers(0, 9),
        priority=st.integers(-1, 3),
    )
    def steer(
        self, name: str, item: str, to: _S, was: _S | None, wait: int | None, priority: int
    ) -> None:
        due = None if wait is None else self.now + wait

        def do(storage: Storage) -> object:
            job = self.find(storage, name, item)
            if job is None:
                return None
            after = job.evolve(status=to, not_before=due, priority=priority)
            after = after.evolve(completed=self.now if to in TERMINAL else None)
            line = Entry(JobHeld.kind, self.now, job.id, job.attempt)
            return storage.steer(after, was or job.status, line)

        self.agree(do)

    @rule(name=st.sampled_from(NAMES), item=st.sampled_from(IDENTITIES))
    def remove(self, name: str, item: str) -> None:
        self.agree(lambda s: (job := self.find(s, name, item)) and s.remove(job.id))

    @rule(name=st.sampled_from(NAMES), item=st.sampled_from(IDENTITIES))
    def request_cancel(self, name: str, item: str) -> None:
        for storage in self.storages:
            if (job := self.find(storage, name, item)) is not None:
                storage.request_cancel(job.id, 5.0)

    @rule(age=st.integers(0, 5))
    def prune(self, age: int) -> None:
        for name in NAMES:
            self.each(lambda s, name=name: s.release(self.batch(s, name)))  # type: ignore[misc]
        self.epochs.clear()
        self.held.clear()
        self.agree(lambda s: s.prune(self.now - age))
        self.agree(lambda s: [batch.name for batch in s.batches()])

    @rule(seconds=st.integers(-3, 6))
    def tick(self, seconds: int) -> None:
        self.now += seconds

    # -- a runner --------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES))
    def acquire(self, name: str) -> None:
        def do(storage: Storage) -> int:
            try:
                return storage.acquire(self.batch(storage, name))
            except BatchBusyError:
                return 0

        taken = self.each(do)
        assert bool(taken[0]) == bool(taken[1]) == (name not in self.epochs)
        if taken[0]:
            self.epochs[name] = taken
            self.take_over(name)

    def take_over(self, name: str) -> None:
        found = [
            list(s.in_flight(self.batch(s, name), e))
            for s, e in zip(self.storages, self.epochs[name], strict=True)
        ]
        self.hold(name, found)

    def hold(self, name: str, found: list[list[Job]]) -> None:
        memory, sqlite = ([same(job) for job in jobs] for jobs in found)
        assert memory == sqlite
        pairs = zip(*found, strict=True)
        self.held += [Held(name, list(pair), list(self.storages)) for pair in pairs]

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        self.each(lambda s: s.release(self.batch(s, name)))
        self.epochs.pop(name, None)

    @precondition(lambda self: self.epochs)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def claim(self, data: st.DataObject, limit: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.epochs)))
        found = [
            list(s.claim(self.batch(s, name), e, limit, self.now))
            for s, e in zip(self.storages, self.epochs[name], strict=True)
        ]
        self.hold(name, found)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wait=st.none() | st.integers(0, 9), error=st.sampled_from(ERRORS))
    def save(self, data: st.DataObject, wait: int | None, error: JobError | None) -> None:
        chosen = data.draw(
            st.lists(st.sampled_from(range(len(self.held))), unique=True, min_size=1)
        )
        group = [self.held[n] for n in chosen]
        steps = [(held, self.next_step(data, held)) for held in group]
        made = [[self.change(h.jobs[i], to, wait, error) for h, to in steps] for i in (0, 1)]
        saved = [s.save(changes) for s, changes in zip(self.storages, made, strict=True)]
        assert saved[0].fenced == saved[1].fenced
        self.held = [held for n, held in enumerate(self.held) if n not in chosen]
        for position, (held, to) in enumerate(steps):
            if position not in saved[0].fenced and to in LIVE:
                held.jobs = [changes[position].job for changes in made]
                self.held.append(held)

    def next_step(self, data: st.DataObject, held: Held) -> _S:
        return data.draw(st.sampled_from(sorted(TRANSITIONS[held.jobs[0].status])))

    def change(self, job: Job, to: _S, wait: int | None, error: JobError | None) -> Change:
        sent = to is _S.SUBMITTING
        after = job.to(
            to,
            attempt=job.attempt + sent,
            handle=Handle(id=f"h{job.attempt}") if to is _S.PROCESSING else job.handle,
            error=error,
            cost=(job.cost or 0.0) + 0.25 if to is _S.COLLECTING else job.cost,
            not_before=None if wait is None else self.now + wait,
            completed=self.now if to in TERMINAL else None,
            result=JobResult(text=f"{self.now}") if to is _S.COLLECTING else job.result,
        )
        kind = {_S.SUBMITTING: JobSubmitting, _S.COMPLETED: JobCompleted}.get(to, JobFailed).kind
        data = None
        if to is _S.PROCESSING:
            kind, data = JobSubmitted.kind, {"handle": {"id": f"h{job.attempt}"}}
        line = Entry(kind, self.now, job.id, after.attempt, data)
        return Change(after, job, [line], result=to is _S.COLLECTING)

    # -- what can be seen ------------------------------------------------------------------

    @invariant()
    def jobs_agree(self) -> None:
        for name in NAMES:
            self.agree(lambda s, n=name: [same(job) for job in s.jobs(self.batch(s, n))])  # type: ignore[misc]
            self.agree(lambda s, n=name: [job.result for job in self.whole(s, n)])  # type: ignore[misc]

    def whole(self, storage: Storage, name: str) -> list[Job]:
        return list(storage.jobs(self.batch(storage, name), results=True))

    @invariant()
    def numbers_agree(self) -> None:
        for name in NAMES:
            self.agree(lambda s, n=name: dict(s.counts(self.batch(s, n))))  # type: ignore[misc]
            self.agree(lambda s, n=name: s.cost(self.batch(s, n)))  # type: ignore[misc]
            self.agree(lambda s, n=name: s.next_due(self.batch(s, n), self.now))  # type: ignore[misc]
            self.agree(lambda s, n=name: self.causes(s, n))  # type: ignore[misc]

    def causes(self, storage: Storage, name: str) -> list[tuple[object, ...]]:
        found = storage.failures(self.batch(storage, name))
        return [
            (c.kind, c.message, c.remedy, c.count, self.title(storage, c.example)) for c in found
        ]

    def title(self, storage: Storage, job_id: int) -> str:
        job = storage.get(job_id)
        return job.title if job else "?"

    @invariant()
    def journals_agree(self) -> None:
        for name in NAMES:
            self.agree(lambda s, n=name: self.lines(s, n))  # type: ignore[misc]
            self.agree(lambda s, n=name: self.attempts(s, n))  # type: ignore[misc]
            self.agree(lambda s, n=name: self.wishes(s, n))  # type: ignore[misc]

    def lines(self, storage: Storage, name: str) -> list[Entry]:
        found = storage.journal(self.batch(storage, name))
        return [entry._replace(seq=0, job_id=0) for entry in found]

    def attempts(self, storage: Storage, name: str) -> list[object]:
        found: list[object] = []
        for job in storage.jobs(self.batch(storage, name)):
            found += [attrs.evolve(each, submit_key="") for each in storage.attempts(job.id)]
            found += [storage.evidence(job.id, number) for number in (1, job.attempt)]
        return found

    def wishes(self, storage: Storage, name: str) -> set[str]:
        wanted = storage.cancel_requests(self.batch(storage, name))
        return {self.title(storage, job_id) for job_id in wanted}


Agreement.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgreement = Agreement.TestCase
