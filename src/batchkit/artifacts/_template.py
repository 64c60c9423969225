"""Output names: a pattern with fields, and what may become of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import attrs

from batchkit._errors import TemplateError
from batchkit._jobs import Job
from batchkit._requests import OpaqueRequest
from batchkit.artifacts import _names as names
from batchkit.artifacts._extensions import ext_for as ext_for
from batchkit.artifacts._extensions import suffix
from batchkit.artifacts._pattern import Name, Token, read, tells_apart
from batchkit.sources.media import MEDIA_EXTENSIONS

log = logging.getLogger("batchkit.artifacts")

DEFAULT_TEMPLATE = "{index:04d}-{slug}.{ext}"

_MAX_ROLE = 40
_MAX_EXT = 12


@attrs.frozen(init=False)
class Template:
    """Names the files of jobs, as ``{index:04d}-{slug}.{ext}``.

    A ``/`` makes sub-folders. Values never do: what a title or metadata brings is cleaned of
    everything that could leave the output folder or that some system refuses, and shortened, so
    that no name has more than 240 bytes. A value that a job does not have is written ``none``.

    ==================  ==========================================================================
    field               meaning
    ==================  ==========================================================================
    index               position in the batch, from **1**
    id                  number of the job in its storage
    attempt             which submission produced it, from 1
    slug                the title as ASCII words with hyphens, at most 60 characters
    stem                name of the source, without its extension; the slug when there is none
    key, identity       the first 12 characters of what makes the item unique
    kind                of request, as ``generate``
    language, model     as requested
    seed                as requested
    date                UTC day on which the job was added, as ``2025-01-31``
    role                tells several outputs of one job apart; ``main`` for the main one
    meta[x]             the job's metadata ``x``; also ``metadata[x]``
    ext                 file extension; every pattern ends in ``.{ext}``
    ==================  ==========================================================================

    Args:
        pattern: the names. Numbers take formats such as ``04d``, texts such as ``.20``.

    Raises:
        TemplateError: an unknown field, a bad format, a pattern that is empty, leaves the folder
            or does not end in ``.{ext}``.
    """

    pattern: str
    _names: tuple[Name, ...] = attrs.field(repr=False, eq=False)

    def __init__(self, pattern: str) -> None:
        if not pattern.strip():
            raise TemplateError(f"the output template is {pattern!r}: try {DEFAULT_TEMPLATE!r}")
        self.__attrs_init__(pattern, read(pattern))  # pyright: ignore - attrs makes it

    def __str__(self) -> str:
        return self.pattern

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields in use, ``ext`` among them; ``meta`` for metadata."""
        return frozenset({t.field for name in self._names for t in name if t.field} | {"ext"})

    @property
    def unique(self) -> bool:
        """Whether no two jobs of a batch can have one name, whatever their titles are.

        That takes ``{index}`` or ``{id}`` at the start or the end of a name. In the middle it is
        not enough: ``a-1`` + ``-2-`` + ``b`` and ``a`` + ``-1-`` + ``2-b`` are the same.
        """
        return any(tells_apart(name) or tells_apart(name[::-1], end=-1) for name in self._names)

    def render(
        self, job: Job, *, ext: str, role: str = "", number: int = 1, strict: bool = False
    ) -> str:
        """The path of an output below the output folder, with ``/`` between folders.

        Args:
            job: whose output it is.
            ext: its file extension, without the dot.
            role: of the output; it goes before the extension unless the pattern has ``{role}``.
            number: from 2, it goes before the extension too: for a name that is taken.
            strict: refuse metadata that is missing or does not fit its format. Before a job is
                paid that is the right answer; afterwards any name is better than none.

        Raises:
            TemplateError: *strict*, and the job's metadata does not fit.
        """
        ext = re.sub(r"[^a-z0-9]", "", ext.lower())[:_MAX_EXT] or "bin"
        values = _Values(job, ext, role, strict)
        tail = "" if not role or "role" in self.fields else f"-{_role(role)}"
        tail += f"-{number}.{ext}" if number > 1 else f".{ext}"
        *folders, last = self._names
        parts = [names.finish(_fill(folder, values, names.ROOM)) for folder in folders]
        stem = _fill(last, values, names.ROOM - len(tail.encode())).rstrip(" .")
        return "/".join([*parts, names.finish(stem + tail)])


@attrs.frozen
class _Values:
    """What the fields stand for in one job."""

    job: Job
    ext: str
    role: str
    strict: bool

    def text(self, token: Token) -> str:
        if token.is_literal:
            return token.text
        value = self._meta(token) if token.meta else _FIELDS[token.field](self)
        if value is None:
            return names.ABSENT
        return self._formatted(token, value)

    def _meta(self, token: Token) -> Any:
        value = self.job.metadata.get(token.meta)
        if value is None and self.strict:
            raise TemplateError(
                f"item {self.job.index + 1} ({self.job.title[:40]!r}) has no metadata"
                f" {token.meta!r}, which the output template needs: add it, or take the field out"
            )
        return value

    def _formatted(self, token: Token, value: Any) -> str:
        plain = value if isinstance(value, (int, float)) else str(value)
        try:
            text = format(plain, token.spec)
        except (ValueError, OverflowError) as exc:
            if self.strict:
                raise TemplateError(
                    f"item {self.job.index + 1} ({self.job.title[:40]!r}): a value does not fit"
                    f" {token} in the output template ({exc}): change one of them"
                ) from exc
            log.warning("job %d: a value does not fit %s: %s", self.job.id, token, exc)
            return names.ABSENT
        return text if token.is_number else names.clean_value(text)


def _fill(name: Name, values: _Values, room: int) -> str:
    """Joins the values; when that is too long, texts are shortened and numbers are not."""
    filled = [values.text(token) for token in name]
    if len("".join(filled).encode()) <= room:
        return "".join(filled)
    is_text = [not (token.is_literal or token.is_number) for token in name]
    fixed = sum(len(v.encode()) for v, text in zip(filled, is_text, strict=True) if not text)
    share = (room - fixed) // sum(is_text)
    pairs = zip(filled, is_text, strict=True)
    return "".join(names.cut(value, share) if text else value for value, text in pairs)


def _role(role: str) -> str:
    return names.cut(names.clean_value(role), _MAX_ROLE)


def _stem(job: Job) -> str:
    """The title without a media extension; of a URL neither the query, which may be secret."""
    title, source = job.title, getattr(job.request, "source", "")
    if isinstance(source, str) and "://" in source:
        title = unquote(source.split("?", 1)[0].split("#", 1)[0].rstrip("/").rsplit("/", 1)[-1])
    found = suffix(title)
    return title[: -len(found)] if found in MEDIA_EXTENSIONS else title


def _key(job: Job) -> str:
    return job.identity.removeprefix("key:")[:12]


def _slug(job: Job) -> str:
    return names.slugify(_stem(job)) or names.slugify(_key(job)) or "item"


def _kind(job: Job) -> str:
    request = job.request
    return request.stored_kind if isinstance(request, OpaqueRequest) else request.kind


_FIELDS: dict[str, Callable[[_Values], Any]] = {
    "attempt": lambda v: v.job.attempt,
    "date": lambda v: datetime.fromtimestamp(v.job.created, UTC).date().isoformat(),
    "ext": lambda v: v.ext,
    "id": lambda v: v.job.id,
    "identity": lambda v: _key(v.job),
    "index": lambda v: v.job.index + 1,
    "key": lambda v: _key(v.job),
    "kind": lambda v: _kind(v.job),
    "language": lambda v: getattr(v.job.request, "language", None),
    "model": lambda v: getattr(v.job.request, "model", None),
    "role": lambda v: _role(v.role or "main"),
    "seed": lambda v: getattr(v.job.request, "seed", None),
    "slug": lambda v: _slug(v.job),
    "stem": lambda v: _stem(v.job) if hasattr(v.job.request, "source") else _slug(v.job),
}
