"""Reading the pattern of an output template: what it may say, and what is refused at once."""

from __future__ import annotations

import re
import string
import unicodedata

import attrs

from batchkit._errors import TemplateError
from batchkit.artifacts import _names as names

#: Fields that are whole numbers and take a format such as ``04d``. They are never shortened.
NUMBERS = ("attempt", "id", "index")
#: Fields that are text.
TEXTS = (
    "date", "ext", "identity", "key", "kind", "language", "model", "role", "seed", "slug", "stem",
)  # fmt: skip

_META = re.compile(r"(?:meta|metadata)\[([^\[\]]+)\]")
# Anything else would let two numbers look the same, or fill the memory with blanks.
_NUMBER_SPEC = re.compile(r"0?\d{0,2}[dxX]?")
_TEXT_SPEC = re.compile(r"(?:.?[<>^=])?[-+ ]?#?0?\d{0,2}[_,]?(?:\.\d{1,2})?[a-zA-Z%]?", re.DOTALL)
_MAX_FOLDERS = 8  # and the file is one of them
# What the longest role, number and extension leave of a name, less a share for every text.
_MAX_FIXED = 120
_TEXT_SHARE = 8
_WIDE_NUMBER = 10**12 - 1


@attrs.frozen
class Token:
    """A stretch of the pattern: fixed text, or a field."""

    text: str = ""
    field: str = ""
    meta: str = ""
    spec: str = ""

    def __str__(self) -> str:
        field = f"meta[{self.meta}]" if self.meta else self.field
        return f"{{{field}:{self.spec}}}" if self.spec else f"{{{field}}}"

    @property
    def is_number(self) -> bool:
        """Whether it is a whole number, which is never shortened."""
        return self.field in NUMBERS

    @property
    def is_literal(self) -> bool:
        """Whether it is fixed text."""
        return not self.field

    def size(self) -> int:
        """Bytes that it takes, or for a text those that are kept free for it."""
        if self.is_literal:
            return len(self.text.encode())
        return len(format(_WIDE_NUMBER, self.spec)) if self.is_number else _TEXT_SHARE


#: One folder, or the file without its extension.
Name = tuple[Token, ...]


def read(pattern: str) -> tuple[Name, ...]:
    """The folders and the file that *pattern* names, without the ``.{ext}`` at the end.

    Raises:
        TemplateError: it cannot work for any job.
    """
    parts = _split(_tokens(pattern))
    _drop_ext(pattern, parts[-1])
    for part in parts:
        _check_name(pattern, part)
    if len(parts) > _MAX_FOLDERS:
        raise TemplateError(
            f"the output template {pattern!r} makes more than {_MAX_FOLDERS - 1} folders:"
            " leave some out"
        )
    return tuple(tuple(part) for part in parts)


def _tokens(pattern: str) -> list[Token]:
    tokens: list[Token] = []
    try:
        for literal, field, spec, conversion in string.Formatter().parse(pattern):
            if literal:
                tokens.append(Token(text=_literal(pattern, literal)))
            if field is not None:
                tokens.append(_field(pattern, field, spec or "", conversion))
    except TemplateError:
        raise
    except ValueError as exc:
        raise TemplateError(
            f"the output template {pattern!r} cannot be read ({exc}): write {{{{ for a brace"
        ) from exc
    return tokens


def _literal(pattern: str, text: str) -> str:
    for char in text:
        if names.is_invisible(char) or (char in names.FORBIDDEN and char != "/"):
            raise TemplateError(
                f"the output template {pattern!r} contains {char!r}, which not every system allows"
                " in names: leave it out; sub-folders are made with /"
            )
    return unicodedata.normalize("NFC", text)


def _field(pattern: str, field: str, spec: str, conversion: str | None) -> Token:
    if meta := _META.fullmatch(field):
        token = Token(field="meta", meta=meta.group(1), spec=spec)
    elif field in NUMBERS or field in TEXTS:
        token = Token(field=field, spec=spec)
    else:
        known = ", ".join(sorted((*NUMBERS, *TEXTS, "meta[...]")))
        raise TemplateError(
            f"the output template {pattern!r} has an unknown field {{{field}}}: choose from {known}"
        )
    if conversion or not _spec_fits(token):
        raise TemplateError(
            f"the output template {pattern!r} has a bad format for {{{field}}}: numbers take one"
            " such as {index:04d}, texts one such as {slug:.20}"
        )
    return token


def _spec_fits(token: Token) -> bool:
    if token.is_number or token.field == "seed":
        return _NUMBER_SPEC.fullmatch(token.spec) is not None
    if _TEXT_SPEC.fullmatch(token.spec) is None:
        return False
    # Metadata may be text or a number; which of them is known only from a job.
    return any(_accepts(value, token.spec) for value in (("x", 1, 1.5) if token.meta else ("x",)))


def _accepts(value: str | float, spec: str) -> bool:
    try:
        format(value, spec)
    except ValueError:
        return False
    return True


def _split(tokens: list[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not token.is_literal:
            parts[-1].append(token)
            continue
        first, *rest = token.text.split("/")
        parts[-1].extend(_literals(first))
        parts.extend(_literals(text) for text in rest)
    return parts


def _literals(text: str) -> list[Token]:
    return [Token(text=text)] if text else []


def _drop_ext(pattern: str, last: list[Token]) -> None:
    dot, ext = last[-2:] if len(last) > 1 else (Token(), Token())
    if not dot.text.endswith(".") or ext != Token(field="ext"):
        raise TemplateError(
            f"the output template {pattern!r} does not end in .{{ext}}: add it, so that files get"
            " the extension of what they hold"
        )
    last[-2:] = _literals(dot.text[:-1])


def _check_name(pattern: str, name: list[Token]) -> None:
    if all(token.is_literal and not token.text.strip(" .") for token in name):
        raise TemplateError(
            f"the output template {pattern!r} has a folder or file without a name: take out"
            " a / at its start, // and .. (files stay inside the output folder)"
        )
    if sum(token.size() for token in name) > _MAX_FIXED:
        raise TemplateError(
            f"the output template {pattern!r} has a name that is too long: between two / keep to"
            f" {_MAX_FIXED} bytes, counting {_TEXT_SHARE} for every text field"
        )


def tells_apart(name: Name, end: int = 0) -> bool:
    """Whether *name*, read from one end, starts with a number that nothing else can blur."""
    rest = list(name)
    while rest and rest[0].is_literal:
        rest.pop(0)
    if not rest or rest[0].field not in ("index", "id"):
        return False
    return len(rest) == 1 or (rest[1].is_literal and rest[1].text[end] not in string.hexdigits)
