"""The encrypted storage holds the contract, and nothing in clear reaches the disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from encrypted_help import (
    KEY,
    canary,
    encrypted,
    plant,
    planted_error,
    planted_handle,
    planted_item,
    planted_request,
    planted_result,
    rescued,
    traces,
)
from hypothesis import settings
from sqlite_help import NOW
from test_storage_agreement import Agreement

from batchkit import BatchRunner, ErrorKind, Handle, JobError, JobStatus, UsageError
from batchkit._config import Control
from batchkit._requests import OpaqueRequest
from batchkit.storage import (
    Change,
    EncryptedStorage,
    Failures,
    JSONStorage,
    MemoryStorage,
    SQLiteStorage,
    Storage,
)
from batchkit.testing import FakeClient, FakeClock, FakeProvider, check_storage

_S = JobStatus

FILES: tuple[tuple[str, Callable[[Path], Storage]], ...] = (
    ("batch.db", SQLiteStorage),
    ("session.json", JSONStorage),
)
each_file = pytest.mark.parametrize(("name", "make"), FILES, ids=["sqlite", "json"])


# -- the contract ------------------------------------------------------------------------------


def test_the_contract_over_memory() -> None:
    check_storage(lambda: encrypted(MemoryStorage()))


@each_file
def test_the_contract_over_a_file(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    numbers = itertools.count()

    def reopen(storage: Storage) -> Storage:
        storage.close()
        return encrypted(make(Path(storage.location)))

    check_storage(lambda: encrypted(make(tmp_path / f"{next(numbers)}{name}")), reopen)


class EncryptedAgreement(Agreement):
    def other(self, folder: Path) -> Storage:
        return encrypted(folder / "batch.db")


EncryptedAgreement.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None
)
TestEncryptedAgreement = EncryptedAgreement.TestCase


# -- nothing in clear --------------------------------------------------------------------------


@each_file
def test_no_input_reaches_the_disk(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    with closing(encrypted(make(tmp_path / name))) as storage:
        batch = plant(storage)
        # Beside SQLite's log of what was written.
        files = {path.name for path in tmp_path.iterdir()}
        assert f"{name}.{batch}.rescue.jsonl" in files
        assert name != "batch.db" or "batch.db-wal" in files
        assert traces(tmp_path) == []
        storage.release(batch)
        storage.acquire(batch)
    assert traces(tmp_path) == []


@each_file
def test_the_search_finds_what_is_not_encrypted(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    with closing(make(tmp_path / name)) as storage:
        batch = plant(storage)
        found = traces(tmp_path)
    assert name in found or "batch.db-wal" in found
    assert f"{name}.{batch}.rescue.jsonl" in found


@each_file
def test_every_input_comes_back(tmp_path: Path, name: str, make: Callable[[Path], Storage]) -> None:
    with closing(encrypted(make(tmp_path / name))) as storage:
        batch = plant(storage)
    with closing(encrypted(make(tmp_path / name))) as storage:
        found = storage.find_batch("clear name")
        assert found is not None
        assert (found.control, found.control_reason) == (Control.PAUSED, canary("control"))
        assert canary("output") in found.config
        assert found.client_ref == canary("account")
        done, failed, running, held = storage.jobs(batch, results=True)
        assert done.identity == f"key:{canary('a')}"
        assert [job.request for job in (done, held)] == [planted_request("a"), planted_request("d")]
        assert dict(done.metadata) == {canary("fact"): canary("metadata")}
        assert dict(held.metadata) == {canary("person"): canary("wish")}
        assert (done.handle, done.result) == (planted_handle("done"), planted_result())
        assert done.prepared == {canary("upload"): canary("file id")}
        assert (failed.error, storage.cost(batch)) == (planted_error(), 0.5)
        storage.acquire(batch)
        assert storage.evidence(done.id, 1) == planted_handle("done")
        assert storage.evidence(running.id, 1) == planted_handle("rescued")
        lines = storage.journal(batch)
        assert lines[0].data == {"reason": canary("reason"), "n": [canary("list")]}
        assert lines[-1].data == {
            "handle": {"id": canary("handle rescued"), "data": dict(planted_handle("").data)}
        }
        assert lines[-2].data == {canary("name"): canary("custom")}


@each_file
def test_a_run_leaves_nothing_in_clear(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], Storage],
) -> None:
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY", KEY)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / name
    provider = FakeProvider(polls=2)
    options: dict[str, Any] = {"clock": FakeClock(), "delay": 0, "name": "clear"}
    prompts = [f"{canary(word)} [{word}]" for word in ("fail", "reject", "drop_after", "flaky")]
    with BatchRunner(
        FakeClient(provider), storage=path, output=tmp_path / canary("out"), **options
    ) as runner:
        runner.add_many([canary("plain"), *prompts], metadata={"m": canary("metadata")})
        summary = runner.run()
        assert traces(tmp_path / "data") == []
    assert traces(tmp_path / "data") == []
    with BatchRunner.open(path, FakeClient(provider)) as again:
        assert again.config.output == str(tmp_path / canary("out"))
        assert again.add_many([canary("plain"), *prompts]).new == 0
        assert len(again.failures()) == len(summary.failures) > 0
        assert next(iter(again.results())).title.startswith(canary("plain").split("\u2028")[0])


def test_equal_texts_are_different_on_disk() -> None:
    inner = MemoryStorage()
    with closing(encrypted(inner)) as storage:
        one, two = storage.open_batch("one", NOW).id, storage.open_batch("two", NOW).id
        for batch in (one, two):
            storage.add(batch, [planted_item("a")], NOW)
    [first], [second] = inner.jobs(one), inner.jobs(two)
    assert first.identity != second.identity
    assert first.request != second.request


def test_sealed_requests_are_not_those_of_a_client() -> None:
    """Whoever gets past the check hands its client a request of a kind that it does not know."""
    inner = MemoryStorage()
    plant(encrypted(inner))
    for job in inner.jobs(2):
        assert isinstance(job.request, OpaqueRequest)
        assert job.title == "sealed"


# -- what backends cannot do with sealed values ------------------------------------------------


@pytest.mark.parametrize("make", [MemoryStorage, lambda: SQLiteStorage(":memory:")])
def test_failures_are_grouped_after_they_are_opened(make: Callable[[], Storage]) -> None:
    with closing(encrypted(make())) as storage:
        batch = storage.open_batch("b", NOW).id
        storage.add(batch, [planted_item(str(n)) for n in range(5)], NOW)
        jobs = storage.claim(batch, storage.acquire(batch), 5, NOW)
        busy = JobError(kind=ErrorKind.NETWORK, message="busy", remedy="wait")
        coded = [
            JobError(kind=ErrorKind.PROVIDER, message=f"no: request {n}", code="E1")
            for n in range(2)
        ]
        errors = [coded[0], busy, busy, coded[1], busy]
        storage.save([
            Change(job.evolve(status=_S.FAILED, error=error), job)
            for job, error in zip(jobs, errors, strict=True)
        ])  # fmt: skip
        assert storage.failures(batch) == [
            Failures("network", "busy", "wait", 3, jobs[1].id),
            Failures("provider", "no: request 0", None, 2, jobs[0].id),
        ]


def test_adding_again_finds_what_is_there(tmp_path: Path) -> None:
    for new in (True, False):
        with closing(encrypted(tmp_path / "batch.db")) as storage:
            batch = storage.open_batch("b", NOW).id
            [(job, fresh)] = storage.add(batch, [planted_item("a")], NOW)
            found = storage.find(batch, f"key:{canary('a')}")
            assert fresh is new
            assert found is not None
            assert found.id == job
            assert storage.find(batch, f"key:{canary('b')}") is None


def test_a_rescued_handle_may_hold_anything(tmp_path: Path) -> None:
    with closing(encrypted(tmp_path / "batch.db")) as storage:
        batch = storage.open_batch("b", NOW).id
        storage.add(batch, [planted_item("a")], NOW)
        [job] = storage.claim(batch, storage.acquire(batch), 1, NOW)
        torn = Handle(id="cut \ud83d", data={"deep": [1, None, {"é": "\x00"}]})
        storage.rescue([rescued(job, torn)])
        storage.release(batch)
        storage.acquire(batch)
        assert storage.evidence(job.id, 1) == torn
        assert [attempt.handle for attempt in storage.attempts(job.id)] == []


# -- the place of the keys ---------------------------------------------------------------------


def test_the_place_of_the_keys_is_not_a_batch_of_anybody(tmp_path: Path) -> None:
    with closing(encrypted(tmp_path / "batch.db")) as storage:
        plant(storage)
        assert [batch.name for batch in storage.batches()] == ["clear name"]
        assert storage.find_batch("batchkit.encryption") is None
        with pytest.raises(UsageError, match="choose another"):
            storage.open_batch("batchkit.encryption", NOW)
        # Nobody lives that long: whatever can be pruned is.
        assert storage.prune(1e11) == 0
    with closing(encrypted(tmp_path / "batch.db")) as storage:
        assert [batch.name for batch in storage.batches()] == ["clear name"]


def test_encrypted_once_is_enough() -> None:
    storage = encrypted(MemoryStorage())
    with pytest.raises(UsageError, match="encrypted already"):
        EncryptedStorage(storage, key=KEY)
    assert KEY not in repr(storage)
    assert repr(storage) == "<EncryptedStorage <MemoryStorage 1 batches, 0 jobs>>"
