"""Signals to real programs: where each leaves the batch; the next run ends it, paid once."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from crash_provider import FileProvider
from crash_script import PROMPTS

from batchkit import BatchRunner, Handle, JobStatus

HERE = Path(__file__).parent


class Program:
    """A program, what it says, and what it is told."""

    def __init__(self, command: Sequence[str | Path], cwd: Path) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "BATCHKIT_LANG": "en"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.heard: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def expect(self, start: str) -> str:
        """The next line that begins so."""
        while True:
            try:
                line = self._lines.get(timeout=30)
            except queue.Empty:
                raise AssertionError(f"never said {start!r}, only {self.heard}") from None
            self.heard.append(line)
            if line.startswith(start):
                return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def answer(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def code(self) -> int:
        return self.process.wait(30)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Place:
    """A folder with a batch in it, and the programs that work on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provider = FileProvider(folder / "ledger.jsonl")
        self.programs: list[Program] = []

    def start(self, executor: str = "threads") -> Program:
        return self.call(sys.executable, HERE / "crash_script.py", self.folder, executor)

    def call(self, *command: str | Path) -> Program:
        self.programs.append(Program(command, self.folder))
        return self.programs[-1]

    def finish(self) -> None:
        """Jobs at the provider may end from now on."""
        (self.folder / "finish").touch()

    def hold(self) -> None:
        """Submissions are accepted, and their answers wait."""
        (self.folder / "hold").touch()

    def let_go(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def ends_well(self, executor: str = "threads") -> None:
        """Another process brings the batch to its end; nothing was paid twice."""
        self.let_go()
        self.finish()
        program = self.start(executor)
        assert program.expect("ended") == "ended completed completed"
        assert program.code() == 0
        assert self.provider.charges() == dict.fromkeys(PROMPTS, 1)

    def resolve(self) -> None:
        """A person looks at the provider's list and tells what is there."""
        with BatchRunner(None, storage=self.folder / "batch.db") as view:
            for job in view.jobs({JobStatus.UNCERTAIN}):
                [handle] = self.provider.handles(job.title)
                assert view.resolve(job, Handle(id=handle))


@pytest.fixture
def hear_hang_ups() -> Iterator[None]:
    """Under nohup everything is deaf to them, and the programs that tests start would be too."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def place(tmp_path: Path, hear_hang_ups: None) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for program in made.programs:
        program.end()


# -- while a job runs at the provider --------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_lets_jobs_in_flight_end(
    place: Place, executor: str, number: signal.Signals
) -> None:
    program = place.start(executor)
    program.expect("polled")

    program.send(number)
    program.expect("stopping: jobs in flight will end first")
    place.finish()

    assert program.expect("ended") == "ended completed pending"
    assert program.code() == 130
    place.ends_well(executor)


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGHUP,),
        (signal.SIGINT, signal.SIGHUP),
    ],
    ids=str,
)
def test_the_second_and_a_lost_terminal_leave_jobs_at_the_provider(
    place: Place, numbers: tuple[signal.Signals, ...]
) -> None:
    program = place.start()
    program.expect("polled")

    for number, says in zip(numbers, ("stopping", "leaving")[-len(numbers) :], strict=True):
        program.send(number)
        program.expect(says)

    assert program.expect("ended") == "ended processing pending"
    assert program.code() == 130
    place.ends_well()


def test_a_program_that_was_told_to_outlive_its_terminal_does(place: Place) -> None:
    place.finish()
    program = place.call("nohup", sys.executable, HERE / "crash_script.py", place.folder, "threads")
    program.expect("submitted ant")
    program.send(signal.SIGHUP)

    assert program.expect("ended") == "ended completed completed"
    assert program.code() == 0


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_kill_while_a_job_runs_loses_nothing(place: Place, executor: str) -> None:
    program = place.start(executor)
    program.expect("polled")

    program.send(signal.SIGKILL)

    assert program.code() == -signal.SIGKILL
    place.ends_well(executor)


# -- while a submission is on its way --------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_submission_on_its_way_is_waited_for(place: Place, number: signal.Signals) -> None:
    place.hold()
    program = place.start()
    program.expect("submitted ant")

    program.send(number)
    program.expect("stopping")
    place.finish()
    program.answer()

    assert program.expect("ended") == "ended completed pending"
    assert program.code() == 130
    place.ends_well()


def test_a_lost_terminal_waits_for_a_submission_on_its_way(place: Place, executor: str) -> None:
    place.hold()
    program = place.start(executor)
    program.expect("submitted ant")

    program.send(signal.SIGHUP)
    if executor != "sequential":
        # There the call itself is in the way: the handler speaks when the line has come.
        program.expect("leaving")
    program.answer()

    assert program.expect("ended") == "ended processing pending"
    assert program.code() == 130
    place.ends_well(executor)


def test_a_service_manager_that_asks_again_does_not_make_it_give_up(place: Place) -> None:
    place.hold()
    program = place.start()
    program.expect("submitted ant")

    for says in ("stopping", "leaving", "leaving"):
        program.send(signal.SIGTERM)
        program.expect(says)
    program.answer()

    assert program.expect("ended") == "ended processing pending"
    assert program.code() == 130
    place.ends_well()


def test_the_third_interrupt_gives_up_and_the_next_run_lists_it(place: Place) -> None:
    place.hold()
    program = place.start()
    program.expect("submitted ant")

    for says in ("stopping", "leaving", "gave up"):
        program.send(signal.SIGINT)
        program.expect(says)
    program.expect("KeyboardInterrupt")
    # A thread still waits for its answer; Python waits for the thread.
    program.answer()
    assert program.code() == -signal.SIGINT

    lists_it(place)


@pytest.mark.parametrize("executor", ["sequential", "trio"])
def test_a_kill_in_a_submission_is_listed_by_the_next_run(place: Place, executor: str) -> None:
    place.hold()
    program = place.start(executor)
    program.expect("submitted ant")

    program.send(signal.SIGKILL)

    assert program.code() == -signal.SIGKILL
    lists_it(place, executor)


def lists_it(place: Place, executor: str = "threads") -> None:
    """The next run holds the first job, ends the other; a person's word ends both, paid once."""
    place.let_go()
    place.finish()
    program = place.start(executor)
    assert program.expect("ended") == "ended uncertain completed"
    assert program.code() == 3

    place.resolve()
    place.ends_well(executor)


# -- the command line ------------------------------------------------------------------------


CLIENT = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from crash_script import WaitingClient

class Client(WaitingClient):
    def __init__(self):
        super().__init__(Path({folder!r}))
"""


@pytest.mark.parametrize(
    ("number", "says", "left"),
    [
        (signal.SIGINT, "stopping", 130),
        (signal.SIGTERM, "stopping", 130),
        (signal.SIGHUP, "leaving", 130),
        (signal.SIGKILL, "", -9),
    ],
)
def test_the_command_line(place: Place, number: signal.Signals, says: str, left: int) -> None:
    client = CLIENT.format(here=str(HERE), folder=str(place.folder))
    (place.folder / "mine.py").write_text(client)
    (place.folder / "prompts.txt").write_text("\n".join(PROMPTS))
    command = (
        sys.executable, "-m", "batchkit_video", "generate", "prompts.txt", "--storage", "batch.db",
        "--client", "mine:Client", "--max-concurrent", "1", "--output", "out",
    )  # fmt: skip
    program = place.call(*command)
    program.expect("polled")

    program.send(number)
    if says == "stopping":
        program.expect(says)
        place.finish()
    assert program.code() == left

    place.finish()
    again = place.call(*command)
    assert again.code() == 0
    assert place.provider.charges() == dict.fromkeys(PROMPTS, 1)
