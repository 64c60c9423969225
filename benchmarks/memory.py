"""What a finished job leaves in memory, in a batch of a million on SQLite.

Measured: the growth of the process between the 50,000th job and the last one while the batch runs
(``running``), from before to after adding all of them (``adding``), and the peak. The input is a
generator, so that no list of it exists. *explicit keys* gives each row a key; *by content* lets
batchkit tell equal rows apart, for which it counts what one call of ``add_many`` has seen.

The executor is asyncio, 100 at once. The client's work is free to repeat: no commit waits for the
disk (``synchronous=NORMAL`` throughout), as it would for paid intents and results. Results are
small texts; they go to the file and are not read back. Each variant is a fresh process. What adding
has freed may hide some growth: ``running`` is strict for explicit keys only.

Not measured: the page cache of the operating system, time (the printed µs are a by-product).
Run it with ``python benchmarks/memory.py``; ``--jobs 100000`` is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _kit import ask_child, peak_rss, rss, table

from batchkit import BatchRunner, Capabilities, Finished, Job, JobStatus

CONCURRENCY = 100
VARIANTS = ("explicit keys", "by content")
#: Where measuring begins, unless the batch is too small for that.
_FIRST = 50_000


class Watching:
    """A client that reads the size of the process at one job and at the last one."""

    capabilities = Capabilities(repeat="free", sync_result=True)

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last, self._calls = first, last, 0
        self.sizes: list[int] = []

    async def submit(self, job: Job) -> Finished:
        self._calls += 1
        if self._calls in (self._first, self._last):
            self.sizes.append(rss())
        await asyncio.sleep(0)
        return Finished(text=job.title)


def rows(jobs: int, variant: str) -> Iterator[Any]:
    for number in range(jobs):
        prompt = f"item {number}"
        yield {"prompt": prompt, "key": str(number)} if variant == VARIANTS[0] else prompt


def child(variant: str, jobs: int, folder: str) -> None:
    """One batch in this process; prints bytes and seconds."""
    first = min(_FIRST, jobs // 2)
    client = Watching(first, jobs)
    with (
        tempfile.TemporaryDirectory(dir=folder or None) as place,
        BatchRunner(
            client, storage=Path(place, "batch.db"), executor="asyncio", max_concurrent=CONCURRENCY
        ) as runner,
    ):
        before, start = rss(), time.perf_counter()
        runner.add_many(rows(jobs, variant))
        added, middle = rss(), time.perf_counter()
        runner.run()
        end = time.perf_counter()
        assert runner.counts() == {JobStatus.COMPLETED: jobs}
    grown = client.sizes[1] - client.sizes[0]
    figures = (added - before, grown, jobs - first, peak_rss(), middle - start, end - middle)
    print(json.dumps(figures))


def main() -> None:
    options = _options()
    if options.child:
        child(options.child, options.jobs, options.folder)
        return
    head = ("batch", "adding, B/job", "running, B/job", "peak, MB", "adding, µs", "running, µs")
    found = [_row(variant, options.jobs, options.folder) for variant in VARIANTS]
    print(f"{options.jobs:,} jobs on SQLite, executor asyncio, {CONCURRENCY} at once")
    print(table(head, found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--folder", default="", help="where databases are made")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _row(variant: str, jobs: int, folder: str) -> tuple[str, ...]:
    answer = ask_child(__file__, variant, "--jobs", jobs, "--folder", folder)
    if answer is None:
        return (variant, *["failed"] * 5)
    added, grown, measured, peak, adding, running = answer
    return (
        variant,
        f"{added / jobs:.1f}",
        f"{grown / measured:.2f}",
        f"{peak / 1e6:.0f}",
        f"{adding / jobs * 1e6:.1f}",
        f"{running / jobs * 1e6:.1f}",
    )


if __name__ == "__main__":
    main()
