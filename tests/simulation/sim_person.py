"""A person in another process: looks, steers, decides; at any moment."""

from __future__ import annotations

from collections.abc import Callable

from sim_storage import SimStorage
from sim_world import Broken, World

from batchkit import (
    BatchBusyError,
    BatchRunner,
    Handle,
    Job,
    JobNotFoundError,
    JobStatus,
)
from batchkit._config import Control
from batchkit._jobs import submit_key
from batchkit.testing import FakeClient

_S = JobStatus


class Person:
    """Steers the batch through a runner of their own.

    Args:
        world: whose batch.
        storage: by which this person sees it.
    """

    def __init__(self, world: World, storage: SimStorage) -> None:
        self.world, self._storage = world, storage
        self._added = 0
        #: Nobody is told of what came through the same connection: there they use its runner.
        self._same = not storage.inner.shared
        self._own = BatchRunner(None, name=world.name, storage=storage, clock=world.clock)

    @property
    def batch_id(self) -> int:
        return self._own.batch.id

    @property
    def view(self) -> BatchRunner:
        runner = self.world.runner
        return runner if self._same and runner is not None else self._own

    # -- at any moment ---------------------------------------------------------------------

    def act(self) -> None:
        """One thing that a person may do."""
        name, do = self.world.rng.choice(self._acts())
        self.world.note(f"person: {name}")
        self.world.tally["acts"] += 1
        # Where both share a connection, faults are of the run alone.
        with self.world.calm():
            try:
                do()
            except JobNotFoundError:
                self.world.note("person: it was removed")

    def _acts(self) -> list[tuple[str, Callable[[], object]]]:
        view, rng = self.view, self.world.rng
        acts: list[tuple[str, Callable[[], object]]] = [
            ("pause", view.pause),
            ("resume", view.resume),
            ("resume", view.resume),
            ("stop", view.stop),
            ("stop now", lambda: view.stop(now=True)),
            ("add", self._add),
            ("read", self._read),
            ("prune", self._prune),
            ("run too", self._run_too),
            ("resize", self._resize),
            ("give up", self._give_up),
        ]
        jobs = list(view.jobs())
        if jobs:
            busy = self.world.runner.active() if self.world.runner is not None else []
            job = rng.choice(busy if busy and rng.random() < 0.5 else jobs)
            acts += [(f"{name} {job.id}", do) for name, do in self._on(job)]
        return acts

    def _on(self, job: Job) -> list[tuple[str, Callable[[], object]]]:
        view, rng = self.view, self.world.rng
        return [
            ("hold", lambda: view.hold(job)),
            ("release", lambda: view.release(job)),
            ("cancel", lambda: view.cancel(job)),
            ("retry", lambda: view.retry(job)),
            ("retry, paying,", lambda: rng.random() < 0.3 and view.retry(job, resubmit=True)),
            ("resolve", lambda: self.resolve(job)),
            ("resolve", lambda: self.resolve(job)),
            ("reattach", lambda: self._reattach(job)),
            ("prioritize", lambda: view.prioritize(job, rng.randint(-2, 5))),
            ("remove", lambda: view.remove(job)),
            ("why", lambda: view.why(job)),
            ("wake", lambda: self._wake(job)),
        ]

    def _add(self) -> None:
        self._added += 1
        job = self.view.add(f"more-{self._added}", priority=self.world.rng.randint(-1, 1))
        # The same again is found, and not added.
        if self.view.add(job.request).id != job.id:
            raise Broken(f"{job!r} was added twice")

    def _read(self) -> None:
        view = self.view
        view.progress()
        list(view.events())
        for job in view.jobs():
            view.attempts(job)
            view.why(job)

    def _prune(self) -> None:
        before = [job.id for job in self.view.jobs()]
        if all(job.done for job in self.view.jobs()):
            return
        self.view.prune(0)
        if [job.id for job in self.view.jobs()] != before:
            raise Broken("a batch that has work to do was pruned")

    def _run_too(self) -> None:
        if not self.world.running:
            return
        charges = self.world.provider.ledger.charges.total()
        rival = BatchRunner(
            FakeClient(self.world.provider),
            name=self.world.name,
            storage=self.view.storage,
            clock=self.world.clock,
        )
        try:
            rival.run()
        except BatchBusyError:
            self.world.tally["rivals refused"] += 1
        else:
            raise Broken("two runners worked on one batch")
        if self.world.provider.ledger.charges.total() != charges:
            raise Broken("a rival that was refused has submitted something")

    def _wake(self, job: Job) -> None:
        if self.world.runner is not None:
            self.world.runner.wake(job)

    def _reattach(self, job: Job) -> None:
        if self.view.job(job).handle is not None:
            self.view.reattach(job)

    def _resize(self) -> None:
        self.view.max_concurrent = self.world.rng.randint(1, 8)

    def _give_up(self) -> None:
        runner = self.world.runner
        engine = runner._engine if runner is not None else None
        if engine is not None and self.world.rng.random() < 0.1:
            engine.give_up()

    # -- when they have to -----------------------------------------------------------------

    def resolve(self, job: Job) -> bool:
        """Looks at the provider's list, and says what is there."""
        uid = self.view.batch.uid
        key = submit_key(uid, job.index, job.attempt)
        found = [j for j in self.world.provider.jobs.values() if j.key == key]
        return self.view.resolve(job, Handle(id=found[0].id) if found else "not accepted")

    def decide(self) -> None:
        """Lets a run that waits for a person go on, or ends it."""
        control = self.view.batch.control
        self.world.note(f"person: decides, the batch is {control}")
        if control is Control.PAUSED and self.world.rng.random() < 0.7:
            self.view.resume()
        else:
            self.view.stop(now=self.world.rng.random() < 0.5)

    def decide_all(self) -> None:
        """Answers everything that waits for a person."""
        if self.view.batch.control is Control.PAUSED:
            self.view.resume()
        for job in list(self.view.jobs({_S.PAUSED})):
            self.view.release(job)
        for job in list(self.view.jobs({_S.UNCERTAIN})):
            self.resolve(job)
