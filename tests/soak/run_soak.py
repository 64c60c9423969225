"""Runs a batch against a fake server, and kills the program that runs it, again and again.

In the end the provider's ledger has to balance to the cent, and every job has to be ended or
listed::

    python tests/soak/run_soak.py --jobs 2000 --kills 100
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from batchkit import BatchRunner, JobStatus
from batchkit._jobs import HELD, TERMINAL
from batchkit.testing import SEEDED, Ledger, LedgerReport, content

CHILD = Path(__file__).with_name("soak_child.py")
#: Sync clients run on each of these.
EXECUTORS = ("threads", "asyncio", "trio")
#: Seconds after which a life that should end by itself is taken for stuck.
STUCK = 900.0


@attrs.frozen(kw_only=True)
class Plan:
    """One soak.

    Attributes:
        folder: everything that it writes.
        jobs: how many.
        kills: how often the program is killed.
        seed: of the server's faults and of the moments of death.
        rate: share of requests that go wrong.
        keys: what the provider does with submit keys.
        life: most seconds that the program lives, before it is killed; drawn anew each time.
        duration: seconds that a job takes, as a distribution.
        concurrent: jobs in flight at once.
        leave_out: faults that are not drawn, separated by commas.
        rudeness: of the client, see ``RudeHTTPFakeClient``: then the soak has to find faults.
    """

    folder: Path
    jobs: int = 2000
    kills: int = 100
    seed: int = 1
    rate: float = 0.2
    keys: str = "none"
    life: float = 2.0
    duration: str = "lognormal:1.5,0.8"
    concurrent: int = 40
    leave_out: str = ""
    rudeness: str = ""


@attrs.define(kw_only=True)
class Outcome:
    """What a soak found out.

    Attributes:
        kills: deaths.
        lives: times that the program was started.
        seconds: how long it took.
        allowed: items that a person allowed to be submitted again.
        counts: jobs by status in the end.
        report: the comparison with the ledger.
        ledger: what the provider counted.
        faults: everything that is wrong.
    """

    kills: int = 0
    lives: int = 0
    seconds: float = 0.0
    allowed: frozenset[str] = frozenset()
    counts: Counter[str] = attrs.field(factory=Counter)
    report: LedgerReport = attrs.field(factory=LedgerReport)
    ledger: Ledger = attrs.field(factory=Ledger)
    faults: list[str] = attrs.field(factory=list)

    @property
    def headline(self) -> str:
        """One line: how often it died, and what became of the jobs."""
        counts = ", ".join(f"{number} {status}" for status, number in sorted(self.counts.items()))
        return f"{self.kills} kills, {self.lives} lives, {self.seconds:.0f} s: {counts}"

    def __str__(self) -> str:
        ledger = self.ledger
        lines = [
            self.headline,
            f"provider: {ledger.submissions.total()} submissions, {ledger.charges.total()} started",
            f"          {ledger.polls.total()} polls, {ledger.downloads.total()} downloads",
            f"uncertain and submitted again by permission: {len(self.allowed)}",
            str(self.report),
            *(f"FAULT: {fault}" for fault in self.faults),
        ]
        return "\n".join(lines)


def soak(plan: Plan) -> Outcome:
    """Runs, kills, decides, runs to the end, and judges."""
    begun = time.monotonic()
    outcome = Outcome()
    with serving(plan) as url:
        program = Program(plan, url, outcome)
        program.live_and_die(plan.kills)
        program.live()
        outcome.allowed = allow_half(plan)
        # What was allowed is submitted again by a program that dies as well.
        program.live_and_die(max(1, plan.kills // 20))
        program.live()
    judge(plan, outcome)
    outcome.seconds = time.monotonic() - begun
    return outcome


@contextmanager
def serving(plan: Plan) -> Iterator[str]:
    """A server in a process of its own; it outlives every death of its client."""
    options = {
        "seed": plan.seed,
        "fault-rate": plan.rate,
        "keys": plan.keys,
        "duration": plan.duration,
        "price": "uniform:0.05,2",
        "ledger": plan.folder / "ledger.jsonl",
    }
    command = [sys.executable, "-m", "batchkit.testing.server"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    # A key that is refused now and then pauses the batch.
    for operation, more in (("submit", {"401"}), ("poll", {"401"}), ("job", set[str]())):
        words = {*SEEDED[operation], *more}.difference(plan.leave_out.split(","))
        command += ["--faults", f"{operation}={','.join(sorted(words))}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


class Program:
    """The program that is killed."""

    def __init__(self, plan: Plan, url: str, outcome: Outcome) -> None:
        self.plan, self.url, self.outcome = plan, url, outcome
        self.rng = random.Random(plan.seed)

    def _start(self) -> subprocess.Popen[str]:
        plan = self.plan
        options = {
            "url": self.url,
            "keys": plan.keys,
            "rudeness": plan.rudeness,
            "storage": str(plan.folder / "batch.db"),
            "output": str(plan.folder / "out"),
            "jobs": str(plan.jobs),
            "concurrent": str(plan.concurrent),
            "executor": self.rng.choice(EXECUTORS),
        }
        self.outcome.lives += 1
        log = (plan.folder / "child.log").open("a")
        with log:
            return subprocess.Popen(
                [sys.executable, str(CHILD), json.dumps(options)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def live_and_die(self, times: int) -> None:
        """Starts the program and kills it, so often; earlier only when nothing is left to do."""
        for _ in range(times):
            with self._start() as child:
                assert child.stdout is not None
                child.stdout.readline()
                try:
                    child.wait(self.rng.uniform(0.05, self.plan.life))
                except subprocess.TimeoutExpired:
                    child.kill()
                    self.outcome.kills += 1
                else:
                    return

    def live(self) -> None:
        """Lets the program run to its end."""
        with self._start() as child:
            try:
                child.wait(STUCK)
            except subprocess.TimeoutExpired:
                child.kill()
                self.outcome.faults.append(f"the program did not end within {STUCK:g} s")
            else:
                if child.returncode:
                    self.outcome.faults.append(f"the program ended with {child.returncode}")


def opened(plan: Plan) -> BatchRunner:
    """The batch, to look at and to decide about."""
    return BatchRunner.open(plan.folder / "batch.db")


def allow_half(plan: Plan) -> frozenset[str]:
    """A person looks at what is uncertain, and lets every other one be submitted again."""
    with opened(plan) as batch:
        chosen = list(batch.jobs(JobStatus.UNCERTAIN))[::2]
        return frozenset(job.title for job in chosen if batch.retry(job, resubmit=True))


def judge(plan: Plan, outcome: Outcome) -> None:
    """The promises, from both sides."""
    outcome.ledger = Ledger.read(plan.folder / "ledger.jsonl")
    with opened(plan) as batch:
        outcome.report = outcome.ledger.check(batch, allowed=outcome.allowed)
        jobs = [batch.job(job) for job in batch.jobs()]
    outcome.counts = Counter(str(job.status) for job in jobs)
    outcome.faults += faults_of(plan, jobs)
    if not outcome.report.ok:
        outcome.faults.append("the ledger disagrees")


def faults_of(plan: Plan, jobs: Sequence[Any]) -> Iterator[str]:
    """What the batch itself shows to be wrong."""
    if len(jobs) != plan.jobs:
        yield f"{len(jobs)} jobs are stored of {plan.jobs}"
    for job in jobs:
        if job.status not in TERMINAL | HELD:
            yield f"{job!r} neither ended nor is it listed"
        if job.done and job.status is not JobStatus.COMPLETED and job.error is None:
            yield f"{job!r} ended without a cause"
        if job.status is JobStatus.COMPLETED:
            path = None if job.result is None else job.result.path
            if path is None or path.read_bytes() != content(job.title):
                yield f"{job!r} is completed, and its file is not what was made"


def main() -> int:
    """Runs one soak with the options of the command line; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in attrs.fields(Plan):
        default = None if field.default is attrs.NOTHING else field.default
        kind = type(default) if default is not None else Path
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=default, required=default is None)
    options = vars(parser.parse_args())
    options["folder"].mkdir(parents=True)
    outcome = soak(Plan(**options))
    print(outcome)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
