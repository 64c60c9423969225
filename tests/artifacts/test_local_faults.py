from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from folder_kit import a_job, fails, names_in

from batchkit._errors import ClientError, StorageFullError
from batchkit._results import Output
from batchkit.artifacts import LocalFolder
from batchkit.artifacts import _files as files
from batchkit.artifacts import _part as parts
from batchkit.artifacts._manifest import Manifest


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out")


def test_what_a_crash_left_is_written_anew(folder: LocalFolder) -> None:
    folder.check([])
    (folder.root / ".0001-a-cat.mp4.part").write_bytes(b"half of something longer")
    folder.write(a_job(), Output(data=b"video"), None)
    assert names_in(folder.root) == ["0001-a-cat.mp4"]


def test_what_another_writer_holds_is_left_to_it(folder: LocalFolder) -> None:
    folder.check([])
    busy = folder.root / ".0001-a-cat.mp4.part"
    with busy.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half")
        other.flush()
        folder.write(a_job(), Output(data=b"video"), None)
        assert busy.read_bytes() == b"half"
    assert (folder.root / "0001-a-cat.mp4").read_bytes() == b"video"


def test_a_temporary_file_that_was_published_meanwhile_is_not_touched(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.check([])
    temporary, published = folder.root / ".0001-a-cat.mp4.part", folder.root / "published"
    temporary.write_bytes(b"theirs")
    real = fcntl.flock

    def late(fd: int, how: int) -> None:
        if temporary.exists() and not published.exists():
            temporary.rename(published)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    folder.write(a_job(), Output(data=b"video"), None)
    assert published.read_bytes() == b"theirs"
    assert (folder.root / "0001-a-cat.mp4").read_bytes() == b"video"


def test_file_systems_without_locks_and_syncs_of_folders_do(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.fsync

    def files_only(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(fd)

    monkeypatch.setattr(fcntl, "flock", fails(errno.ENOLCK))
    monkeypatch.setattr(os, "fsync", files_only)
    with caplog.at_level(logging.DEBUG, logger="batchkit.artifacts"):
        folder.write(a_job(), Output(data=b"video"), None)
    assert "cannot be locked" in caplog.text
    assert "cannot be synced" in caplog.text


def test_a_temporary_file_that_stays_is_only_logged(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Path, "unlink", fails(errno.EACCES))
    with pytest.raises(ClientError, match="is empty"):
        folder.write(a_job(), Output(ref="x"), b"")
    assert "cannot be removed" in caplog.text


def test_a_boot_without_a_name_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parts, "_BOOT_ID", tmp_path / "none")
    with caplog.at_level("DEBUG", logger="batchkit.artifacts"):
        assert parts._this_boot.__wrapped__() == ""
    assert "only synced bytes" in caplog.text


# -- a disk that refuses


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_disk_that_refuses_leaves_nothing(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    folder.check([])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails(error))
        with pytest.raises(StorageFullError, match=r"0001-a-cat\.mp4.*then run again"):
            folder.write(a_job(), Output(ref="x"), b"video")
    assert names_in(folder.root) == []


def test_a_rename_that_fails_leaves_nothing(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", fails(errno.EDQUOT))
    with pytest.raises(StorageFullError, match="free some of your quota"):
        folder.write(a_job(), Output(ref="x"), b"video")
    assert names_in(folder.root) == []


def test_a_folder_that_cannot_be_synced_is_told(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.check([])
    monkeypatch.setattr(files, "sync_file", lambda path: None)
    monkeypatch.setattr(os, "fsync", fails(errno.EIO))
    with pytest.raises(StorageFullError, match="Input/output error"):
        files.sync_folder(folder.root)


def test_a_name_that_cannot_be_written_fails_its_job_alone(tmp_path: Path) -> None:
    (tmp_path / "generate").touch()
    folder = LocalFolder(tmp_path, template="{kind}/{index}.{ext}")
    with pytest.raises(ClientError, match="generate cannot be written: ") as caught:
        folder.write(a_job(), Output(ref="x"), b"video")
    assert not caught.value.retryable


FILL_A_DISK = """
import sys
from batchkit._errors import StorageFullError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo
from batchkit._results import Output
from batchkit.artifacts import LocalFolder

folder = LocalFolder(sys.argv[1])
job = Job(id=1, batch_id=1, index=0, identity="x", request=GenerateVideo(prompt="A cat"))
try:
    folder.check([])
except StorageFullError as exc:
    print(exc)
try:
    folder.write(job, Output(ref="x"), (b"x" * 65536 for _ in range(100)))
except StorageFullError as exc:
    print(exc)
print([path.name for path in folder.root.iterdir()])
folder.write(job, Output(ref="x"), b"video")
folder.report([job])
print(sorted(path.name for path in folder.root.iterdir()))
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    arguments = [str(tmp_path), sys.executable, FILL_A_DISK]
    # The mount is seen by that process alone, and goes when it ends.
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*own, 'mount -t tmpfs tmpfs "$0"', str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this system lets no user mount a small disk")
    ran = subprocess.run(
        [*own, mount, "sh", *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    small, full, empty, after = ran.stdout.splitlines()
    assert "has 1 MB left and 50 MB are needed" in small
    assert "No space left on device): free some space, then run again" in full
    assert empty == "[]"
    assert after == "['0001-a-cat.mp4', 'manifest.jsonl']"


# -- crashes

POINTS = ("artifact:before-write", "artifact:before-rename", "artifact:after-rename")


class CrashError(BaseException):
    pass


def test_points_are_told_in_order(tmp_path: Path) -> None:
    points = list[str]()
    folder = LocalFolder(tmp_path / "out", hook=points.append)
    folder.write(a_job(), Output(data=b"video"), None)
    (tmp_path / "made.mp4").write_bytes(b"video")
    folder.write(a_job(), Output(path=str(tmp_path / "made.mp4")), None)
    assert tuple(points) == POINTS * 2


@pytest.mark.parametrize("is_path", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_after_a_crash_the_same_write_succeeds(tmp_path: Path, point: str, is_path: bool) -> None:
    def crash(reached: str) -> None:
        if reached == point:
            raise CrashError

    source = tmp_path / "made.mp4"
    source.write_bytes(b"video")
    output = Output(path=str(source)) if is_path else Output(data=b"video")
    out = tmp_path / "out"
    with pytest.raises(CrashError):
        LocalFolder(out, hook=crash).write(a_job(), output, None)
    assert names_in(out) in ([], ["0001-a-cat.mp4"])
    (made,) = LocalFolder(out).write(a_job(), output, None)
    assert made.path.read_bytes() == b"video"
    assert names_in(out) == ["0001-a-cat.mp4"]


# -- what an earlier run left


def test_a_manifest_that_cannot_be_read_is_not_there(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.check([])
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "find", fails(errno.EIO))
        assert folder.existing(a_job()) is None
    assert "cannot be read: " in caplog.text


def test_a_folder_that_cannot_be_used_is_told_before_anything_is_paid(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.check([])
    monkeypatch.setattr(Manifest, "find", fails(errno.EIO))
    monkeypatch.setattr(os, "open", fails(errno.EIO))
    with pytest.raises(StorageFullError, match="Input/output error"):
        folder.existing(a_job())


def test_files_are_known_byte_for_byte(folder: LocalFolder) -> None:
    made = folder.write(a_job(), Output(data=b"video"), None)
    assert folder.holds(made)
    made[0].path.write_bytes(b"other")
    assert not folder.holds(made)


# -- modes


@pytest.mark.parametrize("told", ["Umask:\t0027\n", "no umask here", None])
def test_the_umask_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    status = tmp_path / "status"
    if told is not None:
        status.write_text(told)
    monkeypatch.setattr(files, "_STATUS", status)
    before = os.umask(0o027)
    try:
        assert files._umask() == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_mode_that_cannot_be_changed_stays(
    folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "made.mp4"
    source.write_bytes(b"video")
    source.chmod(0o600)
    monkeypatch.setattr(Path, "chmod", fails(errno.EPERM))
    (made,) = folder.write(a_job(), Output(path=str(source)), None)
    assert made.path.stat().st_mode & 0o777 == 0o600
