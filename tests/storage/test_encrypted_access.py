"""Which key opens what, and how one is changed for another."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from encrypted_help import KEY, OTHER_KEY, canary, encrypted, key_file, plant, planted_item
from json_help import facts, go, start, word
from sqlite_help import NOW

from batchkit import (
    BatchRunner,
    StorageKeyError,
    StorageLockedError,
    StorageVersionError,
)
from batchkit.storage import (
    EncryptedStorage,
    JSONStorage,
    MemoryStorage,
    SQLiteStorage,
    Storage,
    _encryption_keys,
    generate_key,
    open_storage,
)

PASSPHRASE = "correct horse battery"
FILES: tuple[tuple[str, Callable[[Path], Storage]], ...] = (
    ("batch.db", SQLiteStorage),
    ("session.json", JSONStorage),
)
each_file = pytest.mark.parametrize(("name", "make"), FILES, ids=["sqlite", "json"])


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY", raising=False)
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY_FILE", raising=False)
    monkeypatch.setattr(_encryption_keys, "_from_keyring", lambda: None)
    # What a passphrase costs is not what these tests are about.
    monkeypatch.setitem(_encryption_keys.SCRYPT, "n", 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- the wrong one -----------------------------------------------------------------------------


@each_file
def test_a_wrong_key_touches_nothing(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    with closing(encrypted(make(tmp_path / name))) as storage:
        plant(storage)
    make(tmp_path / name).close()
    before = content(tmp_path)
    for key in (OTHER_KEY, PASSPHRASE):
        with closing(make(tmp_path / name)) as inner:
            with pytest.raises(StorageKeyError, match=r"another key \(its id is \w{16}, this"):
                EncryptedStorage(inner, key=key)
            with pytest.raises(StorageKeyError, match="another key"):
                EncryptedStorage(tmp_path / name, keys=[key, generate_key()])
    assert content(tmp_path) == before


@each_file
def test_an_encrypted_storage_is_refused_without_its_key(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    path = tmp_path / name
    with closing(encrypted(make(path))) as storage:
        plant(storage)
    for refused in (
        lambda: open_storage(path),
        lambda: BatchRunner(print, storage=path),
        lambda: BatchRunner.open(path, name="clear name"),
    ):
        with pytest.raises(StorageKeyError, match=rf"{name} is encrypted: set BATCHKIT_ENCRYPTION"):
            refused()
    with closing(make(path)) as inner, pytest.raises(StorageKeyError, match="is encrypted"):
        BatchRunner(print, storage=inner)


@each_file
def test_a_plain_storage_is_refused_with_a_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], Storage],
) -> None:
    path = tmp_path / name
    with closing(make(path)) as storage:
        plant(storage)
        before = facts(storage)
    with pytest.raises(StorageKeyError, match=r"not encrypted \(clear name\): open it"):
        encrypted(path)
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY", KEY)
    with pytest.raises(StorageKeyError, match="unset BATCHKIT_ENCRYPTION_KEY"):
        open_storage(path)
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY")
    with closing(open_storage(path)) as storage:
        assert facts(storage) == before


def test_a_key_in_the_environment_encrypts_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY_FILE", str(key_file(tmp_path)))
    for name in ("a.db", "b.json"):
        with closing(open_storage(tmp_path / name)) as storage:
            assert isinstance(storage, EncryptedStorage)
            assert open_storage(storage) is storage
    assert isinstance(open_storage("memory"), MemoryStorage)
    with closing(open_storage(":memory:")) as storage:
        assert isinstance(storage, SQLiteStorage)


def test_what_a_newer_version_encrypted() -> None:
    inner = MemoryStorage()
    encrypted(inner)
    config = inner.batches()[0].config
    inner.update_batch(1, config=config.replace('"version": 1', '"version": 2'))
    with pytest.raises(StorageVersionError, match=r"version 2.*upgrade batchkit-video"):
        encrypted(inner)


# -- another key -------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "json", "memory"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made: dict[str, Callable[[], Storage]] = {
        "sqlite": lambda: SQLiteStorage(tmp_path / "batch.db"),
        "json": lambda: JSONStorage(tmp_path / "session.json"),
        "memory": MemoryStorage,
    }
    with closing(made[request.param]()) as storage:
        yield storage


def test_rotation(inner: Storage) -> None:
    batch = plant(encrypted(inner))
    before = facts(encrypted(inner))
    both = EncryptedStorage(inner, keys=[OTHER_KEY, KEY])
    assert facts(both) == before
    both.rotate()
    assert facts(both) == before
    with pytest.raises(StorageKeyError, match="another key"):
        encrypted(inner)
    after = encrypted(inner, OTHER_KEY)
    assert facts(after) == before
    assert not any(new for _, new in after.add(batch, [planted_item(n) for n in "abcd"], NOW))
    [(job, new)] = both.add(batch, [planted_item("e")], NOW)
    assert new
    found = after.get(job)
    assert found is not None
    assert found.identity == f"key:{canary('e')}"


def test_what_is_written_after_a_rotation_is_under_a_new_data_key(inner: Storage) -> None:
    storage = EncryptedStorage(inner, keys=[OTHER_KEY, KEY])
    batch = storage.open_batch("b", NOW).id
    tokens = []
    for name in "ab":
        storage.add(batch, [planted_item(name)], NOW)
        storage.rotate()
    for job in inner.jobs(batch):
        token = job.request.data["value"]  # type: ignore[attr-defined]
        tokens.append(base64.urlsafe_b64decode(token.removeprefix("bk1."))[:4])
    assert tokens[0] != tokens[1]
    assert len(list(storage.jobs(batch))) == 2


def test_programs_that_run_during_a_rotation_go_on(inner: Storage) -> None:
    """They write under the data key that they know, and read the new ones again."""
    late = EncryptedStorage(inner, keys=[KEY, OTHER_KEY])
    batch = late.open_batch("b", NOW).id
    rotating = EncryptedStorage(inner, keys=[OTHER_KEY, KEY])
    rotating.rotate()
    [(old, _)] = late.add(batch, [planted_item("old")], NOW)
    [(new, _)] = rotating.add(batch, [planted_item("new")], NOW)
    for storage in (late, rotating, encrypted(inner, OTHER_KEY)):
        assert [job.id for job in storage.jobs(batch)] == [old, new]


def test_a_program_that_has_only_the_old_key_says_so(inner: Storage) -> None:
    late = encrypted(inner)
    batch = late.open_batch("b", NOW).id
    rotating = EncryptedStorage(inner, keys=[OTHER_KEY, KEY])
    rotating.rotate()
    rotating.add(batch, [planted_item("new")], NOW)
    with pytest.raises(StorageKeyError, match="another key"):
        list(late.jobs(batch))


@each_file
def test_the_old_key_finds_nothing_in_the_file_of_a_rotated_storage(
    tmp_path: Path, name: str, make: Callable[[Path], Storage]
) -> None:
    with closing(encrypted(make(tmp_path / name))) as storage:
        plant(storage)
    with closing(make(tmp_path / name)) as inner:
        kept = next(b.config for b in inner.batches() if b.name == "batchkit.encryption")
    wrapped = kept.partition('"wrapped": "')[2].partition('"')[0].encode()
    assert len(wrapped) > 60
    assert any(wrapped in data for data in content(tmp_path).values())
    with closing(EncryptedStorage(tmp_path / name, keys=[OTHER_KEY, KEY])) as storage:
        storage.rotate()
        assert not any(wrapped in data for data in content(tmp_path).values())


def test_a_file_that_cannot_be_compacted_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(self: SQLiteStorage) -> None:
        raise StorageLockedError("locked")

    monkeypatch.setattr(SQLiteStorage, "compact", busy)
    with closing(EncryptedStorage(path, keys=[OTHER_KEY, KEY])) as storage:
        storage.rotate()
    assert "the old data keys may still be found in the file: locked" in caplog.text
    encrypted(path, OTHER_KEY).close()


# -- several processes -------------------------------------------------------------------------

MAKER = f"""
import sys
from batchkit import GenerateVideo
from batchkit._requests import dump_request
from batchkit.storage import EncryptedStorage, NewJob
print("ready", flush=True)
sys.stdin.readline()
storage = EncryptedStorage(sys.argv[1], key={KEY!r}, timeout=30)
batch = storage.open_batch("b", 1.0).id
r = GenerateVideo(prompt="the same")
[(job, new)] = storage.add(batch, [NewJob(identity="i", request=r, stored=dump_request(r))], 1.0)
print(int(new), storage.get(job).title, flush=True)
"""


@pytest.mark.parametrize("name", ["batch.db", "session.json"])
def test_processes_that_make_one_storage_at_once(tmp_path: Path, name: str) -> None:
    processes = [start(MAKER, tmp_path / name) for _ in range(4)]
    assert [word(process) for process in processes] == ["ready"] * 4
    for process in processes:
        go(process)
    told = sorted(process.communicate()[0].strip() for process in processes)
    assert told == ["0 the same"] * 3 + ["1 the same"]
