"""Clients that are made for a run are closed, however it ends; what cannot work is not kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    BatchBusyError,
    BatchRunner,
    StorageFullError,
    TemplateError,
)
from batchkit.storage import MemoryStorage
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider
from waiting_kit import until

MakeRunner = Callable[..., BatchRunner]


class Made:
    """Makes clients, and remembers which were closed."""

    def __init__(self, *, is_async: bool = False) -> None:
        self.provider = FakeProvider()
        self.base: Any = AsyncFakeClient if is_async else FakeClient
        self.made: list[Any] = []
        self.closed: list[Any] = []

    def __call__(self) -> Any:
        raise NotImplementedError

    def make(self) -> Any:
        world = self

        class Sync(FakeClient):
            def close(self) -> None:
                world.closed.append(self)

        class Async(AsyncFakeClient):
            async def aclose(self) -> None:
                world.closed.append(self)

            def close(self) -> None:
                raise AssertionError("aclose comes first")

        client = Async(self.provider) if self.base is AsyncFakeClient else Sync(self.provider)
        self.made.append(client)
        return client


@pytest.mark.parametrize("is_async", [False, True])
def test_each_run_makes_a_client_and_closes_it(
    is_async: bool, executor: str, make_runner: MakeRunner
) -> None:
    world = Made(is_async=is_async)
    runner = make_runner(world.make, executor=executor)
    for prompt in ("a", "b"):
        before = len(world.closed)
        runner.add(prompt)
        assert runner.run().ok
        assert world.closed[before:] == world.made[-1:]


def test_a_client_that_a_runner_made_to_look_at_is_closed_too(make_runner: MakeRunner) -> None:
    world = Made()
    with make_runner(world.make) as runner:
        runner.add("a")
        runner.run()

    assert sorted(map(id, world.closed)) == sorted(map(id, world.made))


def test_a_client_made_for_a_busy_batch_is_closed(make_runner: MakeRunner) -> None:
    world, storage = Made(), MemoryStorage()
    runner = make_runner(world.make, storage=storage)
    storage.acquire(runner.batch.id)

    with pytest.raises(BatchBusyError):
        runner.run()

    assert world.made[1:] == world.closed


@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_is_closed_when_a_run_is_stopped_now(
    is_async: bool, executor: str, make_runner: MakeRunner
) -> None:
    world = Made(is_async=is_async)
    runner = make_runner(world.make, executor=executor)
    runner.add("a")
    runner.hook = lambda point: runner.stop(now=True) if point == "poll:before" else None

    runner.run()

    until(lambda: bool(world.closed), 5)
    assert world.closed == world.made[-1:]


def test_a_client_is_closed_when_a_run_fails(executor: str, make_runner: MakeRunner) -> None:
    class Full(MemoryStorage):
        def save(self, changes: Any) -> Any:
            raise StorageFullError("full")

    world = Made()
    runner = make_runner(world.make, executor=executor, storage=Full())
    runner.add("a")
    with pytest.raises(StorageFullError):
        runner.run()

    until(lambda: bool(world.closed), 5)
    assert world.closed == world.made[-1:]


def test_a_bad_farewell_undoes_nothing(
    executor: str, make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Rude(FakeClient):
        def close(self) -> None:
            raise RuntimeError("already closed")

    def make() -> Rude:
        return Rude(FakeProvider())

    runner = make_runner(make, executor=executor)
    runner.add("a")

    assert runner.run().ok
    assert "closing the client failed: already closed" in caplog.text


def test_a_client_that_was_given_is_not_closed(make_runner: MakeRunner) -> None:
    world = Made()
    runner = make_runner(world.make())
    runner.add("a")

    assert runner.run().ok
    assert world.closed == []


def test_an_async_client_of_a_run_that_cannot_begin_is_closed(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    world = Made(is_async=True)
    (tmp_path / "out").write_text("a file, not a folder")
    runner = make_runner(world.make, output=tmp_path / "out")
    before = len(world.closed)
    with pytest.raises(StorageFullError):
        runner.run()

    assert world.closed[before:] == world.made[-1:]


def test_a_factory_that_fails_leaves_the_batch_free(make_runner: MakeRunner) -> None:
    working = [True, False, True]

    def make() -> FakeClient:
        if not working.pop(0):
            raise RuntimeError("no route to the key store")
        return FakeClient(FakeProvider())

    runner = make_runner(make)
    runner.add("a")
    with pytest.raises(RuntimeError, match="no route"):
        runner.run()

    assert runner.run().ok


def test_options_that_cannot_work_are_not_written_down(tmp_path: Path) -> None:
    db = tmp_path / "batch.db"
    with BatchRunner(FakeClient(FakeProvider()), storage=db, output=tmp_path / "out") as runner:
        runner.add("a")
        runner.run(limit=0)
    with (
        BatchRunner.open(db, FakeClient(FakeProvider()), template="{meta[x]}.{ext}") as wrong,
        pytest.raises(TemplateError, match="has no metadata 'x'"),
    ):
        wrong.run()
    with BatchRunner.open(db) as runner:
        assert runner.config.template == "{index:04d}-{slug}.{ext}"
