"""Where calls run: in place and on threads; and what ends them early."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from calls_kit import Box, double, double_async, exits, fails, fails_async, hangs, variable

from batchkit import OutcomeUnknownError
from batchkit.executors._calls import InlineCalls, ThreadCalls


@pytest.fixture
def box() -> Box:
    return Box()


# -- one call --------------------------------------------------------------------------------------


def test_an_outcome_is_a_value_or_what_was_raised(box: Box) -> None:
    call, broken = box.call(double, 4), box.call(fails)
    call.execute()
    broken.run()

    assert (call.done, call.outcome()) == (True, 8)
    assert box.next() is broken
    with pytest.raises(ValueError, match="broken"):
        broken.outcome()
    assert broken.error is None, "a traceback that is kept would keep its frames alive"


def test_even_an_exit_is_an_outcome(box: Box) -> None:
    call = box.call(exits)
    call.execute()

    with pytest.raises(OutcomeUnknownError, match="the client raised SystemExit"):
        call.outcome()


def test_a_call_sees_its_own_context(box: Box) -> None:
    token = variable.set("the flow's")
    call = box.call(variable.get)
    variable.reset(token)
    call.execute()

    assert call.outcome() == "the flow's"
    assert variable.get() == "nobody"


# -- in place --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [double, double_async])
def test_in_place_every_call_is_done_at_once(fn: Callable[..., Any], box: Box) -> None:
    calls = InlineCalls()
    call = box.call(fn, 4)

    assert calls.start(call)
    assert call.outcome() == 8
    calls.close()


@pytest.mark.parametrize("fn", [fails, fails_async])
def test_in_place_a_fault_is_an_outcome(fn: Callable[..., Any], box: Box) -> None:
    calls = InlineCalls()
    call = box.call(fn)
    calls.start(call)

    with pytest.raises(ValueError, match="broken"):
        call.outcome()
    calls.close()


def test_in_place_an_async_call_sees_its_own_context(box: Box) -> None:
    async def read() -> str:
        return variable.get()

    token = variable.set("the flow's")
    call = box.call(read)
    variable.reset(token)
    calls = InlineCalls()
    calls.start(call)
    calls.close()

    assert call.outcome() == "the flow's"


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that Python's own handler, in the main thread, was told of."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_in_place_a_signal_is_heard_while_an_async_call_is_waited_for(
    box: Box, heard: list[int]
) -> None:
    async def hears() -> str:
        # One that another thread takes does not end the wait of the main thread.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        with anyio.fail_after(10):
            while not heard:
                await anyio.lowlevel.checkpoint()
        return "heard"

    calls = InlineCalls()
    call = box.call(hears)
    calls.start(call)
    calls.close()

    assert call.outcome() == "heard"


# -- on threads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [double, double_async])
def test_threads_deliver(fn: Callable[..., Any], box: Box) -> None:
    calls = ThreadCalls(2)
    call = box.call(fn, 4)

    assert not calls.start(call)
    assert box.next() is call
    assert call.outcome() == 8
    calls.close()


@pytest.mark.parametrize("fn", [fails, fails_async])
def test_threads_deliver_faults(fn: Callable[..., Any], box: Box) -> None:
    calls = ThreadCalls(2)
    calls.start(box.call(fn))

    with pytest.raises(ValueError, match="broken"):
        box.next().outcome()
    calls.close()


def test_a_call_that_returns_at_once_needs_no_thread_but_a_download_does(box: Box) -> None:
    calls = ThreadCalls(2, inline=True)
    here, there = box.call(threading.get_ident), box.call(threading.get_ident, lane="collect")

    assert calls.start(here)
    assert not calls.start(there)
    assert here.outcome() == threading.get_ident() != box.next().outcome()
    calls.close()


def test_downloads_never_hold_up_a_call(box: Box) -> None:
    calls, leave = ThreadCalls(1), threading.Event()
    for _ in range(10):
        calls.start(box.call(leave.wait, 10, lane="collect"))
    query = box.call(double, 1)
    calls.start(query)

    assert box.next() is query
    leave.set()
    calls.close()


def test_an_async_call_on_threads_can_be_ended_early(box: Box) -> None:
    calls = ThreadCalls(1)
    call = box.call(hangs)
    calls.start(call)
    assert call.cancel is not None

    call.cancel(call)

    with pytest.raises(TimeoutError, match="ended early"):
        box.next().outcome()
    calls.close()


def test_closing_ends_async_calls_and_forgets_waiting_ones(box: Box) -> None:
    calls, leave, ran = ThreadCalls(1), threading.Event(), list[int]()
    calls.start(box.call(leave.wait, 10))
    calls.start(box.call(ran.append, 1))
    hanging = box.call(hangs)
    calls.start(hanging)

    calls.close()

    with pytest.raises(TimeoutError, match="ended early"):
        box.next().outcome()
    leave.set()
    box.next()
    assert ran == []
