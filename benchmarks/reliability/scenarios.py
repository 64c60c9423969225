"""The five scenarios: what goes wrong, and what the provider's ledger says afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from _work import DIED, item_of

from batchkit.testing import Ledger

HERE = Path(__file__).parent
JOBS = 8
CONCURRENCY = 4
#: Seconds that a program may take.
PATIENCE = 120.0


@attrs.frozen
class Tool:
    """A program that does the jobs with one tool.

    Attributes:
        label: as the table writes it.
        package: its distribution.
        script: the program.
        callback: it has one.
        concurrency: most jobs at once.
        attempts: of a whole job within a run, where the tool repeats it.
    """

    label: str
    package: str
    script: str
    callback: bool = True
    concurrency: int = CONCURRENCY
    attempts: int = 1


BATCHKIT = Tool("batchkit", "batchkit-video", "with_batchkit.py")
_ABL = ("async-batch-llm", "with_async_batch_llm.py")
TOOLS = (
    BATCHKIT,
    Tool("pyarallel", "pyarallel", "with_pyarallel.py"),
    Tool("async-batch-llm", *_ABL),
    Tool("async-batch-llm, its default retries", *_ABL, attempts=3),
    Tool("batchledger", "batchledger", "with_batchledger.py", callback=False, concurrency=1),
    Tool("DBOS", "dbos", "with_dbos.py", callback=False),
)


@attrs.frozen
class Found:
    """What became of the jobs, judged by the ledger.

    Attributes:
        first: items that were charged more than once when the first run was over.
        twice: the same when everything was over.
        failed: items that were charged and that the first whole run calls neither done nor held.
        lost: the same when everything was over.
        held: items that wait for a person's word when everything was over.
        done: items with a result after the first whole run.
        aborted: why that run broke off.
        in_flight: jobs that ran at the provider when the process died.
    """

    first: int
    twice: int
    failed: int
    lost: int
    held: int
    done: int
    aborted: str = ""
    in_flight: int = 0


@attrs.define
class Bench:
    """One tool, one scenario, one provider that outlives the tool's processes."""

    tool: Tool
    python: str
    folder: Path
    url: str
    keys: bool

    def prompts(self, script: str, scripted: int) -> list[str]:
        names = [f"clip-{number}" for number in range(1, JOBS + 1)]
        return [f"{n} [{script}]" if i < scripted else n for i, n in enumerate(names)]

    def command(self, prompts: Sequence[str], **more: Any) -> list[str]:
        told = {
            "url": self.url,
            "folder": str(self.folder),
            "prompts": list(prompts),
            "concurrency": self.tool.concurrency,
            "die": [],
            "keys": self.keys,
            "raises": False,
            "attempts": self.tool.attempts,
        }
        return [self.python, str(HERE / self.tool.script), json.dumps(told | more)]

    def run(self, prompts: Sequence[str], **more: Any) -> dict[str, Any] | None:
        """One run of the program; ``None`` when it died as it was asked to."""
        with (self.folder / "stderr.txt").open("a") as log:
            done = subprocess.run(
                self.command(prompts, **more),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        if done.returncode == DIED:
            return None
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}: {self.last_words()}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def last_words(self) -> str:
        lines = (self.folder / "stderr.txt").read_text().strip().splitlines()
        return lines[-1] if lines else "no message"

    @property
    def ledger(self) -> Ledger:
        path = self.folder / "ledger.jsonl"
        return Ledger.read(path) if path.exists() else Ledger()

    def missing(self, answer: dict[str, Any]) -> int:
        """Items that were charged, and are neither done nor held."""
        return len(set(self.ledger.charges) - set(answer["done"]) - set(answer["held"]))

    def judge(self, prompts: Sequence[str], first: dict[str, Any], **more: Any) -> Found:
        """Runs the same program again, and compares both with the ledger."""
        before, failed = len(self.ledger.charged_twice()), self.missing(first)
        last = self.run(prompts, **more)
        assert last is not None
        assert set(map(item_of, prompts)) >= set(self.ledger.charges)
        return Found(
            first=before,
            twice=len(self.ledger.charged_twice()),
            failed=failed,
            lost=self.missing(last),
            held=len(last["held"]),
            done=len(first["done"]),
            aborted=first["aborted"],
        )


# -- the scenarios -------------------------------------------------------------------------------


def kill(bench: Bench) -> Found:
    """SIGKILL with every slot in flight, then the same program again."""
    prompts = bench.prompts("", 0)
    with (bench.folder / "stderr.txt").open("a") as log:
        process = subprocess.Popen(bench.command(prompts), stdout=log, stderr=log)
    try:
        _await(lambda: _in_flight(bench) >= bench.tool.concurrency, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    in_flight = _in_flight(bench)
    first = bench.run(prompts)
    assert first is not None
    return attrs.evolve(bench.judge(prompts, first), in_flight=in_flight)


def _in_flight(bench: Bench) -> int:
    """Jobs that run, and whose id the tool has had the time to store: it asked for them."""
    ledger = bench.ledger
    running = [bill.item for bill in ledger.bills.values() if bill.state == "running"]
    return sum(ledger.polls[item] > 0 for item in running)


def _await(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the program ended before its jobs were in flight")
        time.sleep(0.05)


def window(bench: Bench) -> Found:
    """Three deaths between acceptance and the save, one job at a time; then to the end."""
    prompts = bench.prompts("", 0)
    more = {"die": ["clip-2", "clip-4", "clip-6"], "concurrency": 1}
    deaths = 0
    while (first := bench.run(prompts, **more)) is None:
        deaths += 1
    if deaths != 3:
        raise RuntimeError(f"it died {deaths} times, and not 3")
    return bench.judge(prompts, first, **more)


def drop(bench: Bench) -> Found:
    """Three submissions are accepted, and the connection breaks before the answer."""
    return _twice(bench, bench.prompts("reset_after", 3))


def blips(bench: Bench) -> Found:
    """Six status queries in a row break, for four jobs."""
    return _twice(bench, bench.prompts("poll:reset*6", 4))


def callback(bench: Bench) -> Found:
    """The third call of the callback raises; the second run has a callback that does not."""
    prompts = bench.prompts("", 0)
    first = bench.run(prompts, raises=True)
    assert first is not None
    return bench.judge(prompts, first)


def _twice(bench: Bench, prompts: list[str]) -> Found:
    first = bench.run(prompts)
    assert first is not None
    return bench.judge(prompts, first)


@attrs.frozen
class Scenario:
    """One row.

    Attributes:
        title: as the table writes it.
        play: makes it happen.
        cell: what the table says of it.
        duration: seconds that a job takes at the provider.
    """

    title: str
    play: Callable[[Bench], Found]
    cell: Callable[[Found], str]
    duration: float = 0.6


def _held(found: Found) -> str:
    return f", held {found.held}" if found.held else ""


SCENARIOS = {
    "kill": Scenario(
        "SIGKILL with jobs in flight, then again: paid twice / lost",
        kill,
        lambda f: f"{f.twice} / {f.lost}{_held(f)} ({f.in_flight} in flight)",
        duration=3.0,
    ),
    "window": Scenario(
        "death between acceptance and save, 3 times: paid twice / lost",
        window,
        lambda f: f"{f.twice} / {f.lost}{_held(f)}",
    ),
    "drop": Scenario(
        "accepted, then the connection breaks, 3 jobs: paid twice in the run / after a re-run"
        " / called failed",
        drop,
        lambda f: f"{f.first} / {f.twice} / {f.lost}{_held(f)}",
    ),
    "blips": Scenario(
        "6 dropped polls in a row, 4 jobs: paid and called failed / paid twice after a re-run",
        blips,
        lambda f: f"{f.failed} / {f.twice}{_held(f)}",
    ),
    "callback": Scenario(
        "a raising callback: done of 8 / paid and not reported / paid twice after a re-run",
        callback,
        lambda f: (
            f"{f.done} / {f.failed} / {f.twice}{', run aborted' if f.aborted else ''}{_held(f)}"
        ),
    ),
}


@contextmanager
def provider(folder: Path, duration: float, *, keys: bool) -> Iterator[str]:
    """A fake provider in a process of its own; its address."""
    words = ["--duration", f"{duration}", "--ledger", str(folder / "ledger.jsonl")]
    words += ["--keys", "replay" if keys else "none"]
    server = subprocess.Popen(
        [sys.executable, "-m", "batchkit.testing.server", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.terminate()
        server.communicate()


def play(tool: Tool, name: str, folder: Path, *, python: str, keys: bool = False) -> Found | None:
    """One scenario with one tool; ``None`` when the tool has nothing that could go wrong so.

    Raises:
        RuntimeError: it could not be run.
    """
    scenario = SCENARIOS[name]
    if name == "callback" and not tool.callback:
        return None
    folder.mkdir(parents=True)
    with provider(folder, scenario.duration, keys=keys) as url:
        return scenario.play(Bench(tool, python, folder, url, keys))
