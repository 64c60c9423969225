"""Prompts from pasted text."""

from __future__ import annotations

from collections.abc import Iterator

from batchkit._errors import UsageError


def read_text(text: str, *, delimiter: str = "\n") -> Iterator[str]:
    """The prompts in a text, in order; blank ones are skipped.

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
    while start <= len(text):
        end = text.find(delimiter, start)
        end = len(text) if end < 0 else end
        if part := text[start:end].strip():
            yield part
        start = end + len(delimiter)
