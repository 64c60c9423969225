"""What survives a crash: the provider, the clock, the disk, and the notes of what happened."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sim_plan import Mode, draw_plan

from batchkit import Job
from batchkit._config import Control
from batchkit.testing import Crash, FakeClock, FakeProvider

if TYPE_CHECKING:
    from sim_judge import Judge
    from sim_shelf import Shelf

    from batchkit import BatchRunner
    from batchkit.storage import Entry, Storage

#: More points than that in one run are a run that does not end.
MOST_POINTS = 20_000
#: Memory, where there is such a disk: syncing costs nothing there.
_DISK = Path("/dev/shm")


class Broken(BaseException):
    """A promise was broken."""


class Stuck(Broken):
    """A run does not end."""


class SimClock(FakeClock):
    """Time that also jumps, and in which somebody acts when nothing else would happen."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def skip(self, seconds: float | None) -> bool:
        if seconds is None:
            self._world.idle()
            return True
        self._world.passes("wait")
        return super().skip(seconds)

    def jump(self) -> str:
        """Sets the wall clock, or sleeps as a laptop does."""
        rng = self._world.rng
        by = rng.choice((-7200.0, -60.0, 60.0, 7200.0, 90_000.0))
        self.now += by
        if by > 0 and rng.random() < 0.5:
            # Some systems count the time asleep, some do not.
            self.ticks += by
        return f"clock {by:+.0f} s"


class World:
    """Everything that one seed makes, and what outlives each run of it.

    Args:
        seed: decides everything.
        mode: faults to the end, or faults that stop.
        storage: use this one, whatever the seed says.

    Attributes:
        faulty: faults happen now.
        steps: what happened, to be read after a failure.
        tally: how much of everything.
        act: what persons do when somebody is to do something.
        decide: what persons do when nothing happens by itself.
        runner: of the run that goes on, or of the last one.
        shelf: where results are.
        rescued: evidence of a storage without a rescue file.
        running: a run goes on.
    """

    judge: Judge

    def __init__(self, seed: int, mode: Mode, storage: str | None = None) -> None:
        self.seed, self.mode = seed, mode
        self.rng = random.Random(f"{mode}-{seed}")
        self.plan = draw_plan(self.rng, mode, storage)
        self.clock = SimClock(self)
        keeps = self.plan.keeps_keys
        polls = self.rng.randint(1, 4)
        self.provider = FakeProvider(polls=polls, keeps_keys=keeps, clock=self.clock)
        self.faulty = True
        self.steps: list[str] = []
        self.tally: Counter[str] = Counter()
        self.act: Callable[[], None] = _nobody
        self.decide: Callable[[], None] = _nobody
        self.runner: BatchRunner | None = None
        self.shelf: Shelf | None = None
        self.rescued: list[Entry] = []
        self.running = False
        self._points = 0
        self._paused_since: float | None = None
        self._folder: Path | None = None
        self._opened = ExitStack()

    @property
    def folder(self) -> Path:
        if self._folder is None:
            place = _DISK if _DISK.is_dir() else None
            self._folder = Path(tempfile.mkdtemp(prefix="batchkit-sim-", dir=place))
        return self._folder

    @property
    def has_rescue_file(self) -> bool:
        return self.plan.storage not in ("memory", ":memory:")

    @property
    def name(self) -> str:
        """Of the batch; a server may hold those of other seeds."""
        return self.folder.name if self.has_rescue_file else "default"

    def closes(self, storage: Storage) -> Storage:
        """This storage, closed when the simulation ends."""
        self._opened.callback(storage.close)
        return storage

    def close(self) -> None:
        self._opened.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- chance ----------------------------------------------------------------------------

    def draw(self, kind: str) -> bool:
        """Whether this fault happens now."""
        rate = self.plan.rates.get(kind, 0.0) if self.faulty else 0.0
        happens = rate > 0 and self.rng.random() < rate
        if happens:
            self.tally[kind] += 1
        return happens

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Inside, nothing goes wrong."""
        faulty, self.faulty = self.faulty, False
        try:
            yield
        finally:
            self.faulty = faulty

    def note(self, what: str) -> None:
        self.steps.append(f"{self.clock.ticks:10.2f} {what}")

    # -- the batch -------------------------------------------------------------------------

    def controlled(self, control: Control) -> None:
        """What people want of the batch was written."""
        if control is not Control.PAUSED:
            self._paused_since = None
        elif self._paused_since is None:
            self._paused_since = self.clock.ticks

    def paused_for(self) -> float:
        """Monotonic seconds since the batch was paused."""
        return 0.0 if self._paused_since is None else self.clock.ticks - self._paused_since

    def delivered(self, job: Job) -> None:
        """A job was stored as COMPLETED: what it produced has to be there, whole."""
        self.tally["completed"] += 1
        if self.shelf is not None:
            self.shelf.inspect(job)

    # -- points ----------------------------------------------------------------------------

    def begin(self) -> None:
        self._points = 0
        self.tally["runs"] += 1

    def passes(self, point: str) -> None:
        self._points += 1
        self.tally["points"] += 1
        if self._points > MOST_POINTS:
            raise Stuck(f"a run has passed {MOST_POINTS} points and does not end, now at {point}")

    def hook(self, point: str) -> None:
        """Called by the library wherever dying is interesting."""
        self.passes(point)
        self.clock.advance(self.rng.random() * 0.05)
        self.note(f". {point}")
        self.judge.watch()
        if self.draw("crash"):
            self.note(f"CRASH at {point}")
            raise Crash(point)
        if self.draw("jump"):
            self.note(self.clock.jump())
        if self.draw("person"):
            self.act()

    def idle(self) -> None:
        """Nothing will happen by itself: somebody comes and lets it go on."""
        self.passes("idle")
        self.clock.advance(1.0)
        self.decide()


def _nobody() -> None:
    """Nobody acts yet."""
