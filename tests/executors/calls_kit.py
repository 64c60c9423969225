"""Calls to make, and a box that takes what is delivered."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import anyio

from batchkit._calls import Call
from batchkit.clients.base import Method

variable: ContextVar[str] = ContextVar("variable", default="nobody")


class Box:
    """Takes delivered calls."""

    def __init__(self) -> None:
        self.delivered: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def call(self, fn: Callable[..., Any], *args: Any, lane: Any = "call") -> Call:
        is_async = asyncio.iscoroutinefunction(fn)
        method = Method(fn, is_async)
        return Call(method, args, lane, copy_context(), self.delivered.put)

    def next(self) -> Call:
        return self.delivered.get(timeout=10)


def double(value: int) -> int:
    return value * 2


async def double_async(value: int) -> int:
    await anyio.lowlevel.checkpoint()
    return value * 2


def fails() -> None:
    raise ValueError("broken")


async def fails_async() -> None:
    raise ValueError("broken")


def exits() -> None:
    raise SystemExit


async def hangs() -> None:
    await anyio.sleep_forever()
