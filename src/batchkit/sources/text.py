"""Prompts from pasted text."""

from __future__ import annotations

from collections.abc import Iterator

from batchkit._errors import UsageError


def read_text(text: str, *, delimiter: str = "\n") -> Iterator[str]:
    """The prompts in a text, in order and without outer blanks.

    Blank ones come as ``""``, for the caller to count and leave out; nothing comes after the last
    delimiter when the text ends there.

    Args:
        text: as pasted; ``\\r\\n`` and ``\\r`` count as line breaks.
        delimiter: what stands between two prompts, as ``"\\n---\\n"`` for prompts of several lines.

    Raises:
        UsageError: the delimiter is empty.
    """
    if not delimiter:
        raise UsageError('the delimiter is empty: give the text between two prompts, as "\\n"')
    return _parts(_newlines(text.removeprefix("\ufeff")), _newlines(delimiter))


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parts(text: str, delimiter: str) -> Iterator[str]:
    start = 0
    while (end := text.find(delimiter, start)) >= 0:
        yield text[start:end].strip()
        start = end + len(delimiter)
    if last := text[start:].strip():
        yield last
