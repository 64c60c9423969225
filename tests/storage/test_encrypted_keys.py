"""What a key is, and where it comes from."""

from __future__ import annotations

import base64
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from encrypted_help import KEY, OTHER_KEY, encrypted, key_file, plant
from json_help import facts

from batchkit import (
    MissingExtraError,
    StorageKeyError,
    UsageError,
)
from batchkit.storage import (
    EncryptedStorage,
    _encryption_keys,
    _encryption_vault,
    generate_key,
)

PASSPHRASE = "correct horse battery"
FROM_KEYRING = _encryption_keys._from_keyring


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY", raising=False)
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY_FILE", raising=False)
    monkeypatch.setattr(_encryption_keys, "_from_keyring", lambda: None)
    # What a passphrase costs is not what these tests are about.
    monkeypatch.setitem(_encryption_keys.SCRYPT, "n", 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


# -- what a key is -----------------------------------------------------------------------------


def test_a_generated_key_has_32_bytes_and_is_new() -> None:
    assert len(base64.urlsafe_b64decode(generate_key())) == 32
    assert generate_key() != generate_key()


RAW = base64.urlsafe_b64decode(KEY)


@pytest.mark.parametrize(
    "same",
    [
        RAW,
        KEY.rstrip("="),
        f"  {KEY}\n",
        base64.b64encode(RAW).decode(),
        base64.b64encode(RAW).decode().rstrip("="),
    ],
    ids=["bytes", "unpadded", "spaces", "base64", "base64-unpadded"],
)
def test_one_key_in_several_ways(path: Path, same: bytes | str) -> None:
    with closing(encrypted(path)) as storage:
        plant(storage)
        before = facts(storage)
    with closing(EncryptedStorage(path, key=same)) as storage:
        assert facts(storage) == before


def test_a_passphrase(path: Path) -> None:
    with closing(EncryptedStorage(path, key=PASSPHRASE)) as storage:
        plant(storage)
        before = facts(storage)
    with closing(EncryptedStorage(path, key=f" {PASSPHRASE}\n")) as storage:
        assert facts(storage) == before
    with pytest.raises(StorageKeyError, match="another key"):
        EncryptedStorage(path, key=PASSPHRASE.upper())


def test_the_same_passphrase_makes_another_key_for_each_storage(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        EncryptedStorage(tmp_path / name, key=PASSPHRASE).close()
    ids = [
        (tmp_path / name).read_text().split('\\"by\\":')[1][:20] for name in ("a.json", "b.json")
    ]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("bad", ["short", "", b"x" * 31, b"x" * 33])
def test_what_cannot_be_a_key(path: Path, bad: str | bytes) -> None:
    with pytest.raises(UsageError, match=r"generate_key\(\)") as caught:
        EncryptedStorage(path, key=bad)
    assert not bad or str(bad) not in str(caught.value)
    assert not path.exists()


def test_a_forged_cost_is_not_paid() -> None:
    key = _encryption_keys.read_key(PASSPHRASE)
    with pytest.raises(StorageKeyError, match="asks for 8192 MiB"):
        key.master(b"salt", {"n": 1 << 22, "r": 8, "p": 1})


# -- where it comes from -----------------------------------------------------------------------


def test_a_file(path: Path, tmp_path: Path) -> None:
    encrypted(path).close()
    EncryptedStorage(path, key=key_file(tmp_path)).close()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read(path: Path, tmp_path: Path, mode: int) -> None:
    with pytest.raises(StorageKeyError, match=r"can be read by others: run chmod 600 .*key"):
        EncryptedStorage(path, key=key_file(tmp_path, mode=mode))
    assert not path.exists()


def test_a_file_that_is_not_there(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageKeyError, match=r"key file .* cannot be read"):
        EncryptedStorage(path, key=tmp_path / "nothing")
    (tmp_path / "binary").write_bytes(b"\xff" * 32)
    with pytest.raises(StorageKeyError, match=r"key file .* cannot be read"):
        EncryptedStorage(path, key=tmp_path / "binary")


def test_the_order_of_the_places(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given, the environment, its file, the keyring: the first there is decides."""
    encrypted(path).close()
    monkeypatch.setattr(_encryption_keys, "_from_keyring", lambda: KEY)
    EncryptedStorage(path).close()
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY_FILE", str(key_file(tmp_path, OTHER_KEY)))
    with pytest.raises(StorageKeyError, match="another key"):
        EncryptedStorage(path)
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY", KEY)
    EncryptedStorage(path).close()
    with pytest.raises(StorageKeyError, match="another key"):
        EncryptedStorage(path, key=OTHER_KEY)


def test_no_key_at_all(path: Path) -> None:
    with pytest.raises(
        StorageKeyError, match=r"there is no key: .*BATCHKIT_ENCRYPTION_KEY.*keyring"
    ):
        EncryptedStorage(path)
    assert not path.exists()


def test_the_keyring(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring", reason="the extra keyring is not installed")
    monkeypatch.setattr(_encryption_keys, "_from_keyring", FROM_KEYRING)
    asked: list[tuple[str, str]] = []

    def get_password(service: str, name: str) -> str | None:
        asked.append((service, name))
        return KEY

    monkeypatch.setattr(keyring, "get_password", get_password)
    EncryptedStorage(path).close()
    encrypted(path).close()
    assert asked == [("batchkit", "encryption")]


def test_a_server_without_a_keyring(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring", reason="the extra keyring is not installed")
    errors = pytest.importorskip("keyring.errors")
    monkeypatch.setattr(_encryption_keys, "_from_keyring", FROM_KEYRING)

    def get_password(service: str, name: str) -> str | None:
        raise errors.NoKeyringError("no backend")

    monkeypatch.setattr(keyring, "get_password", get_password)
    with pytest.raises(StorageKeyError, match="there is no key"):
        EncryptedStorage(path)


def test_without_the_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_encryption_vault, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"batchkit-video\[encryption\]"):
        EncryptedStorage(path, key=KEY)
    assert not path.exists()


def test_keys_are_masked_in_messages(path: Path) -> None:
    from batchkit._redaction import scrub

    encrypted(path).close()
    assert KEY.rstrip("=") not in scrub(f"tried {KEY} in vain")


# -- the library -------------------------------------------------------------------------------


def test_the_library_is_loaded_when_it_is_needed() -> None:
    script = "import sys, batchkit.storage; print('cryptography' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
