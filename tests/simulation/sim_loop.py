"""One seed from its first step to its judgement."""

from __future__ import annotations

import logging
import random
from collections import Counter
from typing import Any

from sim_calls import SimExecutor
from sim_client import SimClient
from sim_judge import Judge
from sim_person import Person
from sim_plan import Mode, draw_config
from sim_shelf import make_shelf
from sim_storage import SimStorage
from sim_world import Broken, Stuck, World

from batchkit import BatchRunner, ErrorKind, JobStatus, StorageError
from batchkit.storage import Storage, open_storage
from batchkit.testing import Crash

_S = JobStatus
#: Runs after which everything has ended, once faults have stopped and persons have decided.
MOST_RUNS = 6
#: So many of the last steps are shown.
SHOWN = 150


class SimulationError(AssertionError):
    """A seed broke a promise; the message says which, and how to see it again."""


def simulate(seed: int, mode: Mode = "safety", storage: str | None = None) -> Counter[str]:
    """Plays one seed; what happened, counted.

    Raises:
        SimulationError: a promise was broken.
    """
    world = World(seed, mode, storage)
    logging.disable(logging.CRITICAL)
    try:
        Simulation(world).play()
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt) and not world.running:
            raise
        raise SimulationError(_report(world, exc)) from exc
    finally:
        logging.disable(logging.NOTSET)
        world.close()
    return world.tally


def _report(world: World, exc: BaseException) -> str:
    steps = world.steps[-SHOWN:]
    storage = f" --storage {world.plan.storage}"
    return "\n".join(
        [
            f"seed {world.seed} ({world.mode}): {type(exc).__name__}: {exc}",
            f"{world.plan}",
            f"the last {len(steps)} of {len(world.steps)} steps:",
            *steps,
            f"seed {world.seed} ({world.mode}): {type(exc).__name__}: {exc}",
            f"again: python -m tests.simulation.run --seed {world.seed} --mode {world.mode}"
            + (storage if world.plan.storage not in ("memory", ":memory:") else ""),
        ]
    )


class Simulation:
    """Runs, deaths and decisions of one batch."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.judge = self.judge = Judge(world)
        world.shelf = make_shelf(world)
        self._kept = self._open() if not world.has_rescue_file else None
        self.person = Person(world, SimStorage(world, self._inner(), faulty=False))
        world.act, world.decide = self.person.act, self.person.decide

    def _open(self) -> Storage:
        spec = self.world.plan.storage
        where = spec.format(folder=self.world.folder) if "{" in spec else spec
        return self.world.closes(open_storage(where))

    def _inner(self) -> Storage:
        """A storage as a new process opens it; memory lives on."""
        return self._kept or self._open()

    def play(self) -> None:
        world = self.world
        for _ in range(world.plan.rounds):
            self.run(self._config())
            for _ in range(world.rng.choice((0, 0, 1, 4))):
                self.person.act()
            world.clock.advance(world.rng.choice((0, 10, 4000)))
        world.faulty = False
        if world.mode == "liveness":
            self._let_it_end()
        self._judge_all()
        self.person.view.close()

    def _config(self) -> dict[str, Any]:
        world = self.world
        return draw_config(world.rng) if world.rng.random() < 0.3 else dict(world.plan.config)

    # -- one run ---------------------------------------------------------------------------

    def run(self, config: dict[str, Any]) -> None:
        world, inner = self.world, self._inner()
        storage: Any = SimStorage(world, inner)
        world.begin()
        world.note(f"-- run {world.tally['runs']} {config}")
        # Looks at a storage are not part of a run; they may fail as they like.
        with world.calm():
            runner = self._runner(storage, config)
        world.runner, world.running = runner, True
        self.judge.begins()
        try:
            self._run(runner)
        finally:
            world.running = False
            if self._kept is None:
                inner.close()
                world.runner = None

    def _runner(self, storage: Any, config: dict[str, Any]) -> BatchRunner:
        world = self.world
        return BatchRunner(
            SimClient(world),
            name=world.name,
            storage=storage,
            executor="sequential" if world.plan.executor == "sequential" else SimExecutor(world),
            artifacts=world.shelf.store if world.shelf is not None else None,
            clock=world.clock,
            rng=random.Random(world.rng.random()),
            hook=world.hook,
            **config,
        )

    def _run(self, runner: BatchRunner) -> None:
        world = self.world
        limit = world.rng.choice((None, None, None, 2))
        try:
            runner.add_many(world.plan.prompts)
            summary = runner.run(limit=None if not world.faulty else limit)
        except Crash:
            world.tally["crashes"] += 1
            self.judge.died()
        except KeyboardInterrupt:
            world.note("gave up")
            self.judge.died()
        except StorageError as exc:
            world.note(f"the run ended: {exc}")
            world.tally["storage errors"] += 1
            self.judge.settle(storage_of(runner), self.person.batch_id)
        else:
            world.note(f"the run ended: {dict(summary.counts)} {summary.stopped}")
            self.judge.ended()
            self.judge.settle(storage_of(runner), self.person.batch_id)

    # -- the end ---------------------------------------------------------------------------

    def _let_it_end(self) -> None:
        config = {**self._config(), "on_uncertain": "hold", "stop_on_error": False}
        self.run(config)
        self._judge_held()
        for _ in range(MOST_RUNS):
            self.person.decide_all()
            self.run(config)
            if all(job.done for job in self.person.view.jobs()):
                return
        left = [job for job in self.person.view.jobs() if not job.done]
        raise Stuck(f"after {MOST_RUNS} runs without faults there is still work: {left}")

    def _judge_held(self) -> None:
        """After a run without faults, nobody is asked what the journal knows."""
        view, inner = self.person.view, storage_of(self.person.view)
        for job in view.jobs({_S.UNCERTAIN}):
            known = inner.evidence(job.id, job.attempt)
            self.judge.require(known is None, f"{job!r} is held, and the journal has {known}")

    def _judge_all(self) -> None:
        view, judge = self.person.view, self.judge
        inner = storage_of(view)
        judge.recount(inner, self.person.batch_id)
        judge.read(inner.journal(self.person.batch_id, 0, 1_000_000))
        titles = Counter(job.title for job in view.jobs())
        judge.require(max(titles.values(), default=0) <= 1, f"items were doubled: {titles}")
        for job in view.jobs():
            cause = job.error is not None or job.status not in (_S.FAILED, _S.EXPIRED)
            judge.require(cause, f"{job!r} ended without a cause")
            if job.status is _S.COMPLETED:
                self.world.delivered(inner.get(job.id) or job)
            if not judge.paid:
                judge.require(job.status is not _S.UNCERTAIN, f"{job!r} costs nothing, and waits")
        self._judge_lost(inner)

    def _judge_lost(self, inner: Storage) -> None:
        """Handles that died with their process: their jobs are listed."""
        for handle, (job_id, attempt) in self.judge.gone.items():
            job = inner.get(job_id)
            if not self.judge.paid or job is None:
                continue
            unsure = job.status in (_S.SUBMITTING, _S.UNCERTAIN)
            unsure |= job.error is not None and job.error.kind is ErrorKind.UNCERTAIN
            excused = self.judge.excused.get(self.judge.items[job_id], 0) >= attempt
            if not (unsure or excused):
                raise Broken(f"{handle} of {job!r}, attempt {attempt}, is nowhere and not listed")


def storage_of(runner: BatchRunner) -> Storage:
    """What is behind the faults."""
    storage: Any = runner.storage
    return storage.inner if isinstance(storage, SimStorage) else storage
