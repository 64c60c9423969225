"""Prompts without what no provider wants to read."""

from __future__ import annotations

import re
import unicodedata

from batchkit._errors import UsageError

#: Control characters but newline and tab; halves of surrogate pairs, which can be neither stored
#: nor sent; the byte order mark.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")


def clean_prompt(text: str, *, max_length: int) -> str:
    """A prompt as it is sent: Unicode NFC, without control characters and outer blanks.

    Line breaks and tabs inside stay: they belong to what was written. Formatting characters stay
    too, for emoji and right-to-left text are built with them.

    Args:
        text: as a person or a file gave it.
        max_length: most characters that are allowed, counted after cleaning.

    Returns:
        the prompt, or ``""`` when nothing is left of it.

    Raises:
        UsageError: it is not text, or too long.
    """
    if not isinstance(text, str):
        raise UsageError(f"a prompt is {type(text).__name__}, not text: give a string")
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    cleaned = unicodedata.normalize("NFC", _UNWANTED.sub("", lines)).strip()
    if len(cleaned) > max_length:
        raise UsageError(
            f"the prompt {cleaned[:40]!r}... has {len(cleaned)} characters and the limit is"
            f" {max_length}: shorten it, or raise max_prompt_length"
        )
    return cleaned
