"""Fresh files for long ones, and what is safe against the loss of power."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from json_help import facts, read
from sqlite_help import NOW, accepted, begin, new

from batchkit import Handle, JobStatus, StorageLockedError
from batchkit._config import Durability
from batchkit._events import JobSubmitted
from batchkit.storage import Change, Entry, JSONStorage, json_file

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


@pytest.fixture
def storage(path: Path) -> Iterator[JSONStorage]:
    with closing(JSONStorage(path)) as made:
        yield made


@pytest.fixture
def always_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))


# -- compaction --------------------------------------------------------------------------------


def test_the_file_does_not_grow_without_end(
    storage: JSONStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "_GROWTH", 2000)
    begin(storage, "a")
    for turn in range(500):
        storage.request_cancel(1, NOW + turn)
        storage.update_batch(1, config=json.dumps({"turn": turn}))
    before = facts(storage)
    assert path.stat().st_size < 10_000
    storage.close()
    assert read(path) == before


@pytest.mark.usefixtures("always_compacted")
def test_numbers_are_not_used_twice(path: Path) -> None:
    with closing(JSONStorage(path)) as storage:
        batch, _, [a, b] = begin(storage, "a", "b")
        storage.save([Change(a.to(_S.CANCELED, completed=NOW), a)])
        storage.remove(b.id)
        seq = storage.append(batch, [Entry("batch_paused", NOW)])
        storage.release(batch)
        assert storage.prune(NOW + 1) == 1
        storage.open_batch("into a fresh file, which holds no line of the journal", NOW)
    with closing(JSONStorage(path)) as storage:
        again, _, [job] = begin(storage, "a")
        assert again > batch
        assert job.id > b.id
        assert storage.append(again, [Entry("batch_paused", NOW)]) > seq


@pytest.mark.usefixtures("always_compacted")
def test_evidence_and_rescue_outlive_a_fresh_file(storage: JSONStorage, path: Path) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    line = Entry(JobSubmitted.kind, NOW, a.id, 1, {"handle": {"id": "h1"}})
    storage.append(batch, [line])
    storage.rescue([accepted(b, Handle(id="h2", data={"url": "u\u2028v"}))])
    storage.release(batch)
    storage.acquire(batch)
    assert storage.evidence(a.id, 1) == Handle(id="h1")
    assert storage.evidence(b.id, 1) == Handle(id="h2", data={"url": "u\u2028v"})
    assert [file.name for file in path.parent.iterdir() if "rescue" in file.name] == []


def test_changed_does_not_tell_of_an_own_fresh_file(
    storage: JSONStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, [job] = begin(storage, "a")
    before = storage.changed()
    monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))
    storage.save([Change(job.to(_S.SUBMITTING), job)])
    assert storage.changed() == before


def test_a_link_stays_a_link(tmp_path: Path, always_compacted: None) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.json", tmp_path / "real" / "session.json"
    link.symlink_to(target)
    with closing(JSONStorage(link)) as storage, closing(JSONStorage(target)) as other:
        batch = storage.open_batch("b", NOW).id
        storage.add(batch, [new("a")], NOW)
        assert other.counts(batch) == {_S.PENDING: 1}
    assert link.is_symlink()


def test_the_permissions_stay(path: Path, always_compacted: None) -> None:
    with closing(JSONStorage(path)) as storage:
        path.chmod(0o640)
        begin(storage, "a")
    assert path.stat().st_mode & 0o777 == 0o640


# -- the loss of power -------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "usual"), [("off", 0), ("normal", 0), ("full", 1)])
def test_what_is_made_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, usual: int
) -> None:
    with closing(JSONStorage(path, durability=durability)) as storage:
        batch, _, [job] = begin(storage, "a")
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)

        def times(do: Callable[[], object]) -> int:
            synced.clear()
            do()
            return len(synced)

        sent = job.to(_S.SUBMITTING, attempt=1)
        evidence = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": "h"}})
        assert times(lambda: storage.request_cancel(job.id, NOW)) == usual
        assert times(lambda: storage.save([Change(sent, job, power_safe=True)])) == 1
        assert times(lambda: storage.save([Change(sent.evolve(cost=1.0), sent)])) == usual
        assert times(lambda: storage.append(batch, [evidence])) == 1
        storage.release(batch)
        assert times(lambda: storage.acquire(batch)) == 1


@pytest.mark.usefixtures("always_compacted")
def test_a_fresh_file_is_safe_before_it_has_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        told.append("rename")
        return rename(self, target)

    def sync(number: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    with closing(JSONStorage(path)) as storage:
        assert told == ["file", "rename", "folder"]
        storage.open_batch("b", NOW)
        assert told[3:] == ["file", "rename", "folder"]


@pytest.mark.usefixtures("always_compacted")
def test_a_fresh_file_is_locked_when_it_gets_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another process writes to it before the change that it was made for."""
    rename, tried = Path.replace, list[Path]()

    def replace(self: Path, target: Path) -> Path:
        done = rename(self, target)
        monkeypatch.setattr(Path, "replace", rename)
        with pytest.raises(StorageLockedError):
            JSONStorage(path, timeout=0)
        tried.append(target)
        return done

    with closing(JSONStorage(path)) as storage:
        monkeypatch.setattr(Path, "replace", replace)
        storage.open_batch("b", NOW)
    assert tried == [path]
