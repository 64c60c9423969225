"""Prompts from files: plain text, tables, and lines of JSON. All of them are read as they go."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from batchkit._errors import UsageError
from batchkit.sources.rows import Row, to_row

_BOM = "\ufeff"
_DELIMITERS = ",;\t"
#: Columns that mean something; any other one is metadata.
_COLUMNS = (
    "prompt", "language", "model", "duration", "aspect_ratio", "seed", "image", "params",
    "key", "priority", "metadata",
)  # fmt: skip


def read_prompts(path: str | os.PathLike[str]) -> Iterator[Row]:
    """The prompts in a file, one row at a time; blank lines are skipped.

    ==================  ==========================================================================
    extension           content
    ==================  ==========================================================================
    ``.txt``            one prompt per line; ``#`` is not special
    ``.csv``            a table with a header; comma, semicolon or tab; a column ``prompt``, other
                        fields by name, unknown columns as metadata
    ``.jsonl .ndjson``  a JSON string or object per line, as :func:`~batchkit.sources.to_request`
                        takes it; ``failed.jsonl`` of an earlier run is such a file
    ==================  ==========================================================================

    Args:
        path: the file, in UTF-8.

    Raises:
        UsageError: the file is missing or of another sort; or, while it is read, a line is wrong.
            The message names the line.
    """
    path = Path(path).expanduser()
    read = _READERS.get(path.suffix.lower())
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file of prompts")
    if read is None:
        raise UsageError(f"{path} is no file of prompts: use one of {', '.join(sorted(_READERS))}")
    if not path.exists():
        raise UsageError(f"there is no file {path}: check its name (paths start at {Path.cwd()})")
    return read(path)


def _where(path: Path, number: int) -> str:
    return f"{path}, line {number}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # Read as bytes, so that a wrong byte can be blamed on its line.
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8")
                yield number, text.removeprefix(_BOM) if number == 1 else text
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{_where(path, number)}: this is not UTF-8 ({exc.reason}): save the file as UTF-8"
        ) from exc
    except OSError as exc:
        raise UsageError(f"{path} cannot be read ({exc.strerror}): check that it is yours") from exc


def _read_txt(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if line.strip():
            yield to_row(line.strip(), where=_where(path, number))


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if line.strip():
            yield _json_row(line, _where(path, number))


def _json_row(line: str, where: str) -> Row:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{where}: this is not JSON ({exc}): write one object or string") from exc
    if not isinstance(value, (str, dict)):
        raise UsageError(f"{where}: {line.strip()[:40]!r} is neither an object nor a string")
    if not value:
        raise UsageError(f"{where}: the item is empty: give it a prompt, or leave the line out")
    return to_row(value, where=where)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _read_csv(path: Path) -> Iterator[Row]:
    number = 1
    try:
        lines = _lines(path)
        first = next(lines, (1, ""))[1]
        delimiter = max(_DELIMITERS, key=lambda char: _fitness(first, char))
        reader = csv.reader(_again(first, lines), delimiter=delimiter, strict=True)
        header = _header(path, next(reader, []))
        number = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _csv_row(header, cells, _where(path, number))
            # A quoted cell may hold line breaks; a row is where it starts.
            number = reader.line_num + 1
    except csv.Error as exc:
        raise UsageError(
            f"{_where(path, number)}: this is not CSV ({exc}): check its quotes"
        ) from exc


def _again(first: str, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    yield first
    yield from (line for _, line in lines)


def _fitness(line: str, delimiter: str) -> tuple[bool, int]:
    cells = [_column(cell) for cell in next(csv.reader([line], delimiter=delimiter), [])]
    return "prompt" in cells, len(cells)


def _column(cell: str) -> str:
    """A column's name; those that mean something may be written in any case."""
    name = cell.strip()
    return name.casefold() if name.casefold() in _COLUMNS else name


def _header(path: Path, cells: list[str]) -> list[str]:
    columns = [_column(cell) for cell in cells]
    if "prompt" not in columns:
        found = ", ".join(repr(name) for name in columns[:10]) or "nothing"
        raise UsageError(
            f"{_where(path, 1)}: the table needs a header with a column 'prompt'; it has {found}"
        )
    if doubled := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise UsageError(f"{_where(path, 1)}: two columns are named {doubled[0]!r}: rename one")
    return columns


def _csv_row(header: list[str], cells: list[str], where: str) -> Row:
    if len(cells) > len(header):
        raise UsageError(
            f"{where}: there are {len(cells)} cells and {len(header)} columns:"
            ' put a text that contains the separator in "quotes"'
        )
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    row.pop("", None)
    if "prompt" not in row:
        raise UsageError(f"{where}: the prompt is empty: write one, or delete the line")
    # A table holds prompts only: a column called kind is the host's own.
    facts = {"kind": row.pop("kind")} if "kind" in row else {}
    made = to_row(row, where=where)
    return attrs.evolve(made, metadata={**facts, **made.metadata})


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".txt": _read_txt,
}
