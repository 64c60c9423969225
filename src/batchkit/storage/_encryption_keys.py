"""The keys that people keep: how they are made, written, and found."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from batchkit._errors import StorageKeyError, UsageError
from batchkit._redaction import remember

log = logging.getLogger("batchkit.storage")

#: Bytes of every key.
SIZE = 32
#: Names of the environment, and of the entry in the system's keyring.
KEY_VARIABLE = "BATCHKIT_ENCRYPTION_KEY"
FILE_VARIABLE = "BATCHKIT_ENCRYPTION_KEY_FILE"
KEYRING_SERVICE, KEYRING_NAME = "batchkit", "encryption"

#: Cost of scrypt: 128 MiB and some tenths of a second for each guess.
#: Source: OWASP Password Storage Cheat Sheet, "scrypt".
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
#: A stored cost above this one is not paid: a forged file could ask for any.
_MOST_MEMORY = 1 << 30
_SHORTEST_PASSPHRASE = 12

KeyLike = bytes | str | Path


@attrs.frozen(repr=False)
class Key:
    """A key as somebody gave it: 32 bytes, or a passphrase that becomes them."""

    value: bytes
    is_passphrase: bool = False
    # Making it again costs as much as a guess.
    _made: dict[bytes, bytes] = attrs.field(factory=dict, init=False, eq=False)

    def master(self, salt: bytes, scrypt: Mapping[str, int]) -> bytes:
        """The 32 bytes.

        Args:
            salt: of the storage; for passphrases.
            scrypt: its cost, as ``n``, ``r`` and ``p``.
        """
        if not self.is_passphrase:
            return self.value
        n, r, p = scrypt["n"], scrypt["r"], scrypt["p"]
        memory = 128 * n * r * 2
        if memory > _MOST_MEMORY:
            raise StorageKeyError(
                f"the storage asks for {memory >> 20} MiB to check a passphrase, which batchkit "
                "never does: restore a copy"
            )
        if salt not in self._made:
            self._made[salt] = hashlib.scrypt(
                self.value, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=SIZE
            )
        return self._made[salt]


def generate_key() -> str:
    """A new random key as text: 32 bytes in base64. Keep it apart from the data."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SIZE)).decode()


def read_key(given: KeyLike) -> Key:
    """A key from 32 bytes, from their base64, from a passphrase, or from a file that holds a text.

    Raises:
        UsageError: it cannot be a key.
        StorageKeyError: the file is not there, or not its owner's alone.
    """
    if isinstance(given, Path):
        return read_key(_read_file(given))
    if isinstance(given, bytes):
        if len(given) != SIZE:
            raise UsageError(f"a key has {SIZE} bytes, this one {len(given)}: use generate_key()")
        return Key(given)
    text = given.strip()
    remember([text])
    decoded = _decoded(text)
    if decoded is not None:
        return Key(decoded)
    if len(text) < _SHORTEST_PASSPHRASE:
        raise UsageError(
            f"a passphrase of {len(text)} characters is guessed: use generate_key(), or one of "
            f"{_SHORTEST_PASSPHRASE} characters or more"
        )
    return Key(text.encode(), is_passphrase=True)


def _decoded(text: str) -> bytes | None:
    """The bytes of a key in base64, in either alphabet, with or without padding."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == SIZE else None


def _read_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise StorageKeyError(
            f"the key file {path} cannot be read ({exc}): it holds the text of one key, as "
            "generate_key() makes it"
        ) from exc
    if stat.S_IMODE(mode) & 0o077:
        raise StorageKeyError(f"the key file {path} can be read by others: run chmod 600 {path}")
    return text


def is_key_set() -> bool:
    """Whether the environment names a key."""
    return bool(os.environ.get(KEY_VARIABLE) or os.environ.get(FILE_VARIABLE))


def find_keys(given: Iterable[KeyLike]) -> list[Key]:
    """The keys that were given; else the one of the environment, of its file, or of the keyring.

    Raises:
        StorageKeyError: there is none.
    """
    keys = [read_key(each) for each in given]
    if keys:
        return keys
    if text := os.environ.get(KEY_VARIABLE):
        return [read_key(text)]
    if name := os.environ.get(FILE_VARIABLE):
        return [read_key(Path(name).expanduser())]
    if text := _from_keyring():
        return [read_key(text)]
    raise StorageKeyError(
        f"there is no key: give key=..., set {KEY_VARIABLE} or {FILE_VARIABLE}, or store one with "
        f'"keyring set {KEYRING_SERVICE} {KEYRING_NAME}"'
    )


def _from_keyring() -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(KEYRING_SERVICE, KEYRING_NAME)
    except KeyringError as exc:
        # The usual case on a server: there is no keyring at all.
        log.info("the system's keyring cannot be asked for a key: %s", exc)
        return None
