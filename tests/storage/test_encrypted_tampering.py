"""Values that somebody altered, or moved to another place: they do not open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from encrypted_help import (
    KEY,
    canary,
    encrypted,
    plant,
    planted_error,
    planted_handle,
    planted_item,
)
from json_help import facts
from sqlite_help import NOW, other_program

from batchkit import JobStatus, StorageCorruptError, StorageError
from batchkit.storage import Change, EncryptedStorage, MemoryStorage, SQLiteStorage, Storage

_S = JobStatus
MOVED = "altered, or moved here from another place: restore a copy"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two batches with a value in every field; in the second, two jobs of one kind."""
    path = tmp_path / "batch.db"
    with closing(encrypted(path)) as storage:
        plant(storage)
        batch = storage.open_batch("second", NOW).id
        storage.update_batch(batch, config='{"output":"elsewhere"}', client_ref="another account")
        storage.add(batch, [planted_item(name) for name in "xy"], NOW)
        for job in storage.claim(batch, storage.acquire(batch), 2, NOW):
            sent = job.evolve(status=_S.SUBMITTING, attempt=1)
            running = sent.to(_S.PROCESSING, handle=planted_handle(job.identity))
            after = running.evolve(error=planted_error(), prepared={"file": job.identity})
            storage.save([Change(after, job)])
    return path


@contextmanager
def rows(path: Path) -> Iterator[sqlite3.Connection]:
    with other_program(path) as connection:
        yield connection


def reads(path: Path) -> None:
    """Everything that the storage tells."""
    with closing(encrypted(path)) as storage:
        facts(storage)
        for batch in storage.batches():
            for job in storage.jobs(batch.id):
                storage.result(job.id)
                storage.attempts(job.id)


JOBS = "(SELECT min(id) FROM jobs WHERE batch = 3)"
NEXT = "(SELECT max(id) FROM jobs WHERE batch = 3)"
#: Values of one job in the place of another's, of one batch in another's, of one field in another.
MOVES = {
    "request of another job": f"request = (SELECT request FROM jobs WHERE id = {NEXT})",
    "metadata of another job": f"metadata = (SELECT metadata FROM jobs WHERE id = {NEXT})",
    "handle of another job": f"handle = (SELECT handle FROM jobs WHERE id = {NEXT})",
    "error of another job": f"error = (SELECT error FROM jobs WHERE id = {NEXT})",
    "prepared of another job": f"prepared = (SELECT prepared FROM jobs WHERE id = {NEXT})",
    "request of another batch": "request = (SELECT request FROM jobs WHERE batch = 2 LIMIT 1)",
    "identity of another job": "identity = (SELECT identity FROM jobs WHERE batch = 2 LIMIT 1)",
    "handle of another attempt": "attempt = 2",
    "metadata as prepared": "prepared = metadata",
    "prepared as metadata": "metadata = prepared",
    "a plain handle": """handle = '{"id":"h"}'""",
    "plain metadata": """metadata = '{"a":1}'""",
    "a plain request": """request = '["generate",{"prompt":"a"}]'""",
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_values_of_jobs_stay_in_their_place(path: Path, move: str) -> None:
    reads(path)
    with rows(path) as db:
        assert db.execute(f"UPDATE jobs SET {move} WHERE id = {JOBS}").rowcount == 1
    with pytest.raises(StorageCorruptError, match=f"{MOVED}|wrote here: restore"):
        reads(path)


BATCH_MOVES = (
    "UPDATE batches SET config = (SELECT config FROM batches WHERE id = 2) WHERE id = 3",
    "UPDATE batches SET client_ref = (SELECT client_ref FROM batches WHERE id = 2) WHERE id = 3",
    "UPDATE batches SET client_ref = control_reason WHERE id = 2",
    "UPDATE batches SET control_reason = 'no credit' WHERE id = 3",
    "UPDATE jobs SET batch = 2, identity = 'x' || identity WHERE id = {job}",
    "UPDATE results SET job = {job}",
    "UPDATE journal SET job = {job}, attempt = 7 WHERE kind = 'submitted'",
    "UPDATE journal SET attempt = 7 WHERE kind = 'failed'",
    "UPDATE journal SET batch = 3 WHERE kind = 'custom'",
    "UPDATE journal SET kind = 'other' WHERE kind = 'custom'",
    "UPDATE journal SET at = at + 1 WHERE kind = 'custom'",
)


@pytest.mark.parametrize("move", BATCH_MOVES)
def test_values_of_batches_and_lines_stay_in_their_place(path: Path, move: str) -> None:
    reads(path)
    with rows(path) as db:
        assert db.execute(move.format(job=JOBS)).rowcount >= 1
    with pytest.raises(StorageCorruptError, match=f"{MOVED}|wrote here: restore"):
        reads(path)


@pytest.mark.parametrize("at", [4, 10, 30, -8])
def test_an_altered_value(path: Path, at: int) -> None:
    """In its key's id, its nonce, its text and its tag."""
    with rows(path) as db:
        [handle] = db.execute(f"SELECT handle FROM jobs WHERE id = {JOBS}").fetchone()
        token = list(json.loads(handle)["id"])
        token[at] = "A" if token[at] != "A" else "B"
        altered = json.dumps({"id": "".join(token)})
        db.execute(f"UPDATE jobs SET handle = ? WHERE id = {JOBS}", (altered,))
    with pytest.raises(StorageError, match="restore a copy"):
        reads(path)


def test_values_of_another_storage(tmp_path: Path) -> None:
    """The same key, the same ids: and yet another salt and another data key."""
    inners = (MemoryStorage(), MemoryStorage())
    storages = [encrypted(inner) for inner in inners]
    batches = [plant(storage) for storage in storages]
    stolen = next(inners[0].jobs(batches[0]))
    shelf = inners[1]._shelves[batches[1]]
    shelf.jobs[0] = stolen
    with pytest.raises(StorageError, match="restore a copy"):
        list(storages[1].jobs(batches[1]))


def test_a_program_that_adds_without_the_key(path: Path) -> None:
    with closing(SQLiteStorage(path)) as plain:
        plain.add(3, [planted_item("z")], NOW)
    with pytest.raises(StorageCorruptError, match="A program without the key wrote here"):
        reads(path)


# -- the record of the keys --------------------------------------------------------------------


def altered(change: Callable[[str], str]) -> Storage:
    inner = MemoryStorage()
    plant(encrypted(inner))
    inner.update_batch(1, config=change(inner.batches()[0].config))
    return inner


def _cut(config: str) -> str:
    return config[:-5]


def _without_keys(config: str) -> str:
    return json.dumps({**json.loads(config), "data_keys": []})


def _other_bytes(config: str) -> str:
    record = json.loads(config)
    wrapped = record["data_keys"][0]["wrapped"]
    record["data_keys"][0]["wrapped"] = wrapped[:-6] + "AAAA" + wrapped[-2:]
    return json.dumps(record)


def _renamed(config: str) -> str:
    record = json.loads(config)
    record["data_keys"][0]["id"] = "00000000"
    return json.dumps(record)


@pytest.mark.parametrize("change", [_cut, _without_keys, _other_bytes, _renamed])
def test_altered_keys(change: Callable[[str], str]) -> None:
    inner = altered(change)
    with pytest.raises(StorageCorruptError, match="somebody altered it, restore a copy"):
        encrypted(inner)


def test_lost_keys(path: Path) -> None:
    """Nobody makes new ones for a storage that holds something."""
    with rows(path) as db:
        db.execute("DELETE FROM batches WHERE name = 'batchkit.encryption'")
    with pytest.raises(StorageError, match="not encrypted"):
        encrypted(path)


def test_keys_that_are_lost_while_it_runs(path: Path) -> None:
    with closing(encrypted(path)) as storage:
        rotated = EncryptedStorage(path, key=KEY)
        rotated.rotate()
        rotated.add(3, [planted_item("z")], NOW)
        rotated.close()
        with rows(path) as db:
            db.execute("UPDATE batches SET config = '{}' WHERE name = 'batchkit.encryption'")
        with pytest.raises(StorageCorruptError, match="has lost its data keys"):
            list(storage.jobs(3))


def test_messages_about_values_do_not_show_them(path: Path) -> None:
    with rows(path) as db:
        db.execute(f"UPDATE jobs SET {MOVES['handle of another job']} WHERE id = {JOBS}")
    with pytest.raises(StorageCorruptError) as caught:
        reads(path)
    assert canary("handle")[:7] not in str(caught.value)
    assert "bk1." not in str(caught.value)
