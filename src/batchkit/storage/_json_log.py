"""The file of a JSON session: an append log of checked lines, locked for each change.

Every line is a JSON object that begins with a checksum, ``{"sum":"…",``, of the rest of the line
and of all lines above: none can be changed, lost or doubled unnoticed. A line is one group of
changes: it is there whole, or it never happened. The first line says what the file is.

The lock is on the file itself and held for one change. Compaction writes a fresh file, locks it,
and renames it over the old one; whoever waited for the old one's lock sees that it is not the file
of that name any more, and opens it again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cattrs import BaseValidationError

from batchkit._codec import dumps
from batchkit._errors import (
    StorageCorruptError,
    StorageLockedError,
    StorageVersionError,
)
from batchkit.storage._json_io import read_all, sync_folder, write_all
from batchkit.storage._json_records import UnknownFieldError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock; there the last write wins
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("batchkit.storage")

#: Raised with every change of what lines say; newer files are refused.
VERSION = 1

_PREFIX = b'{"sum":"'
#: Where the rest of a line begins, after its checksum of eight digits.
_REST = len(_PREFIX) + 8
#: Bytes in which the first line ends, if the file is ours.
_HEADER = 4096
#: What the last line of a fresh file says.
_FRESH = "fresh"
#: Seconds between two tries to lock.
_PAUSE = 0.002


def seal(line: Mapping[str, Any], above: int = 0) -> bytes:
    """A line of the file: the values as JSON, with a checksum in front.

    Args:
        line: the values.
        above: the checksum of the line above it; 0 for the first.
    """
    rest = b'",' + dumps(line).encode()[1:]
    return b"%s%08x%s\n" % (_PREFIX, zlib.crc32(rest, above), rest)


def sum_of(text: bytes) -> int:
    """The checksum that a line bears."""
    return int(text[len(_PREFIX) : _REST], 16)


def unseal(text: bytes, above: int = 0) -> dict[str, Any] | None:
    """The values of a line; ``None`` when it is not as it was written, or not below that one."""
    rest = text[_REST:]
    if text[:_REST] != b"%s%08x" % (_PREFIX, zlib.crc32(rest, above)):
        return None
    found: dict[str, Any] = json.loads(text)
    del found["sum"]
    return found


class SessionFile:
    """The lines of one file. Not for two threads at once.

    Args:
        path: of the file.
        timeout: seconds to wait for another process.

    Attributes:
        generation: differs when the file was opened anew, and has to be read from its start.
        fresh_size: bytes of the file when it was last compacted.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.generation = self.fresh_size = 0
        self._timeout = timeout
        self._file: int | None = None
        self._inode = (0, 0)
        self._end = self._lines = self._sum = 0

    @property
    def size(self) -> int:
        """Bytes that have been read or written."""
        return self._end

    def is_empty(self) -> bool:
        """Whether nobody has written the first line yet."""
        assert self._file is not None
        return not os.fstat(self._file).st_size

    def rewind(self) -> None:
        """The next :meth:`read` starts at the first line."""
        self._end = self._lines = self._sum = 0

    def is_current(self) -> bool:
        """Whether everything that is in the file has been read."""
        there = self.path.stat()
        return self._is_same(there) and there.st_size == self._end

    def _is_same(self, there: os.stat_result) -> bool:
        # The number of a file that is open is given to no other one. A shorter one was put back
        # from a copy.
        same = self._file is not None and (there.st_ino, there.st_dev) == self._inode
        return same and there.st_size >= self._end

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # -- the lock ----------------------------------------------------------------------------

    @contextmanager
    def locked(self, *, create: bool = False) -> Iterator[None]:
        """Inside, no other process writes, and none reads what is half written.

        Raises:
            StorageLockedError: another process kept it longer than the time-out.
        """
        try:
            self._take(self._open(create))
            while not self._is_same(self.path.stat()):
                # Another process has compacted it, or a person has put a copy in its place.
                self.close()
                self._take(self._open(create))
            yield
        finally:
            # Also when an interrupt came between the lock and here.
            if self._file is not None and fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _open(self, create: bool) -> int:
        if self._file is None:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            self._adopt(os.open(self.path, flags, 0o666))
            self.generation += 1
            self.rewind()
        assert self._file is not None
        return self._file

    def _adopt(self, file: int) -> None:
        self._file, about = file, os.fstat(file)
        self._inode = (about.st_ino, about.st_dev)

    def _take(self, file: int) -> None:
        give_up = time.monotonic() + self._timeout
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise StorageLockedError(
                        f"{self.path} is locked by another process: see whether one hangs, then "
                        "run again; nothing is lost"
                    ) from None
                time.sleep(_PAUSE)
            else:
                return

    # -- reading, under the lock -------------------------------------------------------------

    def read(self, header: Callable[[dict[str, Any]], None], apply: Callable[..., None]) -> int:
        """Hands every line that was not read yet to *header* (the first) or *apply*.

        An unfinished last line is cut off: it was never confirmed to anybody.

        Returns:
            how many lines there were.

        Raises:
            StorageCorruptError: a line is damaged, or the file is not ours.
            StorageVersionError: it was written by a newer version.
        """
        assert self._file is not None
        content = read_all(self._file, self._end)
        if not self._end and content:
            self._check_header(content[:_HEADER])
        *lines, rest = content.split(b"\n")
        for text in lines:
            self._lines += 1
            line = unseal(text, self._sum)
            if line is None:
                raise self._damaged("it, or the line above it, was edited or is damaged")
            self._end += len(text) + 1
            self._sum = sum_of(text)
            if line.pop(_FRESH, False):
                self.fresh_size = self._end
            self._hand_over(line, apply if self._lines > 1 else header)
        if rest:
            self._cut_rest(len(rest))
        return len(lines)

    def _hand_over(self, line: dict[str, Any], take: Callable[[dict[str, Any]], None]) -> None:
        try:
            take(line)
        except UnknownFieldError as exc:
            raise self._newer(str(exc)) from exc
        except (LookupError, TypeError, ValueError, BaseValidationError) as exc:
            raise self._damaged(f"it does not fit the lines before it: {exc!r}") from exc

    def _damaged(self, why: str) -> StorageCorruptError:
        return StorageCorruptError(
            f"{self.path}, line {self._lines}: {why}. Restore a copy of the file. Without one, "
            f"keep it, copy its first {self._lines - 1} lines to a new file, and look up at the "
            "provider what was submitted since"
        )

    def _newer(self, why: str) -> StorageVersionError:
        return StorageVersionError(
            f"{self.path} was written by a newer batchkit ({why}): upgrade batchkit-video, or name "
            "another file"
        )

    def _check_header(self, start: bytes) -> None:
        first, end, _ = start.partition(b"\n")
        found: Any = None
        with contextlib.suppress(ValueError):
            found = json.loads(first) if end else None
        version = found.get("version") if isinstance(found, dict) else None
        if not isinstance(version, int) or found.get("batchkit") != "session":
            raise StorageCorruptError(
                f"{self.path} belongs to another program: name another file with storage="
            )
        if version > VERSION:
            raise self._newer(f"version {version}, this one knows {VERSION}")

    def _cut_rest(self, length: int) -> None:
        assert self._file is not None
        os.ftruncate(self._file, self._end)
        log.warning(
            "%s: cut off the last %d bytes, a line whose writer died before it was finished; the "
            "%d lines before it are whole",
            self.path,
            length,
            self._lines,
        )

    # -- writing, under the lock, with everything read ---------------------------------------

    def append(self, line: Mapping[str, Any], *, safe: bool) -> None:
        """Writes one line, whole or not at all; a *safe* one survives the loss of power."""
        assert self._file is not None
        text = seal(line, self._sum)
        try:
            write_all(self._file, text, self._end)
            if safe:
                os.fsync(self._file)
        except BaseException:
            self._undo()
            raise
        self._end += len(text)
        self._lines += 1
        self._sum = sum_of(text)

    def _undo(self) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._end)
        except OSError as exc:
            # An unfinished line is cut off by whoever reads it next; a whole one counts.
            log.error("%s: a line that failed could not be taken back: %s", self.path, exc)

    def replace(self, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
        """Puts a fresh file in the place of this one; dying at any moment leaves one of the two."""
        assert self._file is not None
        first = seal({"batchkit": "session", "version": VERSION, **header})
        made = [first]
        for line in itertools.chain(lines, [{_FRESH: True}]):
            made.append(seal(line, sum_of(made[-1])))
        content = b"".join(made)
        fresh = self.path.with_name(self.path.name + ".part")
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            os.fchmod(file, mode)
            # Before it has the name: whoever finds it there waits.
            self._take(file)
            write_all(file, content, 0)
            os.fsync(file)
            fresh.replace(self.path)
            self.close()
            self._adopt(file)
        except BaseException:
            if self._file == file:
                self._file = None
            os.close(file)
            fresh.unlink(missing_ok=True)
            raise
        self._end = self.fresh_size = len(content)
        self._lines, self._sum = len(made), sum_of(made[-1])
        sync_folder(self.path.parent)
