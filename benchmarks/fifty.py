"""Fifty jobs at once, each a blocking call of 0.2 s; and ten thousand remote jobs in flight.

Measured first: the wall clock of a batch of fifty (opening, adding, running) against the 0.2 s that
it would take without any cost, in random order with a bare ``ThreadPoolExecutor(50)`` that does the
same. The calls block a thread each under both executors. Work is paid: intents are safe on the disk
before a call begins, which the bare pool does not do.

Measured then: the threads and the memory of a process that follows ten thousand accepted jobs of a
fake provider, on the threads executor; none ends before all are submitted.

Not measured: networks, and the provider. Run it with ``python benchmarks/fifty.py``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _kit import ask_child, peak_rss, rss, spread, table, wait_for_quiet

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobStatus,
    PollPolicy,
    RemoteState,
    RemoteStatus,
)

JOBS = 50
_BARE = "bare ThreadPoolExecutor"


class Blocking:
    """A client whose submit blocks its thread."""

    capabilities = Capabilities(sync_result=True)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def submit(self, job: Job) -> Finished:
        time.sleep(self._seconds)
        return Finished(text=job.title)


class Remote:
    """A provider that takes jobs, and ends none before all are there.

    Attributes:
        threads: most threads that were seen.
        most: most jobs that were in flight at once.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs, self._lock = jobs, threading.Lock()
        self._submitted = self._ended = 0
        self.threads = self.most = 0

    def submit(self, job: Job) -> Accepted:
        with self._lock:
            self._submitted += 1
            self._look()
        return Accepted(handle=Handle(id=str(job.id)))

    def poll(self, handle: Handle) -> RemoteStatus:
        with self._lock:
            self._look()
            if self._submitted < self._jobs:
                return RemoteStatus(state=RemoteState.RUNNING)
            self._ended += 1
            return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(text=handle.id))

    def _look(self) -> None:
        self.threads = max(self.threads, threading.active_count())
        self.most = max(self.most, self._submitted - self._ended)


# -- fifty at once ---------------------------------------------------------------------------


def bare(seconds: float) -> float:
    """Seconds for fifty calls on a pool of threads."""
    start = time.perf_counter()
    with ThreadPoolExecutor(JOBS) as threads:
        list(threads.map(time.sleep, [seconds] * JOBS))
    return time.perf_counter() - start


def batch(executor: str, seconds: float, folder: str) -> float:
    """Seconds for a batch of fifty; without a folder, in memory."""
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        storage = Path(place, "batch.db") if folder else "memory"
        start = time.perf_counter()
        with BatchRunner(
            Blocking(seconds), storage=storage, executor=executor, delay=0.0, max_concurrent=JOBS
        ) as runner:
            runner.add_many(f"item {number}" for number in range(JOBS))
            runner.run()
            assert runner.counts() == {JobStatus.COMPLETED: JOBS}
        return time.perf_counter() - start


def fifty(rounds: int, seconds: float, folder: str) -> None:
    """Prints the table of fifty jobs."""
    variants: dict[str, Callable[[], float]] = {_BARE: lambda: bare(seconds)}
    for executor in ("threads", "asyncio"):
        for place, name in (("", "memory"), (folder, "SQLite")):
            variants[f"batchkit {executor}, {name}"] = _variant(executor, seconds, place)
    found: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name in random.sample(list(variants), len(variants)):
            found[name].append(variants[name]())
    rows = [_row(name, times, found[_BARE], seconds) for name, times in found.items()]
    print(f"{JOBS} jobs at once, {seconds:g} s each, {rounds} rounds")
    print(table(("variant", "s", "x ideal", "x bare pool"), rows))


def _variant(executor: str, seconds: float, folder: str) -> Callable[[], float]:
    return lambda: batch(executor, seconds, folder)


def _row(name: str, times: list[float], pool: list[float], seconds: float) -> tuple[str, ...]:
    ideal = statistics.median(times) / seconds
    ratio = statistics.median(mine / other for mine, other in zip(times, pool, strict=True))
    return (name, spread(times, 4), f"{ideal:.3f}", f"{ratio:.3f}")


# -- ten thousand in flight ------------------------------------------------------------------


def child(jobs: int, folder: str) -> None:
    """Follows that many jobs in this process; prints what was seen."""
    remote = Remote(jobs)
    with (
        tempfile.TemporaryDirectory(dir=folder or None) as place,
        BatchRunner(
            remote,
            storage=Path(place, "batch.db"),
            executor="threads",
            delay=0.0,
            max_concurrent=jobs,
            poll=PollPolicy.fixed(2.0),
        ) as runner,
    ):
        before, start = rss(), time.perf_counter()
        runner.add_many(f"item {number}" for number in range(jobs))
        runner.run()
        seconds = time.perf_counter() - start
        assert runner.counts() == {JobStatus.COMPLETED: jobs}
    print(json.dumps((remote.most, remote.threads, peak_rss(), peak_rss() - before, seconds)))


def fleet(jobs: int, folder: str) -> None:
    """Prints the table of the jobs in flight."""
    answer = ask_child(__file__, "fleet", "--remote", jobs, "--folder", folder)
    if answer is None:
        return
    most, threads, peak, grown, seconds = answer
    head = ("in flight at once", "threads", "peak, MB", "grown, kB/job", "s")
    row = (f"{most:,}", str(threads), f"{peak / 1e6:.0f}", f"{grown / jobs / 1e3:.2f}")
    print(f"\n{jobs:,} remote jobs on SQLite, executor threads")
    print(table(head, [(*row, f"{seconds:.1f}")]))


def main() -> None:
    options = _options()
    if options.child:
        child(options.remote, options.folder)
        return
    wait_for_quiet(options.wait)
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        fifty(options.rounds, options.seconds, folder)
        fleet(options.remote, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each blocking call")
    parser.add_argument("--remote", type=int, default=10_000, help="jobs in flight")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds for a quiet moment")
    parser.add_argument("--folder", default="", help="where databases are made")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
