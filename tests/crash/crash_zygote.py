"""A process that has imported everything and forks a child for each run that it is told of.

A fresh interpreter would cost thirty times as much as the run. It has one thread, so that forking
is safe, and speaks JSON lines: ``{"start": order}`` answers with a process id, ``{"wait": pid}``
with an exit code, ``{"kill": pid}`` ends one without a word.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import trio  # noqa: F401 - imported once, for all children
from crash_provider import AsyncFileClient, FileClient

from batchkit import BatchBusyError, BatchRunner
from batchkit.storage import EncryptedStorage, PostgresStorage, Storage, open_storage
from batchkit.testing import FakeClock

#: Of encrypted storages; made up, so that every run has the same.
_KEY = bytes(range(32))
#: The exit code of a child that died where it was told to; what a shell shows after ``kill -9``.
DIED = 137
#: Another runner had the batch.
BUSY = 3


class Points:
    """The hook: counts the points, dies at one, waits at another.

    Args:
        dies_at: the number of the point; 0 for none.
        waits_at: the name of a point; there it tells that it is there, and waits for a file.
        folder: where these two files are.
    """

    def __init__(self, dies_at: int, waits_at: str, folder: Path) -> None:
        self.passed: list[str] = []
        self._dies_at, self._waits_at, self._folder = dies_at, waits_at, folder

    def __call__(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) == self._dies_at:
            os._exit(DIED)
        if point == self._waits_at:
            self._waits_at = ""
            # Opening a pipe waits for the other side, so nobody has to look again and again.
            (self._folder / "there").write_text("")
            (self._folder / "go").read_bytes()


def storage_of(spec: str, folder: Path) -> Storage:
    """The storage of one run: a file, an encrypted one, or a PostgreSQL server."""
    kind, _, rest = spec.format(folder=folder).rpartition(" ")
    if kind:
        return EncryptedStorage(rest, key=_KEY)
    if rest.startswith("postgresql:"):
        return PostgresStorage(rest, rescue=folder / "rescue.jsonl")
    return open_storage(rest)


def play(order: dict[str, Any]) -> int:
    """One run in this process; its exit code."""
    logging.disable(logging.CRITICAL)
    folder = Path(order["folder"])
    points = Points(order.get("dies_at", 0), order.get("waits_at", ""), folder)
    make = AsyncFileClient if order["executor"] in ("asyncio", "trio") else FileClient
    runner = BatchRunner(
        make(folder / "ledger.jsonl"),
        # A server has the batches of other tests too.
        name=f"{folder.parent.name}-{folder.name}",
        storage=storage_of(order["storage"], folder),
        executor=order["executor"],
        # A later process never sees an earlier time.
        clock=FakeClock(now=1_800_000_000.0 + 10_000 * order["run"]),
        rng=random.Random(7),
        hook=points,
        delay=0,
        output=str(folder / "out"),
    )
    with runner:
        runner.add_many(order["prompts"])
        try:
            runner.run()
        except BatchBusyError:
            return BUSY
        jobs = [[job.title, str(job.status), job.handle and job.handle.id] for job in runner.jobs()]
        report = {"points": points.passed, "jobs": jobs}
        (folder / f"report-{order['run']}.json").write_text(json.dumps(report))
    return 0


def child(order: dict[str, Any]) -> None:
    """Plays in a child, which never comes back from here."""
    code = 1
    try:
        code = play(order)
    except BaseException as exc:
        print(f"the run ended with {exc!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def main() -> None:
    """Serves until the pipe is closed."""
    for line in sys.stdin:
        told = json.loads(line)
        if "start" in told:
            answer = os.fork()
            if not answer:
                child(told["start"])
        elif "kill" in told:
            answer = told["kill"]
            os.kill(answer, signal.SIGKILL)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(told["wait"], 0)[1])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
