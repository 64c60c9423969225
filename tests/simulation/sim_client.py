"""A client of the fake provider that meets every fault a network and a bad adapter can make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sim_world import World

from batchkit import (
    Accepted,
    AuthenticationError,
    Finished,
    Handle,
    Job,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    Output,
    RateLimitedError,
    RejectedError,
    RemoteState,
    RemoteStatus,
    ResultExpiredError,
)
from batchkit.testing import content

#: Raised instead of a submission: nothing was accepted. The first ones prove it.
BEFORE: tuple[Callable[[], BaseException], ...] = (
    lambda: NotAcceptedError("the service is busy"),
    lambda: RateLimitedError("slow down", retry_after=3.0),
    lambda: ConnectionRefusedError("nobody answers"),
    lambda: AuthenticationError("the key has no credit"),
    lambda: RejectedError("not like that"),
    lambda: ConnectionResetError("broken off, before"),
    lambda: TimeoutError("too slow, before"),
    lambda: ValueError("a bug in the adapter, before"),
)
#: Raised after a submission was accepted: none of them may be taken for a proof.
AFTER: tuple[Callable[[], BaseException], ...] = (
    lambda: ConnectionResetError("broken off, after"),
    lambda: TimeoutError("too slow, after"),
    lambda: OutcomeUnknownError("nobody knows"),
    lambda: KeyError("a bug in the adapter, after"),
    lambda: SystemExit("an adapter that exits"),
)
#: What an adapter with a bug returns.
GARBAGE: tuple[Any, ...] = (None, "remote-1", {}, 7, ())
QUERY: tuple[Callable[[], BaseException], ...] = (
    lambda: ConnectionResetError("broken off"),
    lambda: TimeoutError("too slow"),
    lambda: RateLimitedError("slow down", retry_after=20.0),
    lambda: NotFoundError("no such job"),
    lambda: AuthenticationError("the key is gone"),
    lambda: RejectedError("not like that"),
    lambda: KeyError("a bug in the adapter"),
)


class SimClient:
    """Methods are given to an object only when the plan offers them."""

    def __init__(self, world: World) -> None:
        self.world, self.provider = world, world.provider
        plan = world.plan
        self.capabilities = plan.capabilities
        self.in_place = plan.executor == "sequential"
        if plan.work != "sync":
            self.poll = self._poll
        for name in plan.offers:
            setattr(self, name, getattr(self, f"_{name}"))

    def _raise(self, kind: str, faults: tuple[Callable[[], BaseException], ...]) -> None:
        if self.world.draw(kind):
            error = self.world.rng.choice(faults)()
            self.world.note(f"{kind}: {type(error).__name__}")
            raise error

    def submit(self, job: Job) -> object:
        if self.in_place:
            self.world.judge.leaves(job)
        answer = self._submit(job)
        if self.in_place:
            self.world.judge.returned(job, answer)
        return answer

    def _submit(self, job: Job) -> object:
        world = self.world
        self._raise("submit before", BEFORE)
        known = set(self.provider.jobs)
        try:
            handle = self.provider.submit(prompt_of(job), job.submit_key)
        finally:
            for new in set(self.provider.jobs) - known:
                world.note(f"charged: {new} for job {job.id} attempt {job.attempt}")
                world.judge.charged(self.provider.jobs[new])
        if world.draw("submit after"):
            self.world.note("the submission was accepted and nobody heard")
            if world.rng.random() < 0.3:
                return world.rng.choice(GARBAGE)
            error = world.rng.choice(AFTER)()
            raise error
        if world.plan.work != "sync":
            return Accepted(handle=handle, poll_after=world.rng.choice((None, None, 0, 7)))
        self.provider.jobs[handle.id].state = RemoteState.SUCCEEDED
        return Finished(outputs=(_output(handle, job),), cost=1.0)

    def _poll(self, handle: Handle) -> object:
        self._raise("poll", QUERY)
        if self.world.draw("poll"):
            return self.world.rng.choice(GARBAGE)
        if self.world.draw("poll"):
            state = self.world.rng.choice(("queued", "simmering", "", "running"))
            progress = self.world.rng.choice((None, -1.0, 0.1, 7.0, float("nan")))
            return RemoteStatus(state=state, progress=progress)
        return self.provider.poll(handle)

    def fetch(self, job: Job, output: Output) -> object:
        world = self.world
        self._raise("fetch", (*QUERY, lambda: ResultExpiredError("deleted")))
        found = self.provider.fetch(output)
        if world.draw("fetch"):
            return world.rng.choice((b"", found[:-1], found + b"x", None, 7, _broken(found)))
        return iter([found]) if world.rng.random() < 0.3 else found

    def _cancel(self, handle: Handle) -> object:
        self._raise("cancel", QUERY)
        if self.world.draw("cancel"):
            return self.world.rng.choice((False, None))
        confirmed = self.provider.cancel(handle)
        self.world.note(f"cancel of {handle.id}: {confirmed}")
        return confirmed

    def _find(self, job: Job, submit_key: str) -> Handle | None:
        self._raise("find", QUERY)
        return self.provider.find(submit_key)

    def _prepare(self, job: Job) -> Mapping[str, object]:
        self._raise("prepare", QUERY)
        return {"upload": job.index}

    def _estimate(self, job: Job) -> float | None:
        return self.world.rng.choice((1.0, 1.0, None))


def _output(handle: Handle, job: Job) -> Output:
    size = len(content(prompt_of(job).partition(" [")[0]))
    return Output(ref=handle.id, media_type="video/mp4", size=size)


def _broken(found: bytes) -> Iterator[bytes]:
    yield found[:5]
    raise ConnectionResetError("broken off in the middle")


def prompt_of(job: Job) -> str:
    """The prompt, which holds the script of its item."""
    return str(getattr(job.request, "prompt", job.title))
