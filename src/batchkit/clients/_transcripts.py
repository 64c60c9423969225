"""What clients that transcribe have in common: which recordings they take, subtitles from words."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchkit._errors import UsageError
from batchkit._requests import Request, TranscribeVideo
from batchkit._results import Segment, Word
from batchkit.clients._http_values import number

log = logging.getLogger("batchkit.clients")

#: Seconds and characters that one subtitle holds at most.
LONGEST_SEGMENT, MOST_CHARACTERS = 6.0, 84


def recording(request: Request, provider: str) -> TranscribeVideo:
    """The request, when it asks for a transcript.

    Raises:
        UsageError: it asks for something else.
    """
    if not isinstance(request, TranscribeVideo):
        raise UsageError(f"{provider} transcribes: add files or TranscribeVideo requests")
    return request


def check_recording(
    request: Request, provider: str, *, urls: bool, max_bytes: int | None
) -> TranscribeVideo:
    """The request, when its source is one that the provider takes.

    Args:
        request: what is asked.
        provider: as people know it.
        urls: whether it takes http and https addresses.
        max_bytes: of a file; ``None`` is no limit.

    Raises:
        UsageError: it is no transcription, an address that is not taken, a file that is not there,
            or one that is too large.
    """
    asked = recording(request, provider)
    if is_address(asked.source):
        _check_address(asked, provider, urls=urls)
        return asked
    path = Path(asked.source)
    if not path.is_file():
        raise UsageError(f"there is no file {path}: check the path")
    size = path.stat().st_size
    if max_bytes is not None and size > max_bytes:
        raise UsageError(
            f"{path} has {size:,} bytes, and {provider} takes {max_bytes:,}: send the sound alone"
            " (ffmpeg -i IN -vn -ac 1 -b:a 32k OUT.mp3), or pass max_bytes= if your account takes"
            " more"
        )
    return asked


def is_address(source: str) -> bool:
    """Whether a source is an address, not a path."""
    return "://" in source


def _check_address(asked: TranscribeVideo, provider: str, *, urls: bool) -> None:
    if not urls:
        raise UsageError(
            f"{provider} takes files only, and {asked.title} is an address: download it first, or"
            " use a provider that takes addresses"
        )
    if not asked.source.startswith(("http://", "https://")):
        raise UsageError(f"{provider} takes http and https addresses only: check {asked.title}")


def spans(entries: object) -> list[Mapping[str, Any]]:
    """The entries of an answer that have a start and an end, in seconds.

    One that has none is left out with a line in the log: the rest has been paid for.
    """
    found: list[Mapping[str, Any]] = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and _placed(entry):
            found.append(entry)
        else:
            log.warning("a provider's transcript has a part without times, which is left out")
    return found


def _placed(entry: Mapping[str, Any]) -> bool:
    return number(entry.get("start")) is not None and number(entry.get("end")) is not None


def speakers(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Who speaks when, to keep as a job's value; ``None`` where the provider was not asked."""
    told = [
        {name: entry[name] for name in ("start", "end", "speaker")}
        for entry in entries
        if entry.get("speaker") is not None
    ]
    return {"speakers": told} if told else None


def sentences(words: tuple[Word, ...]) -> tuple[Segment, ...]:
    """Words as subtitles: a new one after the end of a sentence, or when it gets too long."""
    segments: list[Segment] = []
    part: list[Word] = []
    for word in words:
        part.append(word)
        length = sum(len(each.text) + 1 for each in part)
        long = word.end - part[0].start >= LONGEST_SEGMENT or length >= MOST_CHARACTERS
        if long or word.text.endswith((".", "?", "!")):
            segments.append(_segment(part))
            part = []
    return (*segments, _segment(part)) if part else tuple(segments)


def _segment(words: list[Word]) -> Segment:
    text = " ".join(word.text for word in words)
    return Segment(start=words[0].start, end=words[-1].end, text=text, words=tuple(words))
