"""Speechmatics' transcript, format ``json-v2``, as a transcript of ours.

Facts (speechmatics-batch 1.1.0): ``results`` are words, marks of punctuation and entities in their
order, with ``start_time`` and ``end_time`` in seconds and ``alternatives``, the likeliest first. A
mark says to which word it ``attaches_to``; ``metadata.language_pack_info.word_delimiter`` stands
between words, and is empty in some languages. The speaker ``UU`` is nobody in particular.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import attrs

from batchkit._errors import ClientError
from batchkit._results import Segment, Transcript, Word
from batchkit.clients._http_values import number
from batchkit.clients._transcripts import sentences, spans

_NOBODY = "UU"


def transcript(body: Any) -> Transcript:
    """Their transcript as one of ours, with subtitles of sentences.

    Raises:
        ClientError: it is none of theirs; the query is repeated.
    """
    said = list(_said(body))
    words = _words(said)
    metadata = body.get("metadata") or {}
    delimiter = str((metadata.get("language_pack_info") or {}).get("word_delimiter", " "))
    return Transcript(
        text=delimiter.join(word.text for word in words),
        language=_language(metadata, said),
        duration=number((body.get("job") or {}).get("duration")),
        segments=tuple(_joined(one, delimiter) for one in sentences(words)),
    )


def turns(body: Any) -> Iterator[Mapping[str, Any]]:
    """Who speaks from when to when; nothing where nobody asked for it."""
    words = [one for one in _said(body) if one["type"] != "punctuation"]
    for speaker, spoken in groupby(words, key=lambda one: one["speaker"]):
        if speaker not in (None, _NOBODY):
            part = list(spoken)
            yield {"start": part[0]["start"], "end": part[-1]["end"], "speaker": speaker}


def _said(body: Any) -> Iterator[Mapping[str, Any]]:
    """What was said, piece by piece: the likeliest content of each, with its place."""
    results = body.get("results") if isinstance(body, Mapping) else None
    if not isinstance(results, list):
        raise ClientError(
            "the provider's transcript has no results", code="garbled", retryable=True
        )
    told = [one for one in results if isinstance(one, Mapping) and one.get("alternatives")]
    placed = [{**one, "start": one.get("start_time"), "end": one.get("end_time")} for one in told]
    for one in spans(placed):
        best = one["alternatives"][0]
        yield {
            "type": one.get("type"),
            "attaches_to": one.get("attaches_to"),
            "start": float(one["start"]),
            "end": float(one["end"]),
            "text": str(best.get("content", "")),
            "probability": number(best.get("confidence")),
            "language": best.get("language"),
            "speaker": best.get("speaker"),
        }


def _words(said: list[Mapping[str, Any]]) -> tuple[Word, ...]:
    """Words with the marks that belong to them."""
    words: list[Word] = []
    opening = ""
    for one in said:
        if one["type"] != "punctuation":
            place = {name: one[name] for name in ("start", "end", "probability")}
            words.append(Word(text=opening + one["text"], **place))
            opening = ""
        elif one["attaches_to"] == "next" or not words:
            opening += one["text"]
        else:
            words[-1] = attrs.evolve(words[-1], text=words[-1].text + one["text"])
    return tuple(words)


def _joined(segment: Segment, delimiter: str) -> Segment:
    return attrs.evolve(segment, text=delimiter.join(word.text for word in segment.words))


def _language(metadata: Mapping[str, Any], said: list[Mapping[str, Any]]) -> str | None:
    asked = (metadata.get("transcription_config") or {}).get("language")
    if asked and asked != "auto":
        return str(asked)
    return next((str(one["language"]) for one in said if one["language"]), None)
