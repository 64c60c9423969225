from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from calls_kit import Box

from batchkit._calls import Call
from batchkit._context import is_given_up
from batchkit.executors._calls import ThreadCalls
from batchkit.executors._pool import CollectPool
from waiting_kit import until


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def leave() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def pool() -> Iterator[CollectPool]:
    made = CollectPool(1)
    yield made
    made.close()


def due(box: Box, seconds: float, fn: Any, *args: Any) -> Call:
    call = box.call(fn, *args, lane="collect")
    call.due = seconds
    return call


def test_what_expires_soonest_goes_first(
    pool: CollectPool, box: Box, leave: threading.Event
) -> None:
    order = list[float]()
    pool.start(due(box, 0, leave.wait, 10))
    for seconds in (5, float("inf"), 1, 3, float("inf")):
        pool.start(due(box, seconds, order.append, seconds))
    leave.set()
    for _ in range(6):
        box.next()
    assert order == [1, 3, 5, float("inf"), float("inf")]


def test_a_waiting_call_says_so(pool: CollectPool, box: Box, leave: threading.Event) -> None:
    first, second = due(box, 0, leave.wait, 10), due(box, 0, int)
    pool.start(first)
    pool.start(second)
    until(lambda: not first.queued)
    assert second.queued
    leave.set()
    assert {box.next(), box.next()} == {first, second}
    assert not second.queued


def test_a_stuck_call_holds_up_nobody_for_ever(
    pool: CollectPool, box: Box, leave: threading.Event
) -> None:
    stuck, after = due(box, 0, leave.wait, 30), due(box, 0, int)
    pool.start(stuck)
    until(lambda: not stuck.queued)
    pool.start(after)
    assert stuck.cancel is not None
    stuck.cancel(stuck)
    stuck.cancel(stuck)
    pool.start(due(box, 9, int))
    assert box.next() is after
    box.next()
    # Back from wherever it was, its thread goes: there is one too many.
    leave.set()
    assert box.next() is stuck
    until(lambda: pool._threads == 1)


def test_a_call_that_never_began_is_forgotten(
    pool: CollectPool, box: Box, leave: threading.Event
) -> None:
    ran = list[int]()
    first, second, third = due(box, 0, leave.wait, 10), due(box, 1, ran.append, 2), due(box, 2, int)
    for call in (first, second, third):
        pool.start(call)
    until(lambda: not first.queued)
    assert second.cancel is not None
    second.cancel(second)
    leave.set()
    assert [box.next(), box.next()] == [first, third]
    assert ran == []


def test_a_call_learns_that_nobody_waits_for_it(pool: CollectPool, box: Box) -> None:
    began = threading.Event()

    def work() -> bool:
        began.set()
        until(is_given_up)
        return True

    call = due(box, 0, work)
    pool.start(call)
    began.wait(10)
    assert not is_given_up()
    assert call.cancel is not None
    call.cancel(call)
    assert box.next().outcome()


def test_closing_ends_what_runs_and_forgets_what_waits(box: Box) -> None:
    began, ran = threading.Event(), list[int]()

    def work() -> None:
        began.set()
        until(is_given_up)

    calls = ThreadCalls(1)
    for _ in range(4):
        calls.start(due(box, 0, work))
    calls.start(due(box, 1, ran.append, 1))
    began.wait(10)
    calls.close()
    box.next()
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("batchkit-collect")])
    assert ran == []


def test_threads_of_downloads_keep_no_process_alive(pool: CollectPool, box: Box) -> None:
    pool.start(due(box, 0, threading.current_thread))
    assert box.next().outcome().daemon


def test_a_look_waits_for_no_download(box: Box, leave: threading.Event) -> None:
    calls = ThreadCalls(1)
    for _ in range(10):
        calls.start(due(box, 0, leave.wait, 10))
    look = box.call(int, lane="look")
    calls.start(look)
    assert box.next() is look
    leave.set()
    calls.close()
