"""One item, in whichever form it was given, as a request."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from batchkit import _requests as requests
from batchkit._errors import UsageError
from batchkit._requests import Request

#: Keys of a row that say something about the item, and not what is asked for.
ITEM_KEYS = ("key", "kind", "metadata", "priority")

#: A request; the host's own facts; its key, if it has one; its priority.
Item = tuple[Request, Mapping[str, Any], str | None, int]

# Working out annotations takes longer than all the rest of a row.
_TYPES: WeakKeyDictionary[type[Request], dict[str, Any]] = WeakKeyDictionary()


@attrs.frozen(kw_only=True)
class Row:
    """One item, read and checked.

    Attributes:
        kind: of the request.
        fields: of the request, by name.
        metadata: the host's own facts; columns that no request knows end up here.
        key: what makes the item unique; ``None`` takes the request itself.
        priority: higher goes first.
        where: file and line, for messages.
    """

    kind: str = requests.GenerateVideo.kind
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    key: str | None = None
    priority: int = 0
    where: str = ""


def to_request(
    row: str | Mapping[str, Any] | Request | Row, *, language: str, kind: str = "generate"
) -> Item:
    """What one row asks for.

    Args:
        row: a request, which is taken as it is; a text, which is the prompt or the source; or a
            mapping of the request's fields, ``params``, ``key``, ``kind``, ``priority`` and
            ``metadata``. Other keys are metadata.
        language: of prompts that do not say theirs, as an IETF tag.
        kind: of request, for texts and mappings that do not say theirs.

    Returns:
        the request, its metadata, its key or ``None``, and its priority.

    Raises:
        UsageError: a field is missing, or not what it should be. An empty prompt passes, to be
            left out.
    """
    if isinstance(row, Request):
        return row, {}, None, 0
    if not isinstance(row, Row):
        row = to_row(row, kind=kind)
    fields = dict(row.fields)
    if row.kind == requests.GenerateVideo.kind:
        fields.setdefault("language", language)
    return request_class(row.kind)(**fields), row.metadata, row.key, row.priority


def to_row(given: str | Mapping[str, Any], *, kind: str = "generate", where: str = "") -> Row:
    """A text or a mapping as a row: what is a field, and what is metadata.

    Raises:
        UsageError: it is neither, its kind is unknown, or a value is not what it should be.
    """
    if isinstance(given, str):
        given = {_main_field(request_class(kind)): given}
    if not isinstance(given, Mapping):
        raise _wrong(where, f"a row is {type(given).__name__}: give a text, a mapping or a request")
    kind = _optional(given, "kind", _text, where) or kind
    cls = request_class(kind, where)
    known = _types(cls)
    facts = {k: v for k, v in given.items() if k not in known and k not in ITEM_KEYS}
    return Row(
        kind=kind,
        fields=_typed_fields(cls, given, where),
        metadata={**facts, **(_optional(given, "metadata", _mapping, where) or {})},
        key=_optional(given, "key", _text, where),
        priority=_optional(given, "priority", _integer, where) or 0,
        where=where,
    )


def records(frame: Any) -> Iterator[dict[str, Any]]:
    """The rows of a DataFrame as mappings, without the cells that hold nothing.

    Args:
        frame: anything with ``columns`` and a ``to_dict("records")``, such as one of pandas.

    Raises:
        UsageError: it has neither.
    """
    if not (hasattr(frame, "columns") and callable(getattr(frame, "to_dict", None))):
        raise UsageError(f"{type(frame).__name__} is no DataFrame: give an iterable of rows")
    rows: Iterable[Mapping[Any, Any]] = frame.to_dict("records")
    return (
        {str(name): value for name, value in row.items() if not _is_missing(value)} for row in rows
    )


def _is_missing(value: object) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)  # only what is not a number differs from itself
    except TypeError:
        # pandas.NA refuses to say whether it equals itself.
        return True
    except ValueError:
        # An array has no truth, but it is a value.
        return False


# -- fields ---------------------------------------------------------------------------------


def request_class(kind: str, where: str = "") -> type[Request]:
    """The request class of that kind.

    Raises:
        UsageError: nobody registered it.
    """
    cls = requests._KINDS.get(kind)
    if cls is None:
        known = ", ".join(sorted(requests._KINDS))
        raise _wrong(where, f"{kind!r} is no kind of request: choose from {known}, or register it")
    return cls


def _main_field(cls: type[Request]) -> str:
    """The field that a request cannot do without: the prompt, or the source."""
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING:
            return str(field.name)
    raise UsageError(f"a {cls.kind} request has no main field: give a mapping of its fields")


def _types(cls: type[Request]) -> dict[str, Any]:
    if cls not in _TYPES:
        hints = typing.get_type_hints(cls)
        _TYPES[cls] = {field.name: hints[field.name] for field in attrs.fields(cls)}
    return _TYPES[cls]


def _typed_fields(cls: type[Request], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = _types(cls)
    fields = {
        name: _typed(value, known[name], name, where)
        for name, value in given.items()
        if name in known and value is not None
    }
    # An empty prompt in a list is for the caller to leave out. In a file, the rest of its row says
    # that something was meant.
    may_be_blank = cls is requests.GenerateVideo and not where
    for name in (field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING):
        if name not in fields:
            raise _wrong(where, f"{name} is missing: a {cls.kind} request needs it")
        if _is_blank(fields[name]) and not may_be_blank:
            raise _wrong(where, f"{name} is empty: write one, or leave the row out")
    return fields


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _typed(value: Any, hint: Any, name: str, where: str) -> Any:
    """*value* as the field's annotation wants it; types that a host invented are left alone."""
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    for choice in typing.get_args(hint) if is_union else (hint,):
        convert = _CONVERTERS.get(typing.get_origin(choice) or choice)
        if convert is not None:
            return convert(value, name, where)
    return value


def _optional(row: Mapping[str, Any], name: str, convert: Callable[..., Any], where: str) -> Any:
    value = row.get(name)
    return None if value is None else convert(value, name, where)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, f"{name} is {value!r}: give a text")
    return value


def _number(value: Any, name: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(where, f"{name} is {value!r}: give a number, with a point before decimals")
    return number


def _integer(value: Any, name: str, where: str) -> int:
    # A column that has gaps comes out of a DataFrame as 3.0.
    is_whole = not isinstance(value, float) or value.is_integer()
    try:
        return int("" if isinstance(value, bool) or not is_whole else value)
    except (TypeError, ValueError) as exc:
        raise _wrong(where, f"{name} is {value!r}: give a whole number") from exc


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as exc:
            raise _wrong(where, f"{name} is not JSON ({exc}): write it as {{...}}") from exc
    if not isinstance(value, Mapping):
        raise _wrong(where, f"{name} is {value!r}: give a mapping, in a file as {{...}}")
    return {str(key): item for key, item in value.items()}


def _wrong(where: str, message: str) -> UsageError:
    return UsageError(f"{where}: {message}" if where else message)


_CONVERTERS: dict[Any, Callable[[Any, str, str], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    Mapping: _mapping,
}
