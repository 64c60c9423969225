"""Transcripts from what providers answer: what several clients make of words the same way."""

from __future__ import annotations

from batchkit._results import Segment, Word

#: Seconds and characters that one subtitle holds at most.
LONGEST_SEGMENT, MOST_CHARACTERS = 6.0, 84


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
