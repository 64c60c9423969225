"""Which batches this process runs, and the files beside a database that say so to others."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from batchkit._errors import BatchBusyError
from batchkit.storage._batch_errors import busy
from batchkit.storage._owner_lock import OwnerLock
from batchkit.storage._rescue import RescueFile
from batchkit.storage.base import Change, Entry

_LOCK, _RESCUE = "lock", "rescue.jsonl"


class Ownership:
    """One runner at a time for each batch, and the handles that its predecessor could not save.

    Args:
        path: of the database; ``None`` when it is in memory, and there are no other processes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held: dict[int, OwnerLock | None] = {}
        self._changing = threading.Lock()

    def take(self, batch_id: int, name: str) -> None:
        """Makes the caller the owner of the batch.

        Raises:
            BatchBusyError: it has one already.
            StorageError: its lock cannot be made.
        """
        with self._changing:
            if batch_id in self._held:
                raise busy(name, str(os.getpid()))
            self._held[batch_id] = None if self._path is None else self._locked(batch_id, name)

    def _locked(self, batch_id: int, name: str) -> OwnerLock:
        lock = OwnerLock(self._beside(batch_id, _LOCK), name)
        lock.take()
        return lock

    def give_back(self, batch_id: int) -> None:
        """Ends what :meth:`take` began; harmless when it took nothing. The lock's file stays."""
        with self._changing:
            lock = self._held.pop(batch_id, None)
            if lock is not None:
                lock.give_back()

    def close(self) -> None:
        """Gives back every batch."""
        for batch_id in list(self._held):
            self.give_back(batch_id)

    # -- handles that could not be saved ---------------------------------------------------

    def rescue(self, changes: Sequence[Change]) -> None:
        """Keeps the handles in *changes* beside the database.

        Raises:
            StorageError: they cannot be written.
        """
        for batch_id in {change.job.batch_id for change in changes}:
            of_batch = [change for change in changes if change.job.batch_id == batch_id]
            self.rescue_file(batch_id).write(of_batch)

    def rescued(self, batch_id: int) -> AbstractContextManager[Sequence[Entry]]:
        """The handles that were kept; they are dropped if the block, which saves them, succeeds."""
        if self._path is None:
            return nullcontext(())
        return self.rescue_file(batch_id).taken_over()

    def rescue_file(self, batch_id: int) -> RescueFile:
        """Where the handles of a batch are kept."""
        return RescueFile(self._beside(batch_id, _RESCUE))

    # -- batches that go -------------------------------------------------------------------

    @contextmanager
    def unowned(self, batch_ids: Collection[int]) -> Iterator[set[int]]:
        """Those of *batch_ids* that no process runs, nor can begin to run within the block."""
        free = set(batch_ids) - self._held.keys()
        with ExitStack() as stack:
            for batch_id in sorted(free) if self._path is not None else ():
                try:
                    stack.callback(self._locked(batch_id, str(batch_id)).give_back)
                except BatchBusyError:
                    free.discard(batch_id)
            yield free

    def with_locks(self) -> set[int]:
        """Batches that have a lock file, be they there or not."""
        if self._path is None:
            return set()
        ours = re.compile(rf"{re.escape(self._path.name)}\.(\d+)\.{_LOCK}")
        found = [ours.fullmatch(path.name) for path in self._path.parent.iterdir()]
        return {int(match[1]) for match in found if match}

    def drop_rescued(self, batch_ids: Collection[int]) -> None:
        """Deletes the handles that were kept for these batches; within :meth:`unowned`."""
        for batch_id in batch_ids if self._path is not None else ():
            self._beside(batch_id, _RESCUE).unlink(missing_ok=True)

    def remove_locks(self, batch_ids: Collection[int]) -> None:
        """Deletes the lock files of batches that are gone; within :meth:`unowned`.

        That is safe while they are held: whoever waits for a lock looks whether its file still is
        the one that has this name.
        """
        for batch_id in batch_ids if self._path is not None else ():
            self._beside(batch_id, _LOCK).unlink(missing_ok=True)

    def _beside(self, batch_id: int, ending: str) -> Path:
        assert self._path is not None
        return self._path.with_name(f"{self._path.name}.{batch_id}.{ending}")
