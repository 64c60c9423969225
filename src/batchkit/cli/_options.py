"""Options that commands share, and what they mean."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from batchkit._errors import UsageError
from batchkit._jobs import JobStatus
from batchkit.cli._language import LANGUAGES
from batchkit.executors import EXECUTORS
from batchkit.storage import Storage, open_storage
from batchkit.storage.postgres import is_url
from batchkit.ui._report import DEFAULT_STORAGE

_F = TypeVar("_F", bound=Callable[..., Any])

#: Seconds to wait for another program that has locked the database.
LOCK_SECONDS = 5.0

_VERBOSE = "batchkit.verbose"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def verbose(ctx: click.Context) -> bool:
    """Whether ``--verbose`` was given."""
    return bool(ctx.meta.get(_VERBOSE))


def _keep_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or verbose(ctx):
        return
    ctx.meta[_VERBOSE] = True
    logger = logging.getLogger("batchkit")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    ctx.call_on_close(lambda: logger.setLevel(before))


def _formats(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    given = (name.strip().lower() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in given if name))


def _params(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for written in values:
        name, equals, value = written.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--param {written!r} is not understood: write it as NAME=VALUE")
        found[name.strip()] = _json_or_text(value)
    return found


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_finite, parse_float=_finite)
    except ValueError:
        return value


def _finite(written: str) -> float:
    # Python reads NaN, Infinity and 1e999, and no provider does.
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(written)
    return number


def _stack(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: How to talk about it: before the command or behind it.
talking = _stack(
    click.option(
        "--lang",
        type=click.Choice(LANGUAGES),
        # What it says was taken from the whole command line, see keep_language.
        expose_value=False,
        help="Language of what is shown. [default: $BATCHKIT_LANG, else the locale's, else pt]",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_keep_verbose,
        expose_value=False,
        is_eager=True,
        help="Show the log, and where an error came from.",
    ),
)

#: Where the batch is, and how to talk about it.
common = _stack(
    click.option(
        "--storage",
        metavar="FILE",
        default=DEFAULT_STORAGE,
        show_default=True,
        help="Database that remembers the batches.",
    ),
    click.option(
        "--name", help="Name of the batch. [default: the output folder, or the only batch]"
    ),
    click.option("--json", "as_json", is_flag=True, help="Answer in JSON; no progress."),
    talking,
)

#: How a provider is called. Local work needs none of it.
providing = _stack(
    click.option(
        "--on-uncertain",
        type=click.Choice(["hold", "resubmit", "fail"]),
        help="What becomes of submissions that may have been accepted. [default: hold]",
    ),
    click.option(
        "--max-double-cost",
        type=click.FloatRange(min=0),
        metavar="AMOUNT",
        help="Most that such resubmissions may cost in all.",
    ),
    click.option("--rate-limit", metavar="RATE", help="Submissions in some time, as 30/min."),
    click.option(
        "--delay", type=click.FloatRange(min=0), metavar="S", help="Seconds between submissions."
    ),
    click.option(
        "--request-timeout",
        type=click.FloatRange(min=0.001),
        metavar="S",
        help="Seconds for one call of the provider.",
    ),
    click.option(
        "--job-timeout",
        type=click.FloatRange(min=0.001),
        metavar="S",
        help="Seconds after which a job is given up.",
    ),
    click.option(
        "--max-retries",
        type=click.IntRange(min=0),
        metavar="N",
        help="New attempts after failures that allow one.",
    ),
)

#: Which provider is asked, and where.
asking = _stack(
    click.option(
        "--base-url",
        metavar="URL",
        help="Address of the provider's API: of a gateway, or of your own server.",
    ),
)

#: What is asked of the provider beside the prompt or the recording.
params = click.option(
    "--param",
    "params",
    multiple=True,
    callback=_params,
    metavar="NAME=VALUE",
    help="Option of the model, verbatim; VALUE is JSON where it parses; may be repeated.",
)

#: Jobs by their numbers.
numbered = click.argument("jobs", nargs=-1, type=int, metavar="JOB...")

#: Jobs by their status instead.
by_status = click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([str(value) for value in JobStatus]),
    help="All jobs with this status, instead of numbers; may be repeated.",
)

#: How the batch is run.
running = _stack(
    click.option(
        "--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Jobs at the same time."
    ),
    click.option(
        "--executor", type=click.Choice(EXECUTORS), help="Who runs them. [default: what fits]"
    ),
    click.option(
        "--limit", type=click.IntRange(min=0), metavar="N", help="Start at most N jobs: a sample."
    ),
    click.option("--stop-on-error", is_flag=True, default=None, help="End at the first failure."),
)

#: Where results go.
delivering = _stack(
    click.option("--output", metavar="DIR", help="Folder for the results."),
    click.option(
        "--template", metavar="PATTERN", help="Their names, as '{index:04d}-{slug}.{ext}'."
    ),
    click.option(
        "--format",
        "formats",
        multiple=True,
        callback=_formats,
        metavar="txt,srt,vtt,json",
        help="How transcripts are written; may be repeated. [default: all four]",
    ),
)


def chosen(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep what the library or the stored batch says."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "output" in given:
        # Absolute, so that the batch can be resumed from anywhere.
        given["output"] = str(Path(given["output"]).expanduser().absolute())
    return given


@contextlib.contextmanager
def stored(path: str, *, create: bool = False) -> Iterator[Storage]:
    """The storage at *path*, or of a ``postgresql://`` address, closed at the end.

    Raises:
        UsageError: it is not there, and may not be made.
        StorageError: it cannot be used.
    """
    place = path if is_url(path) else _file(path, create)
    with contextlib.closing(open_storage(place, timeout=LOCK_SECONDS)) as storage:
        yield storage


def _file(path: str, create: bool) -> Path:
    # A plain name is what commands for the next step can leave out.
    place = Path(path).expanduser()
    if not create and not place.exists():
        raise UsageError(
            f"there is no batch database at {place} (paths start at {Path.cwd()}): run batchkit "
            "transcribe or generate first, or name the database with --storage"
        )
    return place


def batch_name(output: str) -> str:
    """The name that a batch gets from its output folder: the same command finds it again."""
    path = os.path.normpath(os.path.expanduser(output))  # noqa: PTH111 - a text in, a text out
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def age(value: str) -> float:
    """Seconds in ``30d``, ``12h``, ``45m``, ``90s`` or ``2w``.

    Raises:
        UsageError: it is something else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value.lower())
    if match is None:
        raise UsageError(f"{value!r} is no age: write a number and a unit, as 30d, 12h, 45m or 90s")
    return float(match[1]) * _UNITS[match[2]]
