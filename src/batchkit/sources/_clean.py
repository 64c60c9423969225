"""Prompts without what no provider wants to read."""

from __future__ import annotations

import unicodedata

from batchkit._errors import UsageError

_BOM = "\ufeff"


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
    kept = "".join(char for char in lines if _is_kept(char))
    cleaned = unicodedata.normalize("NFC", kept).strip()
    if len(cleaned) > max_length:
        raise UsageError(
            f"the prompt {cleaned[:40]!r}... has {len(cleaned)} characters and the limit is"
            f" {max_length}: shorten it, or raise max_prompt_length"
        )
    return cleaned


def _is_kept(char: str) -> bool:
    # Half of a surrogate pair can be neither stored nor sent.
    return char in "\n\t" or (char != _BOM and unicodedata.category(char) not in ("Cc", "Cs"))
