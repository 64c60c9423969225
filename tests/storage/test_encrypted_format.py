"""What is on disk: the format of today stays readable, and no nonce is used twice."""

from __future__ import annotations

import base64
from typing import Any

from encrypted_help import KEY, OTHER_KEY, plant, planted_item
from sqlite_help import NOW

from batchkit import Batch
from batchkit.storage import EncryptedStorage, MemoryStorage
from batchkit.storage._encryption_vault import DataKey, Vault

VAULT = Vault(bytes(16), (DataKey(b"abcd", bytes(range(32))),), lambda: ())


def test_a_text_that_this_version_sealed() -> None:
    sealed = "bk1.YWJjZK1a1IEDm-x-TUuPLbjYi9fgUG0-sRt3mNfbHJS6pgBlQ1_c_8Bk9yjs"
    assert VAULT.open("handle:1:1", sealed) == "a cat, ação"


def test_an_identity_that_this_version_made() -> None:
    """It is how the same item is found again, so it must never change."""
    assert VAULT.identity(2, "key:a") == "BnFUvZXCnU0KZXkjBe1ynf_knGWvASh1se7rxFrmHOg="


def test_no_nonce_is_used_twice() -> None:
    sealed = [VAULT.seal("handle:1:1", "the same") for _ in range(1000)]
    nonces = {base64.urlsafe_b64decode(text.removeprefix("bk1."))[4:16] for text in sealed}
    assert len(nonces) == 1000


def test_a_text_of_any_length_and_any_signs() -> None:
    for text in ("", "x", "\x00", "half \ud83d", "é" * 100_000):
        assert VAULT.open("p", VAULT.seal("p", text)) == text


class Recorder(MemoryStorage):
    """Notes what is done to the record of the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        self.done.append("write")
        return super().update_batch(batch_id, **changes)

    def acquire(self, batch_id: int) -> int:
        self.done.append("take")
        return super().acquire(batch_id)


def test_a_rotation_is_safe_before_it_returns() -> None:
    """The old key may be destroyed then; to take a batch is what backends make safe."""
    inner = Recorder()
    plant(EncryptedStorage(inner, key=KEY))
    inner.done.clear()
    storage = EncryptedStorage(inner, keys=[OTHER_KEY, KEY])
    storage.rotate()
    assert inner.done == ["take", "write", "take"]
    assert storage.add(2, [planted_item("more")], NOW)[0][1]
