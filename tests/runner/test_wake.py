"""Webhooks over real HTTP while a batch runs: they save queries, and decide nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchkit import BatchRunner, Job, JobStatus, JobSubmitted, PollPolicy, UsageError, WebhookError
from batchkit._handle import BatchHandle
from batchkit.clients.webhooks import verify_webhook
from batchkit.testing import FakeClient, FakeClock, FakeProvider, FakeServer
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]
#: Seconds that a job takes at the provider.
DURATION = 60.0
HOUR = PollPolicy.fixed(3600)


class Receiver:
    """What a host program has: a page that takes webhooks and wakes the jobs that they name."""

    def __init__(self, server: FakeServer) -> None:
        self.runner: BatchRunner | None = None
        #: What came of each of them: the error, or whether a job was woken.
        self.outcomes: list[object] = []
        receiver, provider = self, server.provider

        class Page(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                secret, now = provider.webhook_secret, provider.clock.time()
                try:
                    hint = verify_webhook(
                        "standard-webhooks", dict(self.headers), body, secret=secret, now=now
                    )
                except WebhookError as exc:
                    receiver.outcomes.append(exc.code)
                    self.send_response(400)
                else:
                    assert receiver.runner is not None
                    receiver.outcomes.append(receiver.runner.wake(handle_id=hint.handle_id))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Not on the screen."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    # Its time stands still until the test moves it; that of the runner is real.
    with FakeServer(duration=DURATION, clock=FakeClock()) as made:
        yield made


@pytest.fixture
def receiver(server: FakeServer) -> Iterator[Receiver]:
    made = Receiver(server)
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def start(
    server: FakeServer, receiver: Receiver, make_runner: MakeRunner
) -> Iterator[Callable[..., tuple[BatchHandle, Job]]]:
    """Starts a batch of one job; returns once the provider has accepted it."""
    started: list[BatchHandle] = []

    def begin(prompt: str, **options: object) -> tuple[BatchHandle, Job]:
        client = server.client(webhook_url=receiver.url)
        runner = make_runner(client, **{"clock": None, "poll": HOUR, **options})
        receiver.runner = runner
        job, accepted = runner.add(prompt), threading.Event()
        runner.on(JobSubmitted)(lambda event: accepted.set())
        handle = runner.start()
        started.append(handle)
        assert accepted.wait(20)
        return handle, job

    yield begin
    for handle in started:
        handle.stop(now=True)
        handle.result(20)


Start = Callable[..., tuple[BatchHandle, Job]]


def pass_time(server: FakeServer, seconds: float = DURATION + 1) -> None:
    clock = server.provider.clock
    assert isinstance(clock, FakeClock)
    clock.advance(seconds)


def polls(server: FakeServer) -> int:
    return server.provider.jobs["remote-1"].polls


def test_a_webhook_saves_every_query_but_one(
    executor: str, start: Start, server: FakeServer, receiver: Receiver, tmp_path: Path
) -> None:
    handle, job = start("a cat", executor=executor, output=tmp_path)
    assert polls(server) == 0
    pass_time(server)

    assert handle.result(20).ok
    assert polls(server) == 1
    until(lambda: receiver.outcomes == [True])
    result = handle.runner.job(job).result
    assert result is not None
    assert result.path is not None
    assert result.path.stat().st_size


def test_without_one_it_takes_many(make_runner: MakeRunner, clock: FakeClock) -> None:
    provider = FakeProvider(duration=DURATION, clock=clock)
    runner = make_runner(FakeClient(provider))
    runner.add("a cat")

    assert runner.run().ok
    assert provider.jobs["remote-1"].polls > 5


def test_one_that_comes_twice_is_one_query(
    executor: str, start: Start, server: FakeServer, receiver: Receiver
) -> None:
    handle, _ = start("a cat [webhook:twice]", executor=executor)
    pass_time(server)

    assert handle.result(20).ok
    until(lambda: len(receiver.outcomes) == 2)
    assert polls(server) == 1


def test_a_forged_one_wakes_nobody(
    executor: str, start: Start, server: FakeServer, receiver: Receiver
) -> None:
    handle, job = start("a cat [webhook:forged fail]", executor=executor)
    until(lambda: receiver.outcomes == ["signature"])
    assert handle.runner.job(job).status is JobStatus.PROCESSING
    assert polls(server) == 0
    pass_time(server)

    summary = handle.result(20)
    until(lambda: receiver.outcomes == ["signature", True])
    assert summary.counts == {JobStatus.FAILED: 1}, "the forger had said that it succeeded"
    assert polls(server) == 1


def test_one_that_never_comes_loses_nothing(
    executor: str, start: Start, server: FakeServer, receiver: Receiver
) -> None:
    pace = PollPolicy.fixed(0.05)
    handle, _ = start("a cat [webhook:missing]", executor=executor, poll=pace)
    until(lambda: polls(server) > 2)
    pass_time(server)

    assert handle.result(20).ok
    assert receiver.outcomes == []


def test_one_that_comes_after_the_end_changes_nothing(
    executor: str, start: Start, server: FakeServer, receiver: Receiver
) -> None:
    handle, job = start("a cat [webhook:late:600]", executor=executor, poll=PollPolicy.fixed(0.05))
    pass_time(server)
    assert handle.result(20).ok
    before, ended = polls(server), handle.runner.job(job)
    pass_time(server, 601)

    until(lambda: receiver.outcomes == [False])
    assert polls(server) == before
    assert handle.runner.job(job) == ended


def test_one_that_comes_too_early_costs_one_query(
    start: Start, server: FakeServer, receiver: Receiver
) -> None:
    handle, job = start("a cat")
    assert handle.wake(handle_id="remote-1")
    until(lambda: polls(server) == 1)
    assert handle.runner.job(job).status is JobStatus.PROCESSING
    pass_time(server)

    assert handle.result(20).ok
    assert polls(server) == 2


def test_a_flood_from_many_threads_is_a_query_a_second(
    executor: str, start: Start, server: FakeServer
) -> None:
    handle, _ = start("a cat [webhook:missing]", executor=executor)
    over = threading.Event()

    def flood() -> None:
        while not over.wait(0.001):
            handle.wake(handle_id="remote-1")
            handle.wake(handle_id="remote-2")

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    try:
        until(lambda: polls(server) >= 2)
        pass_time(server)
        assert handle.result(20).ok
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert 3 <= polls(server) <= 3 + (time.monotonic() - begin)


def test_nobody_is_woken_without_a_run(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    job = runner.add("a cat")

    assert not runner.wake(job)
    assert not runner.wake(job.id)
    assert not runner.wake(handle_id="remote-1")
    assert runner.run().ok
    assert not runner.wake(job)
    assert not runner.wake(handle_id="remote-1")


def test_one_of_two_names_is_needed(make_runner: MakeRunner) -> None:
    runner = make_runner(FakeClient(FakeProvider()))
    with pytest.raises(UsageError, match="handle_id="):
        runner.wake()
    with pytest.raises(UsageError, match="handle_id="):
        runner.wake(1, handle_id="remote-1")
