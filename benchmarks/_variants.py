"""What ``overhead.py`` compares. Every variant takes the same list of texts and runs it all.

The job of the async variants is one ``sleep(0)`` of their loop; the job of the others is a function
that returns its argument. All keep every result: in memory, or in their file.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, NamedTuple

from _ceiling import group_commit

from batchkit import BatchRunner, Capabilities, Finished, Job, JobStatus
from batchkit.storage import MemoryStorage, SQLiteStorage, Storage

Repeat = Literal["paid", "free"]


class Size(NamedTuple):
    """What to run: the items, how many at once, and a folder for files."""

    items: list[str]
    concurrency: int
    folder: Path


class Variant(NamedTuple):
    """One row of a table.

    Attributes:
        group: the table.
        run: what is measured; what it returns holds the results.
        needs: a module without which it is skipped.
        python: the oldest version that the module works with.
    """

    group: str
    run: Callable[[Size], object]
    needs: str = ""
    python: tuple[int, int] = (3, 11)

    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        if sys.version_info < self.python:
            return f"{self.needs} needs Python {'.'.join(map(str, self.python))}"
        try:
            importlib.import_module(self.needs or "sys")
        except ImportError:
            return f"{self.needs} is not installed"
        return ""


def nothing(item: str) -> str:
    return item


async def nothing_async(item: str) -> str:
    await asyncio.sleep(0)
    return item


# -- batchkit: adding the items is measured too ----------------------------------------------


class Plain:
    """A client whose submit returns at once."""

    def __init__(self, repeat: Repeat) -> None:
        self.capabilities = Capabilities(repeat=repeat, sync_result=True)

    def submit(self, job: Job) -> Finished:
        return Finished(text=job.title)


class OnLoop:
    """A client whose submit is one turn of the loop."""

    def __init__(self, repeat: Repeat, sleep: Callable[[float], Awaitable[object]]) -> None:
        self.capabilities = Capabilities(repeat=repeat, sync_result=True)
        self._sleep = sleep

    async def submit(self, job: Job) -> Finished:
        await self._sleep(0)
        return Finished(text=job.title)


def _client(executor: str, repeat: Repeat) -> Plain | OnLoop:
    if executor == "asyncio":
        return OnLoop(repeat, asyncio.sleep)
    if executor == "trio":
        return OnLoop(repeat, importlib.import_module("trio").sleep)
    return Plain(repeat)


def _run(size: Size, executor: str, repeat: Repeat, storage: Storage) -> BatchRunner:
    runner = BatchRunner(
        _client(executor, repeat),
        storage=storage,
        executor=executor,
        delay=0.0,
        max_concurrent=size.concurrency,
    )
    runner.add_many(size.items)
    runner.run()
    assert runner.counts() == {JobStatus.COMPLETED: len(size.items)}
    return runner


def in_memory(executor: str) -> Callable[[Size], object]:
    return lambda size: _run(size, executor, "paid", MemoryStorage())


def on_sqlite(executor: str, repeat: Repeat) -> Callable[[Size], object]:
    """Free work: every commit ``synchronous=NORMAL``. Paid: intents and results FULL."""

    def run(size: Size) -> None:
        storage = SQLiteStorage(size.folder / "batch.db")
        _run(size, executor, repeat, storage).close()
        storage.close()

    return run


# -- bare loops ------------------------------------------------------------------------------

Outcome = tuple[int, str | None, Exception | None, float]


def pool(size: Size) -> list[Outcome]:
    """The floor: tasks that share one iterator, and one record per job."""
    return asyncio.run(_pool(size))


async def _pool(size: Size) -> list[Outcome]:
    outcomes: list[Outcome] = []
    numbered = enumerate(size.items)
    await asyncio.gather(*(_worker(numbered, outcomes) for _ in range(size.concurrency)))
    return outcomes


async def _worker(numbered: Iterator[tuple[int, str]], outcomes: list[Outcome]) -> None:
    for number, item in numbered:
        start = time.perf_counter()
        try:
            value = await nothing_async(item)
        except Exception as exc:
            outcomes.append((number, None, exc, time.perf_counter() - start))
        else:
            outcomes.append((number, value, None, time.perf_counter() - start))


def completed(size: Size) -> list[str]:
    with ThreadPoolExecutor(size.concurrency) as threads:
        futures = [threads.submit(nothing, item) for item in size.items]
        return [future.result() for future in as_completed(futures)]


def ceiling(synchronous: str) -> Callable[[Size], object]:
    return lambda size: group_commit(size.folder / "ceiling.db", size.items, synchronous)


# -- other libraries -------------------------------------------------------------------------


def _module(name: str) -> Any:
    return importlib.import_module(name)


def aiometer(size: Size) -> list[str]:
    async def run() -> list[str]:
        amap = _module("aiometer").amap
        async with amap(nothing_async, size.items, max_at_once=size.concurrency) as results:
            return [result async for result in results]

    return asyncio.run(run())


def joblib(size: Size) -> object:
    library = _module("joblib")
    call = library.delayed(nothing)
    parallel = library.Parallel(n_jobs=size.concurrency, backend="threading")
    return parallel(call(item) for item in size.items)


def pyarallel_async(size: Size, **options: Any) -> object:
    async def run() -> object:
        parallel = _module("pyarallel").async_parallel_map
        return await parallel(nothing_async, size.items, concurrency=size.concurrency, **options)

    return asyncio.run(run())


def pyarallel_threads(size: Size, **options: Any) -> object:
    parallel = _module("pyarallel").parallel_map
    return parallel(nothing, size.items, workers=size.concurrency, **options)


def checkpointed(run: Callable[..., object]) -> Callable[[Size], object]:
    """Stores finished results only, with a commit for each."""
    return lambda size: run(size, checkpoint=size.folder / "checkpoint.db")


ASYNC, SYNC, DURABLE = "async, in memory", "sync, in memory", "durable, in SQLite"
_NEW = (3, 12)

VARIANTS: dict[str, Variant] = {
    "pool on an iterator": Variant(ASYNC, pool),
    "batchkit asyncio": Variant(ASYNC, in_memory("asyncio")),
    "batchkit trio": Variant(ASYNC, in_memory("trio"), "trio"),
    "pyarallel async": Variant(ASYNC, pyarallel_async, "pyarallel", _NEW),
    "aiometer amap": Variant(ASYNC, aiometer, "aiometer"),
    "as_completed": Variant(SYNC, completed),
    "batchkit sequential": Variant(SYNC, in_memory("sequential")),
    "batchkit threads": Variant(SYNC, in_memory("threads")),
    "pyarallel threads": Variant(SYNC, pyarallel_threads, "pyarallel", _NEW),
    "joblib threading": Variant(SYNC, joblib, "joblib"),
    "group commit NORMAL": Variant(DURABLE, ceiling("NORMAL")),
    "group commit FULL": Variant(DURABLE, ceiling("FULL")),
    "batchkit asyncio, free": Variant(DURABLE, on_sqlite("asyncio", "free")),
    "batchkit asyncio, paid": Variant(DURABLE, on_sqlite("asyncio", "paid")),
    "batchkit threads, free": Variant(DURABLE, on_sqlite("threads", "free")),
    "batchkit threads, paid": Variant(DURABLE, on_sqlite("threads", "paid")),
    "pyarallel async, checkpoint": Variant(
        DURABLE, checkpointed(pyarallel_async), "pyarallel", _NEW
    ),
    "pyarallel threads, checkpoint": Variant(
        DURABLE, checkpointed(pyarallel_threads), "pyarallel", _NEW
    ),
}

#: What the rows of a table are compared with: the best peer, and what is possible without one.
REFERENCES: dict[str, tuple[str, str]] = {
    ASYNC: ("pyarallel async", "pool on an iterator"),
    SYNC: ("pyarallel threads", "as_completed"),
    DURABLE: ("pyarallel async, checkpoint", "group commit NORMAL"),
}
