"""What tells that a storage is encrypted, and with which key: a batch that holds no jobs.

Its configuration is JSON: the salt, the cost of scrypt, and the data keys, each wrapped
(AES-256-GCM) under the key that a person keeps. Unwrapping is the check of that key: a wrong one
opens none. A batch, because every backend keeps batches, whatever else it keeps.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from batchkit._config import Batch
from batchkit._errors import (
    BatchBusyError,
    StorageCorruptError,
    StorageKeyError,
    StorageVersionError,
)
from batchkit.storage._encryption_keys import SCRYPT, SIZE, Key
from batchkit.storage._encryption_vault import ID, NONCE, DataKey, cipher, derive, invalid_tag
from batchkit.storage.base import Storage

#: The name of the batch.
NAME = "batchkit.encryption"
#: Raised with every change of the format; newer ones are refused.
VERSION = 1

#: When it was made: in the year 9999. Batches without jobs are pruned by their age.
_CREATED = 253_402_300_799.0
#: Seconds to wait for a process that makes the record, or rotates keys, in this moment.
_PATIENCE = 10.0
_PAUSE = 0.02

Record = dict[str, Any]


@attrs.frozen(repr=False)
class Wrapper:
    """What wraps data keys: derived from a key and the storage's salt."""

    id: str
    key: bytes

    @classmethod
    def of(cls, key: Key, record: Mapping[str, Any]) -> Wrapper:
        """The wrapper that a key makes for the storage of this record."""
        salt = salt_of(record)
        master = key.master(salt, record["scrypt"])
        return cls(derive(master, salt, "key id", 8).hex(), derive(master, salt, "wrapping"))

    def wrap(self, data_key: DataKey) -> Record:
        """A data key as the record holds it."""
        nonce = os.urandom(NONCE)
        sealed = nonce + cipher(self.key).encrypt(nonce, data_key.value, data_key.id)
        wrapped = base64.b64encode(sealed).decode()
        return {"id": data_key.id.hex(), "by": self.id, "wrapped": wrapped}

    def unwrap(self, entry: Mapping[str, str]) -> DataKey:
        """The data key that :meth:`wrap` wrapped.

        Raises:
            StorageCorruptError: it was altered.
        """
        try:
            sealed, name = base64.b64decode(entry["wrapped"]), bytes.fromhex(entry["id"])
            value = cipher(self.key).decrypt(sealed[:NONCE], sealed[NONCE:], name)
        except (invalid_tag(), ValueError) as exc:
            raise _altered(f"the data key {entry['id']} does not open") from exc
        return DataKey(name, value)


def _altered(what: str) -> StorageCorruptError:
    return StorageCorruptError(f"{what}: somebody altered it, restore a copy of the storage")


def record_of(batch: Batch | None) -> Record | None:
    """The record in a batch; ``None`` when it holds none (yet).

    Raises:
        StorageCorruptError: it was altered.
        StorageVersionError: a newer version wrote it.
    """
    try:
        record: Record = json.loads(batch.config) if batch is not None else {}
    except ValueError as exc:
        raise _altered(f"the configuration of {NAME!r} is not JSON") from exc
    if record.get("batchkit") != "encryption":
        return None
    if not all(record.get(name) for name in ("version", "salt", "scrypt", "data_keys")):
        raise _altered(f"the configuration of {NAME!r} is not whole")
    if record["version"] > VERSION:
        raise StorageVersionError(
            f"the storage was encrypted by a newer batchkit (version {record['version']}, this one "
            f"knows {VERSION}): upgrade batchkit-video"
        )
    return record


def salt_of(record: Mapping[str, Any]) -> bytes:
    """The salt of a storage."""
    return base64.b64decode(record["salt"])


def refuse_without_key(storage: Storage) -> None:
    """Raises if a storage is encrypted, and about to be used without its key.

    Raises:
        StorageKeyError: it is.
    """
    if record_of(storage.find_batch(NAME)) is not None:
        raise StorageKeyError(
            f"{storage.location} is encrypted: set BATCHKIT_ENCRYPTION_KEY, or open it with "
            "EncryptedStorage(..., key=...)"
        )


def new_data_key() -> DataKey:
    """A random one."""
    return DataKey(os.urandom(ID), os.urandom(SIZE))


def unlock(record: Mapping[str, Any], keys: Sequence[Key], location: str) -> tuple[DataKey, ...]:
    """The data keys of a record.

    Raises:
        StorageKeyError: none of *keys* is the one that wraps them.
    """
    by = record["data_keys"][0]["by"]
    found: list[str] = []
    for key in keys:
        wrapper = Wrapper.of(key, record)
        if wrapper.id == by:
            return tuple(wrapper.unwrap(entry) for entry in record["data_keys"])
        found.append(wrapper.id)
    raise StorageKeyError(
        f"{location} is encrypted with another key (its id is {by}, this one's "
        f"{', '.join(found)}): give the right one; without it nobody can read the storage"
    )


def wrapped(data_keys: Sequence[DataKey], key: Key, like: Mapping[str, Any]) -> Record:
    """A record with these data keys under this key."""
    wrapper = Wrapper.of(key, like)
    return {**like, "data_keys": [wrapper.wrap(data_key) for data_key in data_keys]}


def open_record(storage: Storage, keys: Sequence[Key]) -> tuple[Record, tuple[DataKey, ...]]:
    """The record of a storage and its data keys; made when the storage is new.

    Raises:
        StorageKeyError: the key is not the right one, or the storage holds plain batches.
    """
    record = record_of(storage.find_batch(NAME))
    if record is None:
        _refuse_plain(storage)
        record = _create(storage, keys[0])
    return record, unlock(record, keys, storage.location)


def read_again(storage: Storage, keys: Sequence[Key]) -> tuple[DataKey, ...]:
    """The data keys as they are now.

    Raises:
        StorageKeyError: another process has changed the key.
    """
    return unlock(_record(storage), keys, storage.location)


def _record(storage: Storage) -> Record:
    record = record_of(storage.find_batch(NAME))
    if record is None:
        raise _altered(f"{storage.location} has lost its data keys")
    return record


def _refuse_plain(storage: Storage) -> None:
    if plain := [batch.name for batch in storage.batches() if batch.name != NAME]:
        raise StorageKeyError(
            f"{storage.location} holds batches that are not encrypted ({', '.join(plain[:3])}): "
            "open it without a key (unset BATCHKIT_ENCRYPTION_KEY), or name another file"
        )


def _create(storage: Storage, key: Key) -> Record:
    batch_id = storage.open_batch(NAME, _CREATED).id
    with Alone(storage, batch_id):
        # Another process may have been faster.
        record = record_of(storage.find_batch(NAME))
        if record is None:
            _refuse_plain(storage)
            fresh = {
                "batchkit": "encryption",
                "version": VERSION,
                "salt": base64.b64encode(os.urandom(16)).decode(),
                "scrypt": SCRYPT,
            }
            record = wrapped([new_data_key()], key, fresh)
            storage.update_batch(batch_id, config=json.dumps(record))
    return record


class Alone:
    """Inside, no other process writes the record: whoever does holds the batch as a runner does."""

    def __init__(self, storage: Storage, batch_id: int) -> None:
        self._storage, self._batch_id = storage, batch_id

    def __enter__(self) -> None:
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                self._storage.acquire(self._batch_id)
            except BatchBusyError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def __exit__(self, *exc_info: object) -> None:
        self._storage.release(self._batch_id)


def rotate(storage: Storage, keys: Sequence[Key]) -> tuple[DataKey, ...]:
    """Wraps all data keys under the first key, and adds one that seals from now on.

    Raises:
        StorageKeyError: none of *keys* opens the storage.
        BatchBusyError: another process rotates at this moment.
    """
    _record(storage)
    batch_id = storage.open_batch(NAME, _CREATED).id
    with Alone(storage, batch_id):
        record = _record(storage)
        data_keys = (*unlock(record, keys, storage.location), new_data_key())
        fresh = wrapped(data_keys, keys[0], record)
        storage.update_batch(batch_id, config=json.dumps(fresh))
    # Taking a batch is safe against the loss of power, and so is what was written before it: from
    # here on the old key may be destroyed.
    with Alone(storage, batch_id):
        return data_keys
