"""Locks that the operating system keeps: the death of their owner releases them, in any case."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchkit._errors import StorageError, StorageFullError
from batchkit.storage._batch_errors import busy
from batchkit.storage._fork import watch_forks

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock; there the last open wins
    fcntl = None  # type: ignore[assignment]


log = logging.getLogger("batchkit.storage")


class OwnerLock:
    """The lock of a batch: its runner holds it. A forked child of the runner does not.

    Args:
        path: of the lock file; made when it does not exist.
        name: of the batch, for messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._file: int | None = None
        self._changing = threading.Lock()
        watch_forks(self)

    def take(self) -> None:
        """Takes the lock.

        Raises:
            BatchBusyError: a living process, perhaps this one, has it.
            StorageError: the file cannot be made or locked.
        """
        with self._changing:
            try:
                self._file = _open_locked(self._path, os.O_RDWR | os.O_CREAT, wait=False)
            except BlockingIOError as exc:
                raise busy(self._name, self._owner()) from exc
            self._sign(self._file)

    def _sign(self, file: int) -> None:
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except OSError as exc:
            # A full disk: the lock holds all the same, only its owner stays unnamed.
            log.warning("%s does not say who holds it: %s", self._path, exc)

    def _owner(self) -> str:
        try:
            return self._path.read_text("ascii", errors="replace")[:20].strip() or "unknown"
        except OSError:
            # It is only for the message, and may have gone with its batch in this moment.
            return "unknown"

    def give_back(self) -> None:
        """Releases the lock; harmless when it is not held. The file stays."""
        with self._changing:
            if self._file is not None:
                _close_locked(self._file)
                self._file = None

    def before_fork(self) -> None:
        """Waits for a thread that takes it or gives it back."""
        self._changing.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Leaves the lock to the parent: closing a copy of the file does not unlock it."""
        if child and self._file is not None:
            os.close(self._file)
            self._file = None
        self._changing.release()


@contextmanager
def locked(path: Path, flags: int) -> Iterator[int]:
    """A file that only one process at a time has open through this function.

    Raises:
        FileNotFoundError: it does not exist, and *flags* do not say that it shall be made.
        StorageError: it cannot be opened or locked.
    """
    file = _open_locked(path, flags, wait=True)
    try:
        yield file
    finally:
        _close_locked(file)


def _open_locked(path: Path, flags: int, *, wait: bool) -> int:
    while True:
        file = _open(path, flags)
        try:
            _lock(file, path, wait=wait)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        # It was removed or replaced between the two steps: that lock keeps nobody out.
        os.close(file)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        reason = "no such folder"
    except OSError as exc:
        reason = str(exc.strerror)
    raise StorageFullError(f"{path} cannot be made ({reason}): check that its folder is writable")


def _lock(file: int, path: Path, *, wait: bool) -> None:
    if fcntl is None:  # pragma: no cover - Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be locked ({exc.strerror}): put the storage on a local disk"
        ) from exc


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _close_locked(file: int) -> None:
    if fcntl is not None:
        # Closing is not enough: a child that was forked meanwhile has a copy of the file.
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)
