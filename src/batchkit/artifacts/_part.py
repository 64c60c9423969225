"""Files that are whole or not there: a temporary name, a lock, a sync, a rename. POSIX.

What came over a network may be kept for the next run. Beside such a part lies a note of what it is
a part of. The bytes in it are trusted while the system has not been started anew: the death of a
process leaves them all in the system's cache. After a power cut only those count that were synced.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from batchkit.artifacts import _files as files

log = logging.getLogger("batchkit.artifacts")

#: Bytes that a power cut may cost.
SYNC_EVERY = 64 * 1024 * 1024

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def _this_boot() -> str:
    """What differs once the system has been started anew; empty where it does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError) as exc:
        log.debug("only synced bytes of a download are kept for the next run: %s", exc)
        return ""


def _is(*types: type) -> Any:
    """A note lies where power cuts strike and people edit: nothing is taken for granted."""
    return attrs.validators.instance_of(types)


@attrs.frozen(kw_only=True)
class Note:
    """What a part is a part of. No URL stands in it: a signed one is a secret.

    Attributes:
        owner: hash of the job's attempt and of the output.
        address: hash of the URL, without what may be a secret in it.
        validator: tells whether the whole has changed at its server, or ``None``.
        total: its size, or ``None``.
        digests: hex digests of the whole, by algorithm.
        synced: bytes that a power cut does not take.
        boot: since when the system runs.
    """

    owner: str = attrs.field(validator=_is(str))
    address: str = attrs.field(validator=_is(str))
    validator: str | None = attrs.field(default=None, validator=_is(str, type(None)))
    total: int | None = attrs.field(default=None, validator=_is(int, type(None)))
    digests: Mapping[str, str] = attrs.field(factory=dict, validator=_is(dict))
    synced: int = attrs.field(default=0, validator=_is(int))
    boot: str = attrs.field(factory=_this_boot, validator=_is(str))

    def trusted(self, size: int) -> int:
        """How many of *size* bytes are those that were written."""
        return size if self.boot and self.boot == _this_boot() else min(self.synced, size)


@attrs.define(eq=False)
class Part:
    """A file being written under a temporary name; as a context it goes, unless published or kept.

    The lock is what tells a file that another thread or process is writing from one that a crash
    left behind.

    Attributes:
        path: the temporary name.
        size: bytes so far.
        note: what it is a part of, when it may be kept.
        keep: leave it to the next try, if it is not published.
    """

    path: Path
    _fd: int
    size: int = 0
    note: Note | None = None
    keep: bool = False
    _digest: Any = attrs.field(factory=hashlib.sha256)
    _published: bool = False

    @classmethod
    def create(cls, target: Path) -> Self:
        """Opens an empty temporary file next to *target*.

        Raises:
            StorageFullError: the folder cannot be written to.
        """
        return cls._open(target, cls.restart)

    @classmethod
    def resume(cls, target: Path, owner: str) -> Self:
        """As :meth:`create`, with what an earlier try of the same *owner* left.

        Raises:
            StorageFullError: the folder cannot be written to.
        """
        return cls._open(target, lambda part: part._take_up(owner))

    @classmethod
    def _open(cls, target: Path, begin: Callable[[Self], object]) -> Self:
        for number in itertools.count(1):
            path = part_path(target, number)
            with files.writing(path):
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(path, flags, 0o666)
            with contextlib.ExitStack() as failing:
                failing.callback(os.close, fd)
                if _is_ours(fd, path):
                    part = cls(path, fd)
                    begin(part)
                    failing.pop_all()
                    return part
        raise AssertionError("there is always another number")

    def _take_up(self, owner: str) -> None:
        note = _read_note(self._note_path)
        if note is None or note.owner != owner:
            self.restart()
            return
        with files.writing(self.path):
            trusted = note.trusted(os.fstat(self._fd).st_size)
            os.ftruncate(self._fd, trusted)
            while chunk := os.read(self._fd, files.CHUNK):
                self._digest.update(chunk)
                self.size += len(chunk)
        # What was synced before this boot and what is written in it are both safe.
        self.note, self.keep = attrs.evolve(note, boot=_this_boot(), synced=self.size), True
        if note.boot != self.note.boot:
            self.sync()
            self._write_note(self.note)

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return str(self._digest.hexdigest())

    @property
    def _note_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def restart(self, note: Note | None = None) -> None:
        """Empties it, and notes what it will be a part of. Without a note it is not kept."""
        with files.writing(self.path):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self.size, self._digest = 0, hashlib.sha256()
        self.note, self.keep = note, note is not None
        # After the emptying: a note must never speak of bytes of another file.
        if note is not None:
            self._write_note(note)
        else:
            files.remove(self._note_path)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends *data*."""
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        view = memoryview(data).cast("B")
        with files.writing(self.path):
            while view:
                view = view[os.write(self._fd, view) :]
        if self.note is not None and self.size >= self.note.synced + SYNC_EVERY:
            self.sync()
            self.note = attrs.evolve(self.note, synced=self.size)
            self._write_note(self.note)

    def sync(self) -> None:
        """Makes the content safe against the loss of power."""
        with files.writing(self.path):
            os.fsync(self._fd)

    def publish(self, target: Path) -> None:
        """Gives it its final name, which it takes over if there is one already."""
        with files.writing(target):
            self.path.replace(target)
        self._published = True
        files.remove(self._note_path)

    def _write_note(self, note: Note) -> None:
        """Replaces the note as a whole; one that a power cut damaged is not read."""
        fresh = self._note_path.with_suffix(".tmp")
        with files.writing(fresh):
            fresh.unlink(missing_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(attrs.asdict(note), file)
            fresh.replace(self._note_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Removed while the lock is held, or another writer's file might be hit.
        if not self._published and not (self.keep and self.size):
            discard(self.path)
        os.close(self._fd)


def part_path(target: Path, number: int = 1) -> Path:
    """The temporary name of *target*, and those to use while that is taken."""
    tail = f"-{number}.part" if number > 1 else ".part"
    return target.with_name(f".{target.name}{tail}")


def discard(path: Path) -> None:
    """Removes a part, and the note beside it."""
    files.remove(path)
    files.remove(path.with_name(f"{path.name}.json"))


def _read_note(path: Path) -> Note | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, encoding="utf-8") as file:
            return Note(**json.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        log.info("%s is not used: %s", path, exc)
        return None


def _is_ours(fd: int, path: Path) -> bool:
    """Whether the file is locked by us, and still the one that has this name."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        # Names differ within a batch, so that without locks only two batches could meet.
        log.debug("%s cannot be locked: %s", path, exc)
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False
