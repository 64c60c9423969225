"""What clients of several providers read and write the same way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from batchkit._requests import GenerateVideo, Request
from batchkit._results import EMPTY, Output
from batchkit.clients._images import as_uri


def generation(
    request: Request, names: Mapping[str, str] = EMPTY, *, embed: bool = False
) -> dict[str, Any]:
    """The body of a generation: the fields that are set, then ``params`` verbatim.

    Args:
        request: what is asked.
        names: how the provider calls our fields, where it is not as we do. The model and the
            language are left out: they have places of their own.
        embed: an image that is a file goes out as a data URI.
    """
    body: dict[str, Any] = {}
    if isinstance(request, GenerateVideo):
        for field in ("prompt", "duration", "aspect_ratio", "seed", "image"):
            value = getattr(request, field)
            if embed and field == "image" and value is not None:
                value = as_uri(value)
            if value is not None:
                body[names.get(field, field)] = _whole(value)
    return {**body, **request.params}


def _whole(value: Any) -> Any:
    """5 for 5.0: many APIs take whole seconds only."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def files_in(value: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object with a ``url`` inside an answer, with the name under which it stands."""
    if isinstance(value, Mapping):
        url = value.get("url")
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            yield name, value
            return
        for key, item in value.items():
            yield from files_in(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from files_in(item, name)


def outputs(urls: list[str], media_type: str | None = None) -> tuple[Output, ...]:
    """Addresses as outputs; the second and later ones get a number as their role."""
    return tuple(
        Output(url=url, media_type=media_type, role="" if number == 1 else str(number))
        for number, url in enumerate(urls, 1)
    )


def whole(value: object) -> int | None:
    """A size as an API tells it, when it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def number(value: object) -> float | None:
    """A number as an API tells it, also as text; ``None`` for anything else."""
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except ValueError:
        return None


def timestamp(value: object) -> float | None:
    """UTC seconds from what APIs send: a number of seconds, or an ISO 8601 text."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        try:
            when = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
    return number(value)
