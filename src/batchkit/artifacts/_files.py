"""Files that are whole or not there: a temporary name, a lock, a sync, a rename. POSIX."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import attrs

from batchkit._errors import ClientError, StorageFullError

log = logging.getLogger("batchkit.artifacts")

CHUNK = 1 << 20

#: Faults of one name. Every other one is the disk's, and would meet the next job as well.
_NAME_ERRORS = frozenset(
    {errno.EEXIST, errno.EILSEQ, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR}
)
#: What network file systems, and folders that may not be read, answer to a sync. The bytes of the
#: files in them are safe all the same.
_NO_SYNC = frozenset({errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EPERM})
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "the file system is read-only: choose another folder",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong when *path* is written into errors that say what to do.

    Raises:
        StorageFullError: the disk refuses; the next file would meet the same.
        ClientError: this name alone cannot be written.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _NAME_ERRORS:
            raise ClientError(f"{path} cannot be written: {exc.strerror}", code="path") from exc
        raise cannot_write(path, exc) from exc


def cannot_write(path: Path, exc: OSError) -> StorageFullError:
    """The error for a place that refuses to be written to."""
    remedy = _REMEDIES.get(exc.errno or 0, "allow writing there, or choose another folder")
    return StorageFullError(f"{path} cannot be written ({exc.strerror}): {remedy}, then run again")


def make_folder(folder: Path, root: Path) -> None:
    """Creates a folder below *root*, so that it survives the loss of power."""
    if folder.is_dir():
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    chain = (folder, *folder.parents)
    for made in chain[: chain.index(root) + 1]:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in *folder* safe against the loss of power, where the platform can."""
    with writing(folder):
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as exc:
            if exc.errno not in _NO_SYNC:
                raise
            log.debug("%s cannot be synced: %s", folder, exc)


def sync_file(path: Path) -> None:
    """Makes what another program wrote safe against the loss of power."""
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def digest_file(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file."""
    size, digest = 0, hashlib.sha256()
    for chunk in read_chunks(path):
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a megabyte at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def same_bytes(path: Path, size: int, sha256: str) -> bool:
    """Whether a regular file with just that content lies at *path*."""
    try:
        return path.is_file() and path.stat().st_size == size and digest_file(path)[1] == sha256
    except OSError as exc:
        log.warning("%s cannot be read and counts as different: %s", path, exc)
        return False


@attrs.define(eq=False)
class Part:
    """A file being written under a temporary name; as a context it is gone unless published.

    The lock is what tells a file that another thread or process is writing from one that a crash
    left behind, which is written anew.

    Attributes:
        path: the temporary name.
        size: bytes so far.
    """

    path: Path
    _fd: int
    size: int = 0
    _digest: Any = attrs.field(factory=hashlib.sha256)
    _published: bool = False

    @classmethod
    def create(cls, target: Path) -> Self:
        """Opens a temporary file next to *target*.

        Raises:
            StorageFullError: the folder cannot be written to.
        """
        for number in itertools.count(1):
            tail = f"-{number}.part" if number > 1 else ".part"
            path = target.with_name(f".{target.name}{tail}")
            with writing(path):
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(path, flags, 0o666)
            if _is_ours(fd, path):
                os.ftruncate(fd, 0)
                return cls(path, fd)
            os.close(fd)
        raise AssertionError("there is always another number")

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return str(self._digest.hexdigest())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends *data*."""
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        view = memoryview(data).cast("B")
        with writing(self.path):
            while view:
                view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """Makes the content safe against the loss of power."""
        with writing(self.path):
            os.fsync(self._fd)

    def publish(self, target: Path) -> None:
        """Gives it its final name, which it takes over if there is one already."""
        with writing(target):
            self.path.replace(target)
        self._published = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Removed while the lock is held, or another writer's file might be hit.
        if not self._published:
            remove(self.path)
        os.close(self._fd)


def _is_ours(fd: int, path: Path) -> bool:
    """Whether the file is locked by us, and still the one that has this name."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        # Names differ within a batch, so that without locks only two batches could meet.
        log.debug("%s cannot be locked: %s", path, exc)
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Deletes a file that is of no more use; failing to do so harms nothing but tidiness."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("%s cannot be removed: %s", path, exc)
