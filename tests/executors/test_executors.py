"""The bells that wake an executor, and the executors themselves."""

from __future__ import annotations

import asyncio
import builtins
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from batchkit import BatchRunner, MissingExtraError
from batchkit.executors import AnyioExecutor, ThreadsExecutor
from batchkit.executors._anyio import LoopBell, loop_is_running
from batchkit.executors._blocking import Bell
from batchkit.testing import FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# -- bells -----------------------------------------------------------------------------------------


def test_a_bell_that_was_rung_ends_the_next_wait() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    begin = time.monotonic()
    bell.wait(60)

    assert time.monotonic() - begin < 30
    bell.wait(0.001)


@BACKENDS
def test_a_loops_bell_is_rung_from_any_thread(backend: str) -> None:
    async def main() -> None:
        bell = LoopBell()
        thread = threading.Thread(target=bell.ring)
        thread.start()
        with anyio.fail_after(10):
            await bell.wait(None)
        thread.join()
        await bell.wait(0)
        bell.ring()
        bell.ring()
        with anyio.fail_after(10):
            await bell.wait(5)

    anyio.run(main, backend=backend)


# -- executors -------------------------------------------------------------------------------------


def test_a_pool_has_the_size_that_was_asked_for(make_runner: MakeRunner) -> None:
    most, running, lock = [0], [0], threading.Lock()
    moment = threading.Event()

    def work(request: object) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        moment.wait(0.002)
        with lock:
            running[0] -= 1

    runner = make_runner(work, executor=ThreadsExecutor(threads=2), max_concurrent=10)
    runner.add_many(f"p{number}" for number in range(20))

    assert runner.run().ok
    assert most[0] <= 2


def test_executors_know_their_names() -> None:
    assert AnyioExecutor(backend="trio").name == "trio"
    assert ThreadsExecutor().name == "threads"
    with pytest.raises(ValueError, match="backend"):
        AnyioExecutor(backend="curio")


def test_trio_that_is_not_installed_is_named_with_its_remedy(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_trio(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "trio":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    runner = make_runner(FakeClient(FakeProvider()), executor="trio")
    runner.add("a")
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "trio", raising=False)
        patch.setattr(builtins, "__import__", without_trio)
        with pytest.raises(MissingExtraError, match="batchkit-video\\[trio\\]"):
            runner.run()

    assert runner.run().ok


def test_trio_is_imported_when_it_is_needed(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), executor="trio")
    runner.add("a")
    # Found, and not loaded yet.
    import trio

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "trio")
        patch.setattr(builtins, "__import__", _giving(trio, builtins.__import__))
        from batchkit.executors._anyio import _missing

        assert not _missing("trio")
    assert runner.run().ok


def _giving(module: Any, real: Any) -> Any:
    return lambda name, *args, **kwargs: (
        module if name == module.__name__ else real(name, *args, **kwargs)
    )


def test_a_running_loop_is_noticed() -> None:
    async def inside() -> bool:
        return loop_is_running()

    assert not loop_is_running()
    assert asyncio.run(inside())


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_what_breaks_beside_a_running_loop_is_raised_there(
    name: str, make_runner: MakeRunner
) -> None:
    runner = make_runner(FakeClient(FakeProvider()), executor=name)
    runner.add("a")

    def hook(point: str) -> None:
        raise RuntimeError("a fault of the test")

    runner.hook = hook

    async def notebook_cell() -> None:
        with pytest.raises(RuntimeError, match="a fault of the test"):
            runner.run()

    asyncio.run(notebook_cell())
