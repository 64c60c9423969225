"""Transcripts as files: plain text, SubRip, WebVTT and JSON. Pure functions, no I/O.

Providers are not trusted to be tidy: cues come out sorted, with text, and longer than nothing,
because a result that was paid for must not fail on the way to disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from batchkit._results import Segment, Transcript, Word

_Cue = tuple[int, int, str]


def to_txt(transcript: Transcript) -> str:
    """What was said, for people: the text as it is, ending with one line break.

    Args:
        transcript: what to write.

    Returns:
        the text, or ``""`` when nothing was said.
    """
    return _ended(transcript.text.strip() or " ".join(cue[2] for cue in _cues(transcript)))


def to_srt(transcript: Transcript) -> str:
    """Subtitles as SubRip, which nearly every player reads.

    A cue is a number from 1, a line of times as ``HH:MM:SS,mmm`` (a comma, for the format is of
    French origin), the text, and a blank line:
    https://www.matroska.org/technical/subtitles.html#srt-subtitles. A blank line ends the cue, so
    none may stand inside one. The format knows no escapes: ``<`` and ``&`` stay as they are.

    Args:
        transcript: what to write; without segments it becomes one cue over the whole duration.

    Returns:
        the file's content, ``""`` when there is no cue.
    """
    return "\n".join(
        f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(_cues(transcript), 1)
    )


def to_vtt(transcript: Transcript) -> str:
    """Subtitles as WebVTT, which browsers read; the file has to be stored as UTF-8.

    By https://www.w3.org/TR/webvtt1/#file-structure the file starts with ``WEBVTT`` and at least
    two line terminators; hours have two or more digits; a cue ends later than it starts, and
    starts no earlier than the one before. Its text holds no blank line, no ``-->``, no bare ``&``
    and no bare ``<``; the escapes are those of https://www.w3.org/TR/webvtt1/#cue-text.

    Args:
        transcript: what to write; without segments it becomes one cue over the whole duration.

    Returns:
        the file's content, the bare header when there is no cue.
    """
    cues = (
        f"{_time(start, '.')} --> {_time(end, '.')}\n{_escaped(text)}\n"
        for start, end, text in _cues(transcript)
    )
    return "WEBVTT\n\n" + "\n".join(cues)


def to_json(transcript: Transcript) -> str:
    """All that is known, for programs: text, language, duration, segments and their words.

    Keys come in a fixed order, times are seconds. A number that JSON (RFC 8259, section 6) cannot
    hold, as NaN, becomes ``null``.

    Args:
        transcript: what to write.

    Returns:
        one indented JSON object, ending with a line break.
    """
    data = {
        "text": transcript.text,
        "language": transcript.language,
        "duration": _number(transcript.duration),
        "segments": [_segment(segment) for segment in transcript.segments],
    }
    return _ended(json.dumps(data, ensure_ascii=False, allow_nan=False, indent=2))


#: File extension to the function that writes such a file.
FORMATS: Mapping[str, Callable[[Transcript], str]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "json": to_json,
}


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": _number(segment.start),
        "end": _number(segment.end),
        "text": segment.text,
        "words": [_word(word) for word in segment.words],
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "start": _number(word.start),
        "end": _number(word.end),
        "text": word.text,
        "probability": _number(word.probability),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cues(transcript: Transcript) -> list[_Cue]:
    """Cues by start; a transcript without any becomes one cue, if it is known how long it lasts."""
    cues = sorted(_segment_cues(transcript), key=lambda cue: cue[0])
    text, end = _tidy(transcript.text), _milliseconds(transcript.duration)
    if cues or not text or not end:
        return cues
    return [(0, end, text)]


def _segment_cues(transcript: Transcript) -> Iterator[_Cue]:
    for segment in transcript.segments:
        if text := _tidy(segment.text):
            start = _milliseconds(segment.start)
            # The formats count milliseconds: what is shorter would end as it starts.
            yield start, max(_milliseconds(segment.end), start + 1), text


def _milliseconds(seconds: float | None) -> int:
    # Whole milliseconds before anything is divided, or 1.9996 s would end in ",1000".
    return max(0, round(_number((seconds or 0.0) * 1000) or 0))


def _time(milliseconds: int, mark: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{fraction:03d}"


def _tidy(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _escaped(text: str) -> str:
    # The ampersand first, or it would be escaped again; ">" is allowed, but "-->" is not.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _ended(text: str) -> str:
    return text and text + "\n"
