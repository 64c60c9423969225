"""What a disk or another program does to the SQLite storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_help import NOW, begin, new, other_program, whole

from batchkit import (
    Handle,
    JobResult,
    JobStatus,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageVersionError,
    UsageError,
)
from batchkit._events import JobSubmitted, JobSubmitting
from batchkit.storage import Change, Entry, SQLiteStorage, _sqlite_db, open_storage
from batchkit.storage._file_systems import refuse_network_file_system

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(path, timeout=0.05)) as made:
        yield made


# -- locked ------------------------------------------------------------------------------------


def test_locked(storage: SQLiteStorage, path: Path) -> None:
    batch, _, [job] = begin(storage, "a")
    with other_program(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageLockedError, match=r"locked by another program: close it"):
            storage.save([Change(job.to(_S.SUBMITTING), job)])
        assert storage.counts(batch) == {_S.PENDING: 1}
    assert not storage.save([Change(job.to(_S.SUBMITTING), job)]).fenced
    whole(storage, batch)


def test_locked_while_it_opens(path: Path) -> None:
    with other_program(path) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageLockedError, match="then run again"):
            SQLiteStorage(path, timeout=0.05)


def test_an_acquire_that_fails_leaves_nothing_taken(storage: SQLiteStorage, path: Path) -> None:
    batch = storage.open_batch("b", NOW).id
    with other_program(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageLockedError):
            storage.acquire(batch)
    assert storage.acquire(batch) > 0


def test_changed_tells_of_another_connection(storage: SQLiteStorage, path: Path) -> None:
    before = storage.changed()
    storage.open_batch("mine", NOW)
    assert storage.changed() == before
    with closing(SQLiteStorage(path)) as other:
        other.open_batch("theirs", NOW)
    assert storage.changed() != before


# -- files that are not ours -------------------------------------------------------------------


def test_not_a_database(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(StorageCorruptError, match="restore a copy, or name another file"):
        SQLiteStorage(path)
    assert path.read_bytes() == bytes(range(256)) * 64


def test_damaged_pages(path: Path) -> None:
    with closing(SQLiteStorage(path)) as storage:
        batch, _, _ = begin(storage, *(f"job {n}" for n in range(99)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with (
        closing(SQLiteStorage(path)) as storage,
        pytest.raises(StorageCorruptError, match="is damaged"),
    ):
        list(storage.jobs(batch))


def test_a_database_of_another_program(path: Path) -> None:
    with other_program(path) as other:
        other.execute("CREATE TABLE photos (x)")
    content = path.read_bytes()
    with pytest.raises(StorageCorruptError, match="belongs to another program: name another file"):
        SQLiteStorage(path)
    assert path.read_bytes() == content


def test_a_newer_schema(path: Path) -> None:
    SQLiteStorage(path).close()
    with other_program(path) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageVersionError, match=r"schema 99.*upgrade batchkit-video"):
        SQLiteStorage(path)


def test_reopened_by_the_same_version(path: Path) -> None:
    with closing(open_storage(path)) as first:
        uid = first.open_batch("b", NOW).uid
    with closing(open_storage(str(path))) as second:
        assert second.open_batch("b", NOW).uid == uid
        assert open_storage(second) is second
    assert open_storage("memory").location == "memory"


# -- places that cannot be used ----------------------------------------------------------------


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFullError, match="check that its folder exists and is writable"):
        SQLiteStorage(tmp_path / "file" / "batch.db")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError, match="cannot be written"):
        SQLiteStorage(tmp_path)


def test_durability_that_does_not_exist(path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of off, normal, full"):
        SQLiteStorage(path, durability="some")  # type: ignore[arg-type]


def test_read_only(storage: SQLiteStorage) -> None:
    batch, _, [job] = begin(storage, "a")
    with storage._reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageFullError, match="cannot be written"):
        storage.save([Change(job.to(_S.SUBMITTING), job)])
    assert storage.counts(batch) == {_S.PENDING: 1}


def test_errors_of_other_kinds_name_the_file(storage: SQLiteStorage, path: Path) -> None:
    storage.close()
    with pytest.raises(StorageError, match=r"batch\.db: Cannot operate on a closed database"):
        storage.batches()


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
broken
server:/x /mnt/share nfs4 rw 0 0
/dev/sdb1 /mnt/share/local ext4 rw 0 0
//nas/y /mnt/my\\040videos cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/er", "nfs4"),
        ("/mnt/share/local/x", None),
        ("/mnt/shared", None),
        ("/home", None),
        ("/mnt/my videos/x", "cifs"),
    ],
)
def test_network_file_systems_are_refused(tmp_path: Path, place: str, kind: str | None) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    if kind is None:
        refuse_network_file_system(Path(place), mounts)
        return
    with pytest.raises(StorageError, match=rf"network file system \({kind}\).*local disk"):
        refuse_network_file_system(Path(place), mounts)


def test_systems_without_a_list_of_mounts(tmp_path: Path) -> None:
    refuse_network_file_system(Path("/mnt/share"), tmp_path / "nothing")


def test_a_link_to_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(_sqlite_db, "refuse_network_file_system", asked.append)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    SQLiteStorage(tmp_path / "link" / "batch.db").close()
    assert asked == [tmp_path / "real"]


# -- a full disk -------------------------------------------------------------------------------


def fill(storage: SQLiteStorage) -> None:
    """Allows the file no more pages: SQLite itself then says that the disk is full."""
    with storage._reading() as db:
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")


def make_room(storage: SQLiteStorage) -> None:
    with storage._reading() as db:
        db.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_adds_nothing(storage: SQLiteStorage) -> None:
    batch, _, _ = begin(storage, "a")
    fill(storage)
    more = [new(f"job {n}", 5000) for n in range(50)]
    with pytest.raises(StorageFullError, match="free some space, then run again"):
        storage.add(batch, more, NOW)
    assert [job.identity for job in storage.jobs(batch)] == ["a"]
    whole(storage, batch)
    make_room(storage)
    assert all(fresh for _, fresh in storage.add(batch, more, NOW))
    assert [job.index for job in storage.jobs(batch)] == list(range(51))


def test_a_full_disk_saves_nothing_of_a_group(storage: SQLiteStorage) -> None:
    batch, _, jobs = begin(storage, "a", "b")
    fill(storage)
    result = JobResult(text="x" * 100_000)
    group = [
        Change(jobs[0].to(_S.SUBMITTING), jobs[0], [Entry(JobSubmitting.kind, NOW, jobs[0].id, 1)]),
        Change(jobs[1].to(_S.COLLECTING, result=result, cost=1.0), jobs[1], result=True),
    ]
    with pytest.raises(StorageFullError):
        storage.save(group)
    assert [job.status for job in storage.jobs(batch)] == [_S.PENDING] * 2
    assert (storage.cost(batch), list(storage.journal(batch))) == (None, [])
    make_room(storage)
    assert storage.save(group).fenced == frozenset()
    whole(storage, batch)


# -- what cannot be written as text ------------------------------------------------------------


def test_half_a_sign_does_not_lose_what_was_paid(storage: SQLiteStorage) -> None:
    """Providers cut texts in the middle of an emoji; JSON brings such halves to us."""
    batch, _, [job] = begin(storage, "a")
    torn = JobResult(text="cut \ud83d", raw={"id": "\udce9"})
    line = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": "h\ud83d"}})
    storage.save([Change(job.to(_S.COLLECTING, result=torn), job, [line], result=True)])
    assert storage.counts(batch) == {_S.COLLECTING: 1}
    assert storage.result(job.id) == torn
    assert storage.evidence(job.id, 1) == Handle(id="h\ud83d")


# -- numbers are not used twice ----------------------------------------------------------------


def test_a_removed_job_is_not_confused_with_the_next(storage: SQLiteStorage) -> None:
    batch, epoch, [old] = begin(storage, "old")
    assert storage.remove(old.id)
    storage.add(batch, [new("new")], NOW)
    [fresh] = storage.claim(batch, epoch, 1, NOW)
    late = old.to(_S.SUBMITTING, attempt=1)
    assert storage.save([Change(late, old)]).fenced == {0}
    assert storage.get(fresh.id) == fresh


def test_a_pruned_batch_is_not_confused_with_the_next(storage: SQLiteStorage) -> None:
    batch, _, [job] = begin(storage, "a")
    storage.save([Change(job.to(_S.CANCELED, completed=NOW), job)])
    storage.release(batch)
    assert storage.prune(NOW + 1) == 1
    assert storage.open_batch("b", NOW).id != batch


def test_a_person_does_not_wind_back_an_attempt(storage: SQLiteStorage) -> None:
    """Otherwise the next submission carries a key that was used already."""
    _, _, [seen] = begin(storage, "a")
    sent = seen.to(_S.SUBMITTING, attempt=1)
    storage.save([Change(sent, seen)])
    storage.save([Change(sent.to(_S.PENDING, retries=1), sent)])
    storage.steer(seen.evolve(priority=5), _S.PENDING, None)
    found = storage.get(seen.id)
    assert found is not None
    assert found.attempt == 1


def test_a_state_and_its_line_in_the_journal_are_written_together(
    storage: SQLiteStorage, path: Path
) -> None:
    batch, _, [job] = begin(storage, "a")
    line = Entry(JobSubmitting.kind, NOW, job.id, 1)
    with other_program(path) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )
    with pytest.raises(StorageError, match="no more"):
        storage.save([Change(job.to(_S.SUBMITTING), job, [line])])
    found = storage.get(job.id)
    assert found is not None
    assert found.status is _S.PENDING
    assert storage.counts(batch) == {_S.PENDING: 1}
