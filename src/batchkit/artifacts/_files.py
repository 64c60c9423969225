"""Reading, syncing and removing files, and what their faults mean. POSIX."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

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
#: Where Linux tells the umask without changing it.
_STATUS = Path("/proc/self/status")
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "the file system is read-only: choose another folder",
}


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written there.

    Raises:
        StorageFullError: the disk does not say.
    """
    with writing(folder):
        return shutil.disk_usage(folder).free


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
    """Creates a folder below *root*, so that it survives the loss of power.

    Raises:
        StorageFullError: the disk refuses.
        ClientError: a link within *root* leads out of it.
    """
    with writing(folder):
        inside = folder.resolve().is_relative_to(root.resolve())
    if not inside:
        raise ClientError(
            f"{folder} leads out of {root} by a link: remove it, or choose another template",
            code="path",
        )
    if folder.is_dir():
        return
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except ClientError as exc:
        if folder != root:
            raise
        # It is not one name that is wrong: no result can be delivered any more.
        raise StorageFullError(f"{exc}: remove what is there, then run again") from exc
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


def follow_umask(path: Path) -> None:
    """Gives a file the mode that any new file has: temporary files are made for one user alone."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (0o666 & ~_umask())
        if mode != wanted:
            path.chmod(wanted)
    except OSError as exc:
        log.debug("%s keeps its mode: %s", path, exc)


def _umask() -> int:
    try:
        return int(_UMASK.findall(_STATUS.read_text("ascii"))[0], 8)
    except (OSError, IndexError):
        # It can only be replaced; for that moment the new files of other threads are private.
        umask = os.umask(0o077)
        os.umask(umask)
        return umask


def sync_file(path: Path) -> None:
    """Makes what another program wrote safe against the loss of power."""
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def digest_file(path: Path, algorithm: str = "sha256") -> tuple[int, str]:
    """Size in bytes and hex digest of a file."""
    size, digest = 0, hashlib.new(algorithm, usedforsecurity=False)
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


def remove(path: Path) -> None:
    """Deletes a file that is of no more use; failing to do so harms nothing but tidiness."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("%s cannot be removed: %s", path, exc)
