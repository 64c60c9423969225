"""The conformance suite of clients passes good ones, and says what it could not try."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from check_client_kit import Client, Server, check

import batchkit
from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    NotFoundError,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
    TranscribeVideo,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeClock, FakeProvider, check_client
from batchkit.testing._check_client import CLAUSES


class NotTold(Client):
    """Of a handle that it does not know, this API has another way to speak."""

    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except NotFoundError:
            return RemoteStatus(state=RemoteState.EXPIRED)


@pytest.mark.parametrize("make", [FakeClient, AsyncFakeClient])
def test_the_fakes_pass(make: Callable[[FakeProvider], object]) -> None:
    provider = FakeProvider()

    left = check_client(lambda: make(provider), provider)

    assert left == (
        "submit.failed",
        "submit.garbage",
        "poll.unknown_word",
        "poll.failure",
        "poll.garbage",
        "secrets",
    )


def test_a_fake_that_looks_up_and_replays_passes() -> None:
    provider = FakeProvider(keeps_keys=True)
    capabilities = Capabilities(cancel="running", idempotency="replay")

    check_client(
        lambda: FakeClient(provider, capabilities=capabilities, lookup=True),
        provider,
    )


def test_a_whole_client_passes_and_is_closed() -> None:
    made: list[Client] = []

    def make(server: Server) -> Client:
        made.append(Client(server))
        return made[-1]

    left = check(make, request=TranscribeVideo(source="talk.mp4"))

    assert left == (), "every clause was tried"
    assert len(made) > 5
    assert sum(client.closed for client in made) > 5


def test_an_async_client_stays_on_one_loop() -> None:
    class Async(Client):
        async def submit(self, job: Job) -> Any:
            self.lock = anyio.Lock()
            async with self.lock:
                await anyio.lowlevel.checkpoint()
            return super().submit(job)

        async def poll(self, handle: Handle) -> Any:
            await anyio.lowlevel.checkpoint()
            return super().poll(handle)

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(self)

    closed: list[Client] = []
    check(Async)
    assert closed


class Works:
    """A client whose call is the work."""

    capabilities = Capabilities(sync_result=True)

    def __init__(self, server: Server) -> None:
        self.server = server

    def prepare(self, job: Job) -> dict[str, object]:
        return {"key": job.submit_key}

    def submit(self, job: Job) -> Finished:
        assert job.prepared is not None
        return Finished(text=self.server.submit(str(job.prepared["key"]))["id"])


def test_a_client_whose_call_is_the_work_passes() -> None:
    assert check(Works) == ()


def test_a_plain_function_passes() -> None:
    server = Server()

    def work(request: object) -> str:
        return str(server.submit(str(server.seen))["id"])

    check(lambda _: work, server)


def test_a_declared_replay_that_holds_passes() -> None:
    class Replays(Client):
        capabilities = Capabilities(idempotency="replay")

    check(Replays, Server(replays=True))


def test_a_cancel_that_ends_the_job_passes() -> None:
    class Cancels(Client):
        def cancel(self, handle: Handle) -> Any:
            self.server.canceled.add(handle.id)
            return True

    check(Cancels)


def test_a_cancel_after_which_the_job_is_gone_passes() -> None:
    class Deletes(Client):
        def cancel(self, handle: Handle) -> Any:
            del self.server.polls[handle.id]
            return True

    check(Deletes)


def test_another_word_for_an_unknown_handle_passes() -> None:
    check(NotTold)


def test_an_exception_for_an_unknown_word_passes() -> None:
    class Strict(Client):
        def poll(self, handle: Handle) -> Any:
            answer = self.server.poll(handle.id)
            state = {"running": RemoteState.RUNNING, "done": RemoteState.SUCCEEDED}[answer["state"]]
            return RemoteStatus(state=state)

    check(Strict)


class Paced(Server):
    """A server that refuses to be asked more often than every two seconds."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.asked: dict[str, float] = {}

    def poll(self, found: str) -> dict[str, Any]:
        now, last = self.clock.monotonic(), self.asked.get(found, -9.0)
        self.asked[found] = now
        if now - last < 2.0:
            raise batchkit.RateLimitedError("not so fast")
        return super().poll(found)


def test_the_pace_that_is_declared_is_kept() -> None:
    class Slow(Client):
        capabilities = Capabilities(cancel="running", min_poll_seconds=2.0)

    clock = FakeClock()
    assert check(Slow, Paced(clock), clock=clock) == ()


def test_a_real_clock_really_waits() -> None:
    class Slow(Client):
        capabilities = Capabilities(min_poll_seconds=0.001)

    class Real(FakeClock):
        def skip(self, seconds: float | None) -> bool:
            if seconds is not None and seconds <= 0.001:
                waited.append(seconds)
                return False
            return super().skip(seconds)

    waited: list[float] = []
    check(Slow, clock=Real())
    assert waited


def test_the_hosts_log_level_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)

    check(Client)

    assert (root.level, root.handlers) == (before, handlers)


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def test_a_client_whose_call_is_the_work_may_declare_the_rest() -> None:
    class Declares(Works):
        capabilities = Capabilities(sync_result=True, cancel="running", idempotency="replay")

        def submit(self, job: Job) -> Finished:
            super().submit(job)
            return Finished(outputs=(Output(data=b"small"),))

        def fetch(self, job: Job, output: Output) -> bytes:
            raise AssertionError("what is small needs no fetch")

        def cancel(self, handle: Handle) -> bool:
            raise AssertionError("there is no handle")

    check(Declares)


def test_free_work_may_claim_what_it_likes() -> None:
    class Free(Client):
        capabilities = Capabilities(repeat="free")

        def submit(self, job: Job) -> Any:
            try:
                return super().submit(job)
            except (ConnectionError, KeyError) as exc:
                raise RejectedError("try again") from exc

    check(Free)


def test_a_refusal_before_the_server_need_not_be_counted() -> None:
    class Early(Client):
        def submit(self, job: Job) -> Any:
            if self.server.next == "refuse":
                self.server.next = ""
                raise RejectedError("the client itself refuses")
            return super().submit(job)

    check(Early)


def test_an_output_with_an_address_needs_no_fetch() -> None:
    class Addresses(Client):
        fetch = None  # type: ignore[assignment]

        def poll(self, handle: Handle) -> Any:
            status = super().poll(handle)
            if status.state is not RemoteState.SUCCEEDED:
                return status
            output = Output(url="https://example.org/video.mp4")
            return RemoteStatus(state=status.state, finished=Finished(outputs=(output,)))

    check(Addresses)


def test_a_handle_may_have_data() -> None:
    class Keeps(Client):
        def submit(self, job: Job) -> Any:
            found = self.server.submit(job.submit_key)["id"]
            return Accepted(handle=Handle(id="of no use", data={"at": [found]}))

        def poll(self, handle: Handle) -> Any:
            return super().poll(Handle(id=handle.data["at"][0]))

        find = None  # type: ignore[assignment]

    check(Keeps)


DOCS = Path(__file__).parents[2] / "docs"


def test_every_clause_is_documented_under_its_name() -> None:
    page = (DOCS / "how-to" / "own-client.md").read_text("utf-8")
    names = [clause.name for clause in CLAUSES]

    assert len(set(names)) == len(names)
    assert [name for name in names if f"``{name}``" not in (check_client.__doc__ or "")] == []
    assert [name for name in names if f"`{name}`" not in page] == []
