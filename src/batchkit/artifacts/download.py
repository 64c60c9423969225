"""Downloads that go on where they broke off, and stop where they should.

A part is gone on with only if it can be told that it is a part of the same file: by a validator
that the server gave with it (``If-Range``), or because the whole can be verified afterwards, by a
digest or by the size that the provider declared. Whatever does not fit starts again from the
beginning.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from batchkit._context import is_given_up
from batchkit._errors import ClientError, StorageFullError
from batchkit._results import Download
from batchkit.artifacts import _files as files
from batchkit.artifacts import _http as http
from batchkit.artifacts._entity import Entity, read_entity
from batchkit.artifacts._part import Note, Part

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("batchkit.artifacts")

#: Bytes between two looks at the free space.
_LOOK_EVERY = 16 * 1024 * 1024


def _seconds(value: float) -> float:
    return float(value)


@attrs.frozen(kw_only=True)
class Limits:
    """What a download may take.

    Attributes:
        max_bytes: larger results are refused.
        min_free_bytes: so much of the disk is left to others.
        seconds: for one try; the next one goes on where it broke off, where the server can do that.
        stall: seconds in which a server must send something.
        allow_private: reach loopback and private addresses too.
    """

    max_bytes: int = 20_000_000_000
    min_free_bytes: int = 50_000_000
    seconds: float = attrs.field(default=3600.0, converter=_seconds)
    stall: float = attrs.field(default=60.0, converter=_seconds)
    allow_private: bool = False


@attrs.frozen(kw_only=True)
class Expected:
    """What the provider declared of a file.

    Attributes:
        size: in bytes, or ``None``.
        digests: hex digests, by algorithm.
        media_type: as ``"video/mp4"``.
    """

    size: int | None = None
    digests: Mapping[str, str] = attrs.field(factory=dict)
    media_type: str | None = None


class _StartAgainError(Exception):
    """The part is none of what the server has now."""


def fill(part: Part, what: Download, owner: str, expected: Expected, limits: Limits) -> None:
    """Brings the rest of a file into *part*, which may hold its beginning.

    It returns when the server has sent all that it announced. Whether that is what was declared is
    for the caller to verify, with ``part.note.digests`` besides.

    Args:
        part: as :meth:`Part.resume` opened it; kept for the next try when that can go on with it.
        what: where it is.
        owner: which output of which attempt it is.
        expected: what the provider declared.
        limits: what it may take.

    Raises:
        StorageFullError: the disk has no room for it.
        NotFoundError, ResultExpiredError, AuthenticationError: what the server says.
        ClientError: it is refused, or the connection broke.
    """
    transfer = _Transfer(part, what, owner, expected, limits)
    if not transfer.may_go_on():
        part.restart()
    if part.note is not None and part.note.total == part.size:
        # The death came between the last byte and the name.
        return
    try:
        transfer.run()
    except _StartAgainError as exc:
        log.info("%s: %s; the download starts again", http.without_secrets(what.url), exc)
        part.restart()
        transfer.run()


@attrs.define(eq=False)
class _Transfer:
    part: Part
    what: Download
    owner: str
    expected: Expected
    limits: Limits
    _until: float = attrs.field(init=False)
    _looked_at: int = attrs.field(default=-_LOOK_EVERY, init=False)

    def __attrs_post_init__(self) -> None:
        self._until = time.monotonic() + self.limits.seconds

    @property
    def where(self) -> str:
        return http.without_secrets(self.what.url)

    @property
    def _address(self) -> str:
        return hashlib.sha256(self.where.encode(errors="replace")).hexdigest()

    def may_go_on(self) -> bool:
        """Whether what is there can be a part of what is wanted now."""
        note, part = self.part.note, self.part
        if note is None or not part.size:
            return False
        if note.total is not None and part.size > note.total:
            return False
        if self.expected.digests or note.digests:
            return True
        same_place = note.address == self._address
        return same_place and (note.validator is not None or self.expected.size is not None)

    def run(self) -> None:
        get = http.get(
            self.what,
            self._headers(),
            allow_private=self.limits.allow_private,
            stall=self.limits.stall,
        )
        with get as response:
            entity = read_entity(response.status_code, response.headers)
            if response.status_code == 200:
                self._refuse(entity)
                self.part.restart(self._note(entity))
            else:
                self._check_continues(response, entity)
            self._read(response)
        noted = self.part.note.total if self.part.note is not None else None
        total = entity.total if noted is None else noted
        if total is not None and self.part.size < total:
            raise self._error(f"it ended after {self.part.size} of {total} bytes", retryable=True)

    def _headers(self) -> dict[str, str]:
        # Recordings are compressed already, and only plain bytes have the size that is declared.
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "batchkit-video",
        }
        if self.part.size:
            headers["Range"] = f"bytes={self.part.size}-"
            if self.part.note is not None and self.part.note.validator is not None:
                headers["If-Range"] = self.part.note.validator
        return headers

    def _note(self, entity: Entity) -> Note | None:
        """``None`` when nothing could tell the next try that its part still fits."""
        verifiable = entity.digests or self.expected.digests or self.expected.size is not None
        if entity.validator is None and not verifiable:
            return None
        return Note(
            owner=self.owner,
            address=self._address,
            validator=entity.validator,
            total=entity.total,
            digests=entity.digests,
        )

    # -- what is refused --------------------------------------------------------------------

    def _check_continues(self, response: httpx.Response, entity: Entity) -> None:
        note = self.part.note
        if note is None or not self.part.size:
            raise self._error(f"the server answers {response.status_code}, unasked", retryable=True)
        if response.status_code == 416:
            raise _StartAgainError("the server has no such range")
        if entity.start != self.part.size:
            raise _StartAgainError("the server sends another range than it was asked for")
        if None not in (entity.total, note.total) and entity.total != note.total:
            raise _StartAgainError("its size has changed")
        if None not in (entity.validator, note.validator) and entity.validator != note.validator:
            raise _StartAgainError("it has changed")
        self._refuse(entity)

    def _refuse(self, entity: Entity) -> None:
        """Raises for what is not worth a single byte."""
        if entity.encoding:
            raise self._error(
                f"the server compresses it ({entity.encoding}) although it was asked not to: give "
                "the client a fetch method that returns the bytes"
            )
        if entity.is_words(self.expected.media_type):
            raise self._error(
                f"the server sends {entity.media_type} where {self.expected.media_type} was"
                " expected",
                code="incomplete",
                retryable=True,
            )
        total, size = entity.total, self.expected.size
        if None not in (total, size) and total != size:
            raise self._error(
                f"the server has {total} bytes and {size} were declared",
                code="incomplete",
                retryable=True,
            )
        self._check_size(max(total or 0, size or 0))
        self._check_room((total or size or 0) - self.part.size)

    # -- the bytes --------------------------------------------------------------------------

    def _read(self, response: httpx.Response) -> None:
        for chunk in response.iter_raw():
            self._check_size(self.part.size + len(chunk))
            if self.part.size - self._looked_at >= _LOOK_EVERY:
                self._looked_at = self.part.size
                self._check_room(len(chunk))
            self.part.write(chunk)
            if self.expected.size is not None and self.part.size > self.expected.size:
                # Not read to its end, which may never come.
                self.part.keep = False
                told = f"it has more than the {self.expected.size} bytes that were declared"
                raise self._error(told, code="incomplete", retryable=True)
            if is_given_up():
                raise self._error("nobody waits for it any more", retryable=True)
            if time.monotonic() > self._until:
                told = f"it takes longer than {self.limits.seconds:g} s: raise collect_timeout"
                raise self._error(told, code="timeout", retryable=True)

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            self.part.keep = False
            raise self._error(
                f"it is larger than {self.limits.max_bytes} bytes: raise max_download_bytes",
                code="too_large",
            )

    def _check_room(self, needed: int) -> None:
        room = files.free_bytes(self.part.path.parent) - self.limits.min_free_bytes
        if needed > room:
            raise StorageFullError(
                f"{self.part.path.parent} has no room for {needed / 1e6:.0f} MB more: free some"
                " space, then run again; what was downloaded is kept"
            )

    def _error(
        self, problem: str, *, code: str = "download", retryable: bool = False
    ) -> ClientError:
        return ClientError(
            f"{self.where} cannot be downloaded: {problem}", code=code, retryable=retryable
        )
