"""Speechmatics' format json-v2, as a transcript."""

from __future__ import annotations

from typing import Any

import pytest

from batchkit import ClientError
from batchkit.clients._speechmatics_json import transcript, turns


def item(content: str, start: float = 0.0, kind: str = "word", **more: Any) -> dict[str, Any]:
    best = {"content": content, "confidence": 0.9, "language": "en"}
    times = {"start_time": start, "end_time": start + 0.5}
    return {"type": kind, "alternatives": [best], **times, **more}


def mark(content: str, attaches_to: str = "previous") -> dict[str, Any]:
    return item(content, kind="punctuation", attaches_to=attaches_to)


def body(*results: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"job": {"duration": 12}, "metadata": metadata, "results": list(results)}


def test_words_and_marks() -> None:
    found = transcript(body(item("Hello", 0.25), mark(","), item("there", 0.75), mark(".")))
    assert (found.text, found.duration) == ("Hello, there.", 12)
    (segment,) = found.segments
    assert (segment.text, segment.start, segment.end) == ("Hello, there.", 0.25, 1.25)
    assert [word.text for word in segment.words] == ["Hello,", "there."]
    assert segment.words[0].probability == 0.9


def test_a_mark_before_its_word() -> None:
    found = transcript(body(mark("¿", "next"), item("Qué"), mark("?"), item("Nada", 2.0)))
    assert [segment.text for segment in found.segments] == ["¿Qué?", "Nada"]


def test_a_mark_without_a_word_before_it() -> None:
    assert transcript(body(mark("-"), item("yes"))).text == "-yes"


def test_entities_are_words_and_what_has_no_alternatives_is_not() -> None:
    found = transcript(body(item("£12", kind="entity"), {"type": "speaker_change"}))
    assert found.text == "£12"


def test_languages_without_spaces() -> None:
    pack = {"word_delimiter": ""}
    found = transcript(body(item("今日"), item("は", 0.4), mark("。"), language_pack_info=pack))
    assert (found.text, found.segments[0].text) == ("今日は。", "今日は。")


@pytest.mark.parametrize(("asked", "language"), [("pt", "pt"), ("auto", "en"), (None, "en")])
def test_the_language(asked: str | None, language: str) -> None:
    metadata = {"transcription_config": {"language": asked}}
    assert transcript(body(item("Hi"), **metadata)).language == language


def test_silence() -> None:
    found = transcript(body())
    assert (found.text, found.language, found.segments) == ("", None, ())


def spoken_by(speaker: str, start: float) -> dict[str, Any]:
    best = {"content": "Hi", "speaker": speaker}
    return item("Hi", start) | {"alternatives": [best]}


def test_who_speaks_when() -> None:
    said = [spoken_by("S1", 0), spoken_by("S1", 1), mark("."), spoken_by("S2", 2)]
    assert list(turns(body(*said))) == [
        {"start": 0.0, "end": 1.5, "speaker": "S1"},
        {"start": 2.0, "end": 2.5, "speaker": "S2"},
    ]
    assert list(turns(body(item("Hi"), spoken_by("UU", 1)))) == []


def test_what_has_no_place_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    found = transcript(body(item("Hello"), {**item("there"), "start_time": None}))
    assert found.text == "Hello"
    assert "left out" in caplog.text


@pytest.mark.parametrize("answer", [{}, [], {"results": None}])
def test_what_is_no_transcript(answer: Any) -> None:
    with pytest.raises(ClientError, match="no results"):
        transcript(answer)
