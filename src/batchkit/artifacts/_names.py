"""Text made safe as part of a file name, on every system that the files may travel to."""

from __future__ import annotations

import re
import unicodedata

#: Bytes of one name. Common file systems take 255; the rest is for temporary names.
MAX_NAME_BYTES = 240
#: Bytes to plan with: a device's name gets a character more, and so does the rare letter that
#: grows when it is normalised next to the mark that follows it.
ROOM = MAX_NAME_BYTES - 8
#: Characters of a slug.
MAX_SLUG = 60
#: What stands for a value that a job does not have.
ABSENT = "none"

#: Characters that Windows forbids in names, or that make folders.
FORBIDDEN = frozenset('/\\:*?"<>|')
# Formatting characters are invisible, and can make a name read backwards.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789¹²³"]
)
# Letters that Unicode does not decompose into an ASCII letter and a mark.
_FOLDS = str.maketrans(
    {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)


def is_invisible(char: str) -> bool:
    """Whether *char* has no place in a name: control, formatting, half of a surrogate pair."""
    return unicodedata.category(char) in _DROPPED


def clean_value(text: str) -> str:
    """*text* as part of a name: it makes no folder, is not empty, starts and ends visibly."""
    kept = "".join("-" if char in FORBIDDEN else char for char in text if not is_invisible(char))
    return unicodedata.normalize("NFC", kept).strip(" .") or ABSENT


def slugify(text: str) -> str:
    """*text* as lower-case ASCII words with hyphens; empty when nothing of it can be spelled."""
    lowered = unicodedata.normalize("NFKD", text).lower().translate(_FOLDS)
    ascii_text = lowered.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:MAX_SLUG].strip("-")


def cut(text: str, limit: int) -> str:
    """The start of *text* that fits into *limit* bytes, without half a character."""
    return text.encode()[:limit].decode(errors="ignore")


def finish(name: str) -> str:
    """A whole name without what Windows drops at its end, and not the name of a device."""
    name = unicodedata.normalize("NFC", name).lstrip(" ").rstrip(" .")
    device = name.split(".", 1)[0].rstrip(" ").upper()
    return f"_{name}" if device in _DEVICES else name


def fold(name: str) -> str:
    """What two names have in common that some file system takes for one."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", folded)
