"""An executor in which requests take time, arrive late, and pass each other: all by chance."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import attrs
from sim_world import World

from batchkit import Job
from batchkit._calls import Call
from batchkit._engine import DONE, Engine
from batchkit._io import CrashError

#: Seconds that a slow request, or its answer, is under way.
SLOW = (8.0, 100.0, 1000.0)


@attrs.define(eq=False)
class Request:
    """A call under way: first it has its effect, then the answer comes."""

    call: Call
    probe: Call
    answers_in: float
    arrived: bool = False
    dropped: bool = False


class SimCalls:
    """Runs calls on the simulated time."""

    in_place = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._under_way: list[tuple[float, int, Request]] = []
        self._count = 0

    def start(self, call: Call) -> bool:
        world = self._world
        if _is_submission(call):
            world.judge.leaves(call.args[0])
        if world.rng.random() < 0.2:
            call.execute()
            self._heard(call, call.value)
            return True
        probe = Call(call.method, call.args, call.lane, call.context, _to_nobody)
        request = Request(call, probe, self._latency())
        if world.rng.random() < 0.3:
            call.withdraw = lambda: self._withdraw(request)
        call.cancel = lambda _: self._drop(request)
        self._push(request, self._latency())
        return False

    def _latency(self) -> float:
        world = self._world
        slow = world.rng.choice(SLOW) if world.draw("slow") else 0.0
        return world.rng.random() + slow

    def _push(self, request: Request, seconds: float) -> None:
        self._count += 1
        at = self._world.clock.ticks + seconds
        heapq.heappush(self._under_way, (at, self._count, request))

    def _withdraw(self, request: Request) -> bool:
        if request.arrived:
            return False
        request.dropped = True
        self._world.note("withdrawn: it never left")
        return True

    def _drop(self, request: Request) -> None:
        request.dropped = True

    # -- time ------------------------------------------------------------------------------

    def wait(self, until: float | None) -> None:
        """Until something is due: for the engine, or of a request."""
        world = self._world
        world.passes("wait")
        if world.draw("person"):
            world.act()
            self._advance(world.clock.ticks + 0.25)
            return
        while self._under_way and self._under_way[0][2].dropped:
            heapq.heappop(self._under_way)
        times = [until] if until is not None else []
        times += [self._under_way[0][0]] if self._under_way else []
        if times:
            self._advance(min(times))
        else:
            world.idle()

    def _advance(self, until: float) -> None:
        clock = self._world.clock
        clock.advance(max(0.0, until - clock.ticks))
        while self._under_way and self._under_way[0][0] <= clock.ticks:
            request = heapq.heappop(self._under_way)[2]
            if not request.dropped:
                self._go_on(request)

    def _go_on(self, request: Request) -> None:
        if not request.arrived:
            self._arrive(request)
            self._push(request, request.answers_in)
            return
        call, probe = request.call, request.probe
        self._heard(call, probe.value)
        call.finish(probe.value, probe.error)

    def _arrive(self, request: Request) -> None:
        request.arrived = True
        request.probe.execute()
        if isinstance(request.probe.error, CrashError):
            raise request.probe.error

    def _heard(self, call: Call, value: Any) -> None:
        if _is_submission(call):
            self._world.judge.returned(call.args[0], value)

    def leave(self) -> None:
        """The run is over or dead; what was sent may still reach the provider, now or never."""
        for _, _, request in sorted(self._under_way, key=lambda entry: entry[:2]):
            sent = not request.arrived and not request.dropped and _is_submission(request.call)
            if sent and self._world.rng.random() < 0.5:
                self._world.note("a request arrives, and nobody waits for its answer")
                request.probe.execute()


@attrs.frozen
class SimExecutor:
    """Many jobs at once on one thread, requests by chance."""

    world: World
    name: str = attrs.field(default="simulated", init=False)
    capacity: int | None = attrs.field(default=None, init=False)

    def run(self, engine: Engine) -> None:
        engine.calls = calls = SimCalls(self.world)
        try:
            while (until := engine.turn()) != DONE:
                calls.wait(until)
        except BaseException as exc:
            engine.abandon(exc)
            raise
        finally:
            calls.leave()

    async def run_async(self, engine: Engine) -> None:
        raise NotImplementedError("the simulation has no event loop")


def _is_submission(call: Call) -> bool:
    return call.method.fn.__name__ == "submit" and isinstance(call.args[0], Job)


_to_nobody: Callable[[Call], None] = lambda call: None  # noqa: E731
