"""Executors: who runs the calls, and how the run waits."""

from __future__ import annotations

from batchkit._errors import UsageError
from batchkit.executors._anyio import AnyioExecutor
from batchkit.executors._sequential import SequentialExecutor
from batchkit.executors._threads import ThreadsExecutor
from batchkit.executors.base import Executor

__all__ = [
    "AnyioExecutor",
    "Executor",
    "make_executor",
    "SequentialExecutor",
    "ThreadsExecutor",
]

#: The names that ``executor=`` understands.
EXECUTORS = ("sequential", "threads", "asyncio", "trio")


def make_executor(spec: str | Executor | None, *, is_async: bool) -> Executor:
    """The executor that a name stands for; by default what suits the client.

    Raises:
        UsageError: there is no executor of that name.
    """
    if spec is None:
        spec = "asyncio" if is_async else "threads"
    if not isinstance(spec, str):
        return spec
    if spec == "sequential":
        return SequentialExecutor()
    if spec == "threads":
        return ThreadsExecutor()
    if spec in ("asyncio", "trio"):
        return AnyioExecutor(backend=spec)
    raise UsageError(f"executor {spec!r} is not known: choose one of {', '.join(EXECUTORS)}")
