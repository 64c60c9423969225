"""The conformance suite of clients passes good ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from check_client_kit import Client, NoFetch, Server, check

from batchkit import (
    Capabilities,
    Finished,
    Handle,
    Job,
    Output,
    RejectedError,
    RemoteStatus,
    TranscribeVideo,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider, check_client


@pytest.mark.parametrize("make", [FakeClient, AsyncFakeClient])
def test_the_fakes_pass(make: Callable[[FakeProvider], object]) -> None:
    provider = FakeProvider()

    check_client(
        lambda: make(provider), submissions=lambda: sum(provider.ledger.submissions.values())
    )


def test_a_fake_that_looks_up_and_replays_passes() -> None:
    provider = FakeProvider(keeps_keys=True)
    capabilities = Capabilities(cancel="running", idempotency="replay")

    check_client(
        lambda: FakeClient(provider, capabilities=capabilities, lookup=True),
        submissions=lambda: sum(provider.ledger.submissions.values()),
    )


def test_a_whole_client_passes_and_is_closed() -> None:
    made: list[Client] = []

    def make(server: Server) -> Client:
        made.append(Client(server))
        return made[-1]

    check(make, request=TranscribeVideo(source="talk.mp4"))

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


def test_a_client_whose_call_is_the_work_passes() -> None:
    class Works:
        capabilities = Capabilities(sync_result=True)

        def __init__(self, server: Server) -> None:
            self.server = server

        def prepare(self, job: Job) -> dict[str, object]:
            return {"key": job.submit_key}

        def submit(self, job: Job) -> Finished:
            assert job.prepared is not None
            return Finished(text=self.server.submit(str(job.prepared["key"])))

    check(Works)


def test_a_plain_function_passes() -> None:
    server = Server()

    def work(request: object) -> str:
        return server.submit(str(server.seen))

    check(lambda _: work, server)


def test_a_declared_replay_that_holds_passes() -> None:
    check(lambda server: _replaying(server), Server(replays=True))


def _replaying(server: Server) -> Client:
    client = Client(server)
    client.capabilities = Capabilities(idempotency="replay")
    return client


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
    class Works:
        capabilities = Capabilities(sync_result=True, cancel="running", idempotency="replay")

        def __init__(self, server: Server) -> None:
            self.server = server

        def submit(self, job: Job) -> Finished:
            self.server.submit(job.submit_key)
            return Finished(outputs=(Output(data=b"small"),))

        def fetch(self, job: Job, output: Output) -> bytes:
            raise AssertionError("what is small needs no fetch")

        def cancel(self, handle: Handle) -> bool:
            raise AssertionError("there is no handle")

    check(Works)


def test_a_refusal_before_the_server_need_not_be_counted() -> None:
    class Early(Client):
        def submit(self, job: Job) -> Any:
            if self.server.next == "refuse":
                self.server.next = ""
                raise RejectedError("the client itself refuses")
            return super().submit(job)

    check(Early)


def test_an_output_with_an_address_needs_no_fetch() -> None:
    class Addresses(NoFetch):
        def poll(self, handle: Handle) -> Any:
            status = super().poll(handle)
            if status.finished is None:
                return status
            output = Output(url="https://example.org/video.mp4")
            return RemoteStatus(state=status.state, finished=Finished(outputs=(output,)))

    check(Addresses)
