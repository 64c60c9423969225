"""Handles that could not be saved: a file beside the storage, until the next runner reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from batchkit._codec import dumps
from batchkit._errors import StorageFullError
from batchkit._events import JobSubmitted
from batchkit.storage._journal import handles_in
from batchkit.storage._owner_lock import locked
from batchkit.storage.base import Change, Entry


class RescueFile:
    """Handles of one batch, a line of JSON each, readable by their owner only.

    Every use locks the file: what one process appends while another takes over is not lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, changes: Sequence[Change]) -> None:
        """Appends the handles in *changes*, and makes them safe against the loss of power.

        Raises:
            StorageError: they cannot be written.
        """
        handles = handles_in(changes)
        if handles:
            self.append(handles)

    def append(self, handles: Sequence[Entry]) -> None:
        """Appends journal lines that hold handles; raises as :meth:`write` does."""
        lines = [dumps([e.job_id, e.attempt, e.at, e.data]) for e in handles]
        # A line break first: an earlier write may have been torn.
        text = "\n" + "\n".join(lines) + "\n"
        try:
            with locked(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as number:
                with open(number, "wb", closefd=False) as file:
                    file.write(text.encode())
                os.fsync(number)
            _sync_folder(self._path.parent)
        except OSError as exc:
            raise StorageFullError(
                f"{self._path} cannot be written ({exc.strerror}): free some space, then run again"
            ) from exc

    @contextmanager
    def taken_over(self) -> Iterator[list[Entry]]:
        """The handles; the file goes if the block, which makes them safe, succeeds.

        A process that dies in between leaves both: whoever writes them passes over what is there.
        """
        with ExitStack() as stack:
            try:
                number = stack.enter_context(locked(self._path, os.O_RDONLY))
            except FileNotFoundError:
                number = None
            yield [] if number is None else _read(number)
            if number is not None:
                self._path.unlink(missing_ok=True)


def _read(number: int) -> list[Entry]:
    with open(number, "rb", closefd=False) as file:
        lines = file.read().split(b"\n")
    return [_entry(*values) for values in map(_values, lines) if values]


def _values(line: bytes) -> list[Any] | None:
    """What a line holds; ``None`` when it is torn."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, list) and len(values) == 4 else None


def _entry(job_id: int, attempt: int, at: float, data: dict[str, Any]) -> Entry:
    return Entry(JobSubmitted.kind, at, job_id, attempt, data)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # pragma: no cover - Windows keeps folders safe itself
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
