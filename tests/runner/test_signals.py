"""Ctrl-C, sent to real programs. Both sides wait for lines of the other, never for time."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchRunner
from batchkit._signals import interrupts
from batchkit.storage import MemoryStorage
from batchkit.testing import FakeClient, FakeClock, FakeProvider

PROGRAM = """
import logging, signal, sys, threading
import anyio
from batchkit import *

storage, executor, behaviour, kind = sys.argv[1:]
logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
said = set()

def say(*words):
    if words not in said:
        said.add(words)
        print(*words, flush=True)

class Client:
    capabilities = Capabilities()

    def submit(self, job):
        say("submitting", job.title)
        if behaviour == "stuck":
            sys.stdin.readline()
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle):
        say("polled", handle.id)
        if behaviour == "waits":
            sys.stdin.readline()
            return RemoteStatus(state=RemoteState.SUCCEEDED)
        return RemoteStatus(state=RemoteState.RUNNING)

class AsyncClient(Client):
    async def submit(self, job):
        say("submitting", job.title)
        if behaviour == "stuck":
            await anyio.sleep_forever()
        return Accepted(handle=Handle(id=job.title))

if behaviour == "waits" and executor == "host":
    executor = "threads"
    signal.signal(signal.SIGINT, lambda number, frame: say("the host's own handler"))

client = AsyncClient() if kind == "async" else Client()
runner = BatchRunner(
    client,
    # Looks up five times a second: a signal that comes just before a wait begins does not end it.
    storage=storage,
    executor=executor,
    max_concurrent=1,
    delay=0,
    poll=PollPolicy.fixed(0.01),
)
runner.add_many(["a", "b"])
try:
    summary = runner.run()
except KeyboardInterrupt:
    say("gave up")
else:
    say("ended", int(summary.exit_code), summary.stopped or "by itself")
say("jobs", *(str(job.status) for job in runner.jobs()))
"""


class Program:
    """A program under test: what it says, and what it is told."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.heard: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def expect(self, start: str) -> str:
        """The next line that begins so."""
        while True:
            try:
                line = self.lines.get(timeout=15)
            except queue.Empty:
                raise AssertionError(f"never said {start!r}, only {self.heard}") from None
            self.heard.append(line)
            if line.startswith(start):
                return line

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def tell(self) -> None:
        assert self.process.stdin is not None
        # One that waits for nothing may have ended; its exit code tells how.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Any]:
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        started.append(Program(str(tmp_path / "batch.db"), *arguments))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_once_lets_jobs_in_flight_end(executor: str, program: Any) -> None:
    child = program(executor, "waits", "plain")
    child.expect("polled a")

    child.interrupt()
    if executor != "sequential":
        # There the call itself is in the way: the handler speaks when the line has come.
        child.expect("stopping: jobs in flight will end first")
    child.tell()

    assert child.expect("ended") == "ended 130 interrupted"
    assert child.expect("jobs") == "jobs completed pending"
    assert child.process.wait(10) == 0


def test_twice_leaves_jobs_at_the_provider(executor: str, program: Any) -> None:
    child = program(executor, "runs", "async")
    child.expect("polled a")

    child.interrupt()
    child.expect("stopping")
    child.interrupt()
    child.expect("leaving: only submissions on their way are waited for")

    assert child.expect("ended") == "ended 130 interrupted"
    assert child.expect("jobs") == "jobs processing pending"
    assert child.process.wait(10) == 0


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_thrice_gives_up(executor: str, kind: str, program: Any) -> None:
    child = program(executor, "stuck", kind)
    child.expect("submitting a")

    child.interrupt()
    child.expect("stopping")
    child.interrupt()
    child.expect("leaving")
    child.interrupt()
    child.expect("gave up: submissions on their way are listed as uncertain")

    child.expect("gave up")
    assert child.expect("jobs") in ("jobs submitting pending", "jobs uncertain pending")
    child.tell()
    assert child.process.wait(10) == 0


def test_a_hosts_own_handler_is_kept(program: Any) -> None:
    child = program("host", "waits", "plain")
    child.expect("polled a")

    child.interrupt()
    child.expect("the host's own handler")
    child.tell()
    child.expect("polled b")
    child.tell()

    assert child.expect("ended") == "ended 0 by itself"


def test_the_handler_is_put_back(executor: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    during: list[object] = []
    try:
        runner = BatchRunner(
            FakeClient(FakeProvider()),
            storage=MemoryStorage(),
            clock=FakeClock(),
            executor=executor,
            delay=0,
        )
        runner.hook = lambda point: during.append(signal.getsignal(signal.SIGINT))
        runner.add("a")
        runner.run()
        after = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert after is signal.default_int_handler
    assert signal.default_int_handler not in during


def test_a_signal_in_the_middle_of_a_turn_is_heard(executor: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    provider = FakeProvider()
    try:
        runner = BatchRunner(
            FakeClient(provider),
            storage=MemoryStorage(),
            clock=FakeClock(),
            executor=executor,
            delay=0,
            max_concurrent=1,
        )
        sent: list[str] = []

        def hook(point: str) -> None:
            if point == "poll:before" and not sent:
                sent.append(point)
                signal.raise_signal(signal.SIGINT)

        runner.hook = hook
        runner.add_many(["a", "b"])
        summary = runner.run()
    finally:
        signal.signal(signal.SIGINT, before)

    assert summary.stopped == "interrupted"
    assert provider.ledger.charges == {"a": 1}
    assert [str(job.status) for job in runner.jobs()] == ["completed", "pending"]


def test_only_the_main_thread_can_have_handlers() -> None:
    found: list[object] = []

    def work() -> None:
        with interrupts(None):  # type: ignore[arg-type]
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert found == [before]
