"""Encryption around any storage: what a job asks, gets and is called reaches no disk in clear.

Values are sealed with AES-256-GCM under random data keys, and each only opens in the place for
which it was sealed. The data keys lie in the storage, wrapped under a key that a person keeps
elsewhere. See ``docs/how-to/encryption.md`` for what stays in clear.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchkit._config import Batch, Control
from batchkit._errors import StorageError, UsageError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage import _encryption_mark as mark
from batchkit.storage._encryption_keys import KeyLike, find_keys
from batchkit.storage._encryption_values import Sealer
from batchkit.storage._encryption_vault import Vault, check_installed
from batchkit.storage._failures import causes_of
from batchkit.storage._open import TIMEOUT, open_plain
from batchkit.storage.base import Change, Entry, Failures, NewJob, Saved, Storage

log = logging.getLogger("batchkit.storage")


class EncryptedStorage:
    """Keeps batches in another storage, encrypted.

    Without a key it takes ``BATCHKIT_ENCRYPTION_KEY``, then the file that
    ``BATCHKIT_ENCRYPTION_KEY_FILE`` names, then the entry ``encryption`` of the service
    ``batchkit`` in the system's keyring (extra ``keyring``).

    Args:
        storage: the storage, or its address as for :func:`~batchkit.storage.open_storage`. It must
            be new, or have been encrypted from its start. :meth:`close` closes it.
        key: 32 bytes, or their base64 as :func:`generate_key` makes it, a passphrase of 12
            characters or more, or the path of a file, readable by its owner only, that holds one
            of these texts.
        keys: several. The first one is for a new storage, and for :meth:`rotate`; each is tried
            for what is there.
        timeout: seconds to wait for another program's lock, where *storage* is an address.

    Raises:
        MissingExtraError: the extra ``encryption`` is not installed.
        StorageKeyError: there is no key, or it is not the one of this storage. Nothing was touched.
        StorageError: the storage cannot be used.
    """

    def __init__(
        self,
        storage: Storage | str | Path,
        *,
        key: KeyLike | None = None,
        keys: Sequence[KeyLike] = (),
        timeout: float = TIMEOUT,
    ) -> None:
        if isinstance(storage, EncryptedStorage):
            raise UsageError("this storage is encrypted already: use it as it is")
        check_installed()
        self._keys = find_keys([*([] if key is None else [key]), *keys])
        self._inner: Storage
        if isinstance(storage, (str, Path)):
            self._inner = open_plain(storage, timeout)
        else:
            self._inner = storage
        try:
            record, data_keys = mark.open_record(self._inner, self._keys)
            self._vault = Vault(
                mark.salt_of(record), data_keys, lambda: mark.read_again(self._inner, self._keys)
            )
        except BaseException:
            if self._inner is not storage:
                self._inner.close()
            raise
        self._sealer = Sealer(self._vault)

    def __repr__(self) -> str:
        return f"<EncryptedStorage {self._inner!r}>"

    def rotate(self) -> None:
        """Changes the key: from now on only the first of ``keys`` opens the storage.

        The data keys are wrapped under it, and what is written from now on is sealed with a fresh
        one. What was written before is not written again: it stays under its data key, which the
        old key no longer opens. Copies that were made before stay open to the old key.

        Raises:
            BatchBusyError: another process rotates at this moment.
            StorageError: the storage cannot be written; the old key is still the one.
        """
        self._vault.take(mark.rotate(self._inner, self._keys))
        compact = getattr(self._inner, "compact", None)
        if compact is None:
            return
        try:
            # What was replaced is still in the file: the data keys under the old key.
            compact()
        except StorageError as exc:
            log.warning("the old data keys may still be found in the file: %s", exc)

    @property
    def shared(self) -> bool:
        """Whether somebody else than its runner may change it."""
        return self._inner.shared

    @property
    def location(self) -> str:
        """Where it is."""
        return self._inner.location

    # -- batches -----------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        if name == mark.NAME:
            raise UsageError(
                f"{name!r} is where an encrypted storage keeps its keys: choose another"
            )
        return self._sealer.open_batch(self._inner.open_batch(name, now))

    def find_batch(self, name: str) -> Batch | None:
        found = None if name == mark.NAME else self._inner.find_batch(name)
        return None if found is None else self._sealer.open_batch(found)

    def batches(self) -> Sequence[Batch]:
        found = self._inner.batches()
        return [self._sealer.open_batch(batch) for batch in found if batch.name != mark.NAME]

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        if "config" in changes:
            changes["config"] = self._sealer.config(batch_id, changes["config"])
        if "client_ref" in changes:
            sealed = self._sealer.text(f"client:{batch_id}", changes["client_ref"])
            changes["client_ref"] = sealed
        return self._sealer.open_batch(self._inner.update_batch(batch_id, **changes))

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        why = self._sealer.text(f"reason:{batch_id}", reason)
        line = None if entry is None else self._sealer.entry(batch_id, entry)
        return self._inner.set_control(batch_id, control, why, line, only_from=only_from)

    def acquire(self, batch_id: int) -> int:
        return self._inner.acquire(batch_id)

    def release(self, batch_id: int) -> None:
        self._inner.release(batch_id)

    # -- jobs --------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        sealed = [self._sealer.new_job(batch_id, item) for item in items]
        return self._inner.add(batch_id, sealed, now)

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        return self._opened(self._inner.claim(batch_id, epoch, limit, now))

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        return self._opened(self._inner.in_flight(batch_id, epoch))

    def _opened(self, jobs: Sequence[Job]) -> list[Job]:
        return [self._sealer.open_job(job) for job in jobs]

    def next_due(self, batch_id: int, now: float) -> float | None:
        return self._inner.next_due(batch_id, now)

    def save(self, changes: Sequence[Change]) -> Saved:
        return self._inner.save([self._sealer.change(change) for change in changes])

    def rescue(self, changes: Sequence[Change]) -> None:
        self._inner.rescue([self._sealer.change(change) for change in changes])

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        line = None if entry is None else self._sealer.entry(job.batch_id, entry)
        return self._inner.steer(self._sealer.job(job), was, line)

    def remove(self, job_id: int) -> bool:
        return self._inner.remove(job_id)

    def request_cancel(self, job_id: int, now: float) -> None:
        self._inner.request_cancel(job_id, now)

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        return self._inner.cancel_requests(batch_id)

    def get(self, job_id: int) -> Job | None:
        found = self._inner.get(job_id)
        return None if found is None else self._sealer.open_job(found)

    def find(self, batch_id: int, identity: str) -> Job | None:
        found = self._inner.find(batch_id, self._sealer.identity(batch_id, identity))
        return None if found is None else self._sealer.open_job(found)

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        return map(self._sealer.open_job, self._inner.jobs(batch_id, statuses, results=results))

    def result(self, job_id: int) -> JobResult | None:
        found = self._inner.result(job_id)
        return None if found is None else self._sealer.open_result(job_id, found)

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        return self._inner.counts(batch_id)

    def cost(self, batch_id: int) -> float | None:
        return self._inner.cost(batch_id)

    def failures(self, batch_id: int) -> Sequence[Failures]:
        # Two equal causes are two different texts for the storage below.
        return causes_of(self.jobs(batch_id, {JobStatus.FAILED, JobStatus.EXPIRED}))

    # -- journal -----------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        sealed = [self._sealer.entry(batch_id, entry) for entry in entries]
        return self._inner.append(batch_id, sealed)

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        found = self._inner.journal(batch_id, since, limit)
        return [self._sealer.open_entry(batch_id, entry) for entry in found]

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        found = self._inner.attempts(job_id)
        return [self._sealer.open_attempt(job_id, attempt) for attempt in found]

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        found = self._inner.evidence(job_id, attempt)
        return None if found is None else self._sealer.open_handle(job_id, attempt, found)

    # -- upkeep ------------------------------------------------------------------------------

    def changed(self) -> object:
        return self._inner.changed()

    def prune(self, before: float) -> int:
        return self._inner.prune(before)

    def close(self) -> None:
        self._inner.close()
