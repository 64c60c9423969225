"""Sealed texts: AES-256-GCM, bound to the place where they belong.

A sealed text is ``bk1.`` and, in base64, the id of its data key (4 bytes), a random nonce (12) and
the cipher text with its tag (16). The place is the associated data (NIST SP 800-38D): a sealed text
that was moved elsewhere does not open. Keys for each purpose are derived by HKDF-SHA256 (RFC 5869)
with the salt of the storage, so that no text of one storage opens in another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import attrs

from batchkit._errors import MissingExtraError, StorageCorruptError, StorageKeyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "bk1."
#: Bytes of a data key's id, and of a nonce.
ID, NONCE = 4, 12


def check_installed() -> None:
    """Raises if the library of the ciphers is not there.

    Raises:
        MissingExtraError: cryptography is not installed.
    """
    if find_spec("cryptography") is None:
        raise MissingExtraError("encryption", "encryption")


def cipher(key: bytes) -> AESGCM:
    """AES-256-GCM with a key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def derive(key: bytes, salt: bytes, purpose: str, size: int = 32) -> bytes:
    """A key for one purpose."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), size, salt, f"batchkit {purpose}".encode()).derive(key)


def invalid_tag() -> type[Exception]:
    """What a cipher raises for a text that it did not write, or not for this place."""
    from cryptography.exceptions import InvalidTag

    return InvalidTag


@attrs.frozen(repr=False)
class DataKey:
    """A random key that encrypts values; stored only wrapped, under a key that a person keeps."""

    id: bytes
    value: bytes


class Vault:
    """Seals and opens the values of one storage.

    Args:
        salt: of the storage.
        keys: its data keys, oldest first. The first one makes identities, the last one seals.
        more: reads the stored data keys again, when a text names one that is not known.
    """

    def __init__(
        self, salt: bytes, keys: tuple[DataKey, ...], more: Callable[[], tuple[DataKey, ...]]
    ) -> None:
        self._salt, self._more, self._invalid = salt, more, invalid_tag()
        self._identity = derive(keys[0].value, salt, "identity")
        self._ciphers: Mapping[bytes, AESGCM] = {}
        self.take(keys)

    def take(self, keys: tuple[DataKey, ...]) -> None:
        """Uses these data keys from now on."""
        self._ciphers = {key.id: cipher(derive(key.value, self._salt, "values")) for key in keys}
        self._last = keys[-1].id

    def identity(self, batch_id: int, identity: str) -> str:
        """What finds a job again without telling what it asks: HMAC-SHA256, in base64."""
        text = f"{batch_id}:{identity}".encode(errors="surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(self._identity, text, hashlib.sha256)).decode()

    def seal(self, place: str, text: str) -> str:
        """Encrypts a text for one place."""
        nonce = os.urandom(NONCE)
        data = text.encode(errors="surrogatepass")
        sealed = self._ciphers[self._last].encrypt(nonce, data, place.encode())
        return PREFIX + base64.urlsafe_b64encode(self._last + nonce + sealed).decode()

    def open(self, place: str, sealed: object) -> str:
        """The text that was sealed for this place.

        Raises:
            StorageCorruptError: it was altered, or belongs elsewhere.
            StorageKeyError: it was sealed with a data key that the storage does not hold.
        """
        data = _bytes_of(sealed)
        if data is None:
            raise StorageCorruptError(
                f"there is no sealed value at {place!r}. A program without the key wrote here: "
                "restore a copy"
            )
        nonce, rest = data[ID : ID + NONCE], data[ID + NONCE :]
        try:
            opened = self._cipher(data[:ID]).decrypt(nonce, rest, place.encode())
        except self._invalid as exc:
            raise StorageCorruptError(
                f"the sealed value at {place!r} was altered, or moved here from another place: "
                "restore a copy"
            ) from exc
        return opened.decode(errors="surrogatepass")

    def _cipher(self, key_id: bytes) -> AESGCM:
        if key_id not in self._ciphers:
            # Another process has rotated the keys.
            self.take(self._more())
        found = self._ciphers.get(key_id)
        if found is None:
            raise StorageKeyError(
                f"a value was sealed with the data key {key_id.hex()}, which this storage does not "
                "hold: restore a copy"
            )
        return found


def _bytes_of(sealed: object) -> bytes | None:
    if not isinstance(sealed, str) or not sealed.startswith(PREFIX):
        return None
    try:
        data = base64.urlsafe_b64decode(sealed[len(PREFIX) :])
    except (binascii.Error, ValueError):
        return None
    return data if len(data) > ID + NONCE else None
