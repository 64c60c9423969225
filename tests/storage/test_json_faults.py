"""What a disk, a person or another program does to a session file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from json_help import facts, read, room_for
from sqlite_help import NOW, begin, new

from batchkit import (
    JobResult,
    JobStatus,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageVersionError,
)
from batchkit.storage import Change, Entry, JSONStorage, json_file
from batchkit.storage._json_log import VERSION, seal, sum_of

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


@pytest.fixture
def storage(path: Path) -> Iterator[JSONStorage]:
    with closing(JSONStorage(path)) as made:
        yield made


def fail(number: int) -> Callable[..., Any]:
    def failing(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


# -- files that are not ours -------------------------------------------------------------------

FOREIGN = (
    b"{}\n",
    b'{"batchkit": "session"}\n',
    b'{"batchkit": "manifest", "version": 1}\n',
    b"[1, 2]\n",
    b"no line end",
    b"\x00" * 9000,
    bytes(range(256)) * 40,
    b'{"name": "another program"',
)


@pytest.mark.parametrize("content", FOREIGN, ids=lambda content: str(content[:12]))
def test_a_file_of_another_program_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StorageCorruptError, match="belongs to another program: name another file"):
        JSONStorage(path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch(0o600)
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
    assert list(read(path)) == ["b"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_newer_version(path: Path) -> None:
    content = seal({"batchkit": "session", "version": VERSION + 1, "other": "rules"})
    path.write_bytes(content)
    with pytest.raises(StorageVersionError, match=r"version 2.*upgrade batchkit-video"):
        JSONStorage(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["jobs", "batches", "moods"])
def test_what_only_a_newer_version_knows(path: Path, kind: str) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
    lines = path.read_bytes().splitlines()
    batch = next(line["batches"][0] for line in map(json.loads, lines) if "batches" in line)
    known = {"jobs": {"id": 1}, "batches": batch}.get(kind, {})
    with path.open("ab") as file:
        file.write(seal({kind: [{**known, "moods": "glad"}]}, sum_of(lines[-1])))
    with pytest.raises(StorageVersionError, match=r"session\.json.*has 'moods'.*upgrade"):
        JSONStorage(path)


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["garbage", "empty", "edited", "doubled", "lost", "swapped"])
def test_damage_in_the_middle_names_the_line_and_what_to_do(path: Path, damage: str) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, *"abc")
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(1, len(lines) - 1):
        content = b"".join(damaged(lines, at, damage))
        path.write_bytes(content)
        remedy = rf"line {at + 1}: .*Restore a copy.*first {at} lines.*at the provider"
        with pytest.raises(StorageCorruptError, match=remedy):
            JSONStorage(path)
        assert path.read_bytes() == content


def damaged(lines: list[bytes], at: int, how: str) -> list[bytes]:
    made = {
        "garbage": [b"garbage\n"],
        "empty": [b"\n"],
        "edited": [lines[at][:-2] + b" " + lines[at][-2:]],
        "doubled": [lines[at - 1], lines[at]],
        "lost": [],
        "swapped": [lines[at + 1], lines[at]],
    }[how]
    return [*lines[:at], *made, *lines[at + 1 + (how == "swapped") :]]


def test_the_first_lines_are_a_whole_file(path: Path) -> None:
    """What the message about damage recommends."""
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
        before = facts(storage)
        storage.append(1, [Entry("batch_paused", NOW)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert read(path) == before


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(StorageError):
            read(path)


def test_a_line_that_does_not_fit(path: Path) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
    last = path.read_bytes().splitlines()[-1]
    with path.open("ab") as file:
        file.write(seal({"jobs": [{"id": 99, "epoch": 3}]}, sum_of(last)))
    with pytest.raises(StorageCorruptError, match="does not fit the lines before it"):
        JSONStorage(path)


@pytest.mark.parametrize("torn", [b"{", b'{"sum":"12345678","jobs":[{"id":1,"epo', b"\x00" * 600])
def test_a_torn_last_line_is_cut_off(
    path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
        before = facts(storage)
    content = path.read_bytes()
    path.write_bytes(content + torn)
    assert read(path) == before
    assert path.read_bytes() == content
    [warning] = caplog.messages
    assert f"cut off the last {len(torn)} bytes" in warning
    assert f"{content.count(10)} lines before it are whole" in warning


# -- places that cannot be used ----------------------------------------------------------------


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFullError, match="check that its folder exists and is writable"):
        JSONStorage(tmp_path / "file" / "session.json")


def test_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError, match="check that its folder exists"):
        JSONStorage(tmp_path / "nowhere" / "session.json")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError, match="cannot be written"):
        JSONStorage(tmp_path)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_read_only(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
        before = facts(storage)
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", fail(number))
            with pytest.raises(StorageFullError, match=r"check that its folder .* is writable"):
                storage.request_cancel(1, NOW)
        assert facts(storage) == before


def test_on_a_network_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(json_file, "refuse_network_file_system", asked.append)
    (path.parent / "link").symlink_to(path.parent)
    JSONStorage(path.parent / "link" / "session.json").close()
    assert asked == [path.parent]


def test_a_file_that_was_deleted(storage: JSONStorage, path: Path) -> None:
    begin(storage, "a")
    path.unlink()
    with pytest.raises(StorageError, match=r"No such file"):
        storage.counts(1)
    with pytest.raises(StorageError, match=r"No such file"):
        storage.request_cancel(1, NOW)


def test_a_copy_that_was_put_back(storage: JSONStorage, path: Path) -> None:
    batch, _, _ = begin(storage, "a")
    before, content = facts(storage), path.read_bytes()
    storage.add(batch, [new("b")], NOW)
    path.write_bytes(content)
    assert facts(storage) == before


def test_a_closed_storage_says_so(storage: JSONStorage) -> None:
    storage.close()
    with pytest.raises(StorageError, match=r"session\.json is closed"):
        storage.batches()
    with pytest.raises(StorageError, match=r"session\.json is closed"):
        storage.open_batch("b", NOW)


# -- a full disk -------------------------------------------------------------------------------


def test_a_full_disk_adds_nothing(storage: JSONStorage, path: Path) -> None:
    batch, _, _ = begin(storage, "a")
    before, content = facts(storage), path.read_bytes()
    more = [new(f"job {n}", 500) for n in range(50)]
    with room_for(len(content) + 700), pytest.raises(StorageFullError, match="free some space"):
        storage.add(batch, more, NOW)
    assert path.read_bytes() == content
    assert facts(storage) == before
    assert all(fresh for _, fresh in storage.add(batch, more, NOW))
    after = facts(storage)
    storage.close()
    assert read(path) == after


def test_a_full_disk_saves_nothing_of_a_group(storage: JSONStorage, path: Path) -> None:
    batch, epoch, jobs = begin(storage, "a", "b")
    result = JobResult(text="x" * 5000)
    group = [
        Change(jobs[0].to(_S.SUBMITTING), jobs[0]),
        Change(jobs[1].to(_S.COLLECTING, result=result, cost=1.0), jobs[1], result=True),
    ]
    before = facts(storage)
    with room_for(path.stat().st_size + 3000), pytest.raises(StorageFullError):
        storage.save(group)
    assert facts(storage) == before
    assert storage.cost(batch) is None
    assert not storage.claim(batch, epoch, 5, NOW)
    assert storage.save(group).fenced == frozenset()
    assert storage.counts(batch) == {_S.SUBMITTING: 1, _S.COLLECTING: 1}


def test_a_line_that_cannot_be_made_safe_never_was(
    storage: JSONStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, [job] = begin(storage, "a")
    before, content = facts(storage), path.read_bytes()
    change = Change(job.to(_S.SUBMITTING), job, power_safe=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail(errno.EIO))
        with pytest.raises(StorageFullError, match=r"cannot be written \(Input/output error\)"):
            storage.save([change])
    assert path.read_bytes() == content
    assert facts(storage) == before
    assert not storage.save([change]).fenced


def test_a_failed_line_that_cannot_be_taken_back_is_cut_off_later(
    storage: JSONStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, _, _ = begin(storage, "a")
    before, size = facts(storage), path.stat().st_size
    with monkeypatch.context() as patched, room_for(size + 100):
        patched.setattr(os, "ftruncate", fail(errno.EIO))
        with pytest.raises(StorageFullError):
            storage.add(batch, [new("b", 500)], NOW)
    assert path.stat().st_size == size + 100
    assert facts(storage) == before
    assert path.stat().st_size == size


def test_a_full_disk_does_not_keep_the_file_from_being_used(
    storage: JSONStorage,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, _, [job] = begin(storage, "a")
    monkeypatch.setattr(json_file, "_GROWTH", 0)
    storage._file.fresh_size = 0
    tried: list[object] = []

    def full(*args: object) -> None:
        tried.append(args)
        fail(errno.ENOSPC)()

    with monkeypatch.context() as patched:
        patched.setattr(os, "fchmod", full)
        for turn in range(3):
            storage.request_cancel(job.id, NOW + turn)
    assert len(tried) == 1
    assert "could not be compacted" in caplog.text
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "session.json",
        "session.json.1.lock",
    ]
    found = storage.get(job.id)
    assert found is not None
    assert found.cancel_requested_at == NOW + 2
