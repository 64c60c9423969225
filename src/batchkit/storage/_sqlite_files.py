"""The files around a SQLite database: the owner's lock, the rescue file, and what errors mean."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchkit._codec import dumps, plain_handle
from batchkit._errors import (
    BatchBusyError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
)
from batchkit._events import JobSubmitted
from batchkit.storage.base import Change, Entry

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock; there the last open wins
    fcntl = None  # type: ignore[assignment]

#: File systems on which SQLite's shared memory does not work between machines.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "glusterfs", "lustre"}
)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turns what sqlite3 raises into errors that name the remedy."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _explain(exc, location) from exc


def _explain(exc: sqlite3.Error, location: str) -> StorageError:
    code = (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageLockedError(
            f"{location} is locked by another program: close it (a database browser, a backup), "
            "then run again; nothing is lost"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageCorruptError(
            f"{location} is damaged, or is not a database: restore a copy, or name another file "
            "with storage="
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StorageFullError(
            f"{location} cannot be written ({exc}): free some space, then run again"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StorageFullError(
            f"{location} cannot be written ({exc}): check that its folder exists and is writable"
        )
    return StorageError(f"{location}: {exc}")


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuses places where SQLite's write-ahead log would corrupt data.

    Source: sqlite.org/wal.html, "WAL does not work over a network filesystem".

    Raises:
        StorageError: the path lies on a network file system.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        # No such list on this system: SQLite itself is the judge.
        return
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        # Spaces and the like are written as octal escapes there.
        mount = fields[1].encode().decode("unicode_escape") if len(fields) > 2 else ""
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if mount and inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    if kind in NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{path} is on a network file system ({kind}), where SQLite cannot share a database "
            "safely: put it on a local disk with storage=..."
        )


def busy(name: str, owner: str) -> BatchBusyError:
    """The error of a second runner."""
    return BatchBusyError(
        f"another runner (process {owner}) works on batch {name!r}: wait for it, stop it, or give "
        "this one another name"
    )


class OwnerLock:
    """An operating-system lock on a file: the death of its owner releases it, in any case."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._file: int | None = None

    def take(self) -> None:
        """Takes the lock.

        Raises:
            BatchBusyError: a living process, perhaps this one, has it.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageFullError(
                f"{self._path} cannot be made ({exc.strerror}): check that its folder is writable"
            ) from exc
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            owner = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise busy(self._name, owner) from exc
        except OSError as exc:
            os.close(file)
            raise StorageError(
                f"{self._path} cannot be locked ({exc.strerror}): put the storage on a local disk"
            ) from exc
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def give_back(self) -> None:
        """Releases the lock; harmless when it is not held.

        The file stays: deleting it would let two processes lock two files of one name.
        """
        if self._file is not None:
            os.close(self._file)
            self._file = None


class RescueFile:
    """Handles that could not be saved, one JSON line each, readable by their owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, changes: Sequence[Change]) -> None:
        """Appends the handles in *changes*, and makes them safe."""
        lines = [
            dumps([c.job.batch_id, c.job.id, c.job.attempt, plain_handle(c.job.handle)])
            for c in changes
            if c.job.handle is not None and JobSubmitted in c.told
        ]
        if not lines:
            return
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(number, "wb") as file:
            # A line break first: an earlier write may have been torn.
            file.write(("\n" + "\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(number)

    def read(self, batch_id: int, now: float) -> list[Entry]:
        """The evidence of one batch; a torn line is passed over."""
        found = []
        for line in self._lines():
            owner, job, attempt, handle = json.loads(line)
            if owner == batch_id:
                found.append(Entry(JobSubmitted.kind, now, job, attempt, {"handle": handle}))
        return found

    def _lines(self) -> list[bytes]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [line for line in lines if _is_whole(line)]

    def forget(self, batch_id: int) -> None:
        """Drops the evidence of one batch, once it has been taken over."""
        left = [line for line in self._lines() if json.loads(line)[0] != batch_id]
        if not left:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_name(self._path.name + ".part")
        fresh.touch(0o600)
        fresh.write_bytes(b"\n".join(left) + b"\n")
        fresh.replace(self._path)


def _is_whole(line: bytes) -> bool:
    try:
        return len(json.loads(line)) == 4
    except ValueError:
        return False
