"""File extensions for what is delivered."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from batchkit._results import Output
from batchkit.sources.media import MEDIA_EXTENSIONS

_EXTENSIONS = {
    "application/json": "json",
    "application/octet-stream": "bin",
    "application/x-subrip": "srt",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "text/plain": "txt",
    "video/mpeg": "mpg",
    "video/quicktime": "mov",
    "video/x-m4v": "m4v",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
}
_URL_EXTENSIONS = MEDIA_EXTENSIONS | {
    ".gif", ".jpeg", ".jpg", ".json", ".png", ".srt", ".txt", ".vtt", ".webp", ".zip",
}  # fmt: skip


def ext_for(what: Output | str | None, default: str = "bin") -> str:
    """The file extension, without its dot, for an output or a media type.

    Args:
        what: an output; or a media type, as ``"video/mp4"``.
        default: for what tells nothing about itself.
    """
    if not isinstance(what, Output):
        return _ext_of_type(what) or default
    if what.transcript is not None:
        return "txt"
    address = what.path or _path_of(what.url or "")
    return _ext_of_type(what.media_type) or _ext_of_address(address) or default


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        # What is no URL is refused when it is downloaded.
        return ""


def _ext_of_type(media_type: str | None) -> str | None:
    main = (media_type or "").split(";", 1)[0].strip().lower()
    if main in _EXTENSIONS:
        return _EXTENSIONS[main]
    subtype = main.partition("/")[2].removeprefix("x-")
    return subtype if re.fullmatch(r"[a-z0-9]{1,8}", subtype) else None


def _ext_of_address(address: str) -> str | None:
    found = suffix(address)
    return found[1:] if found in _URL_EXTENSIONS else None


def suffix(address: str) -> str:
    """The extension of a path or name, lower-case and with its dot, or nothing."""
    found = re.search(r"\.[A-Za-z0-9]{1,5}\Z", address)
    return found.group().lower() if found else ""
