"""Speechmatics' transcript, format ``json-v2``, as a transcript of ours.

Facts (speechmatics-batch 1.1.0): ``results`` are words, marks of punctuation and entities in their
order, with ``start_time`` and ``end_time`` in seconds and ``alternatives``, the likeliest first. A
mark says to which word it ``attaches_to``; ``metadata.language_pack_info.word_delimiter`` stands
between words, and is empty in some languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchkit._results import Segment, Transcript, Word
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import sentences


def transcript(body: Mapping[str, Any]) -> Transcript:
    """Their transcript as one of ours, with subtitles of sentences.

    Raises:
        LookupError, TypeError, ValueError: it is none of theirs; the query is repeated.
    """
    words = _words(body["results"])
    metadata = body.get("metadata") or {}
    delimiter = str((metadata.get("language_pack_info") or {}).get("word_delimiter", " "))
    return Transcript(
        text=delimiter.join(word.text for word in words),
        language=_language(metadata, body["results"]),
        duration=number((body.get("job") or {}).get("duration")),
        segments=tuple(_joined(one, delimiter) for one in sentences(words)),
    )


def _words(results: list[Mapping[str, Any]]) -> tuple[Word, ...]:
    words: list[Word] = []
    opening = ""
    for result in results:
        if not result.get("alternatives"):
            continue
        best = result["alternatives"][0]
        text = str(best["content"])
        if result["type"] != "punctuation":
            words.append(_word(result, opening + text, best.get("confidence")))
            opening = ""
        elif result.get("attaches_to") == "next" or not words:
            opening += text
        else:
            words[-1] = attrs.evolve(words[-1], text=words[-1].text + text)
    return tuple(words)


def _word(result: Mapping[str, Any], text: str, confidence: object) -> Word:
    start, end = float(result["start_time"]), float(result["end_time"])
    return Word(start=start, end=end, text=text, probability=number(confidence))


def _joined(segment: Segment, delimiter: str) -> Segment:
    return attrs.evolve(segment, text=delimiter.join(word.text for word in segment.words))


def _language(metadata: Mapping[str, Any], results: list[Mapping[str, Any]]) -> str | None:
    asked = (metadata.get("transcription_config") or {}).get("language")
    if asked and asked != "auto":
        return str(asked)
    found = (one["alternatives"][0].get("language") for one in results if one.get("alternatives"))
    return next((str(one) for one in found if one), None)
