from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit._results import Segment, Transcript, Word
from batchkit.artifacts.transcripts import FORMATS, to_json, to_srt, to_txt, to_vtt

TIMING = re.compile(r"(\d{2,}):(\d\d):(\d\d)[.,](\d{3}) --> (\d{2,}):(\d\d):(\d\d)[.,](\d{3})")


def one(text: str, start: float = 1.0, end: float = 2.0) -> Transcript:
    return Transcript(text=text, segments=(Segment(start=start, end=end, text=text),))


TWO = Transcript(
    text="Olá. Tudo bem?",
    language="pt",
    duration=3.5,
    segments=(
        Segment(
            start=0.0,
            end=1.5,
            text="Olá.",
            words=(Word(start=0.0, end=1.5, text="Olá.", probability=0.9),),
        ),
        Segment(start=2.0, end=3.25, text="Tudo bem?"),
    ),
)
SILENCE = Transcript(text="", duration=3.0)


def test_formats_are_the_ones_that_a_batch_may_name() -> None:
    assert dict(FORMATS) == {"txt": to_txt, "srt": to_srt, "vtt": to_vtt, "json": to_json}


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (TWO, "Olá. Tudo bem?\n"),
        (SILENCE, ""),
        (Transcript(text=" a\n"), "a\n"),
        (Transcript(text="", segments=TWO.segments), "Olá. Tudo bem?\n"),
    ],
)
def test_txt(transcript: Transcript, expected: str) -> None:
    assert to_txt(transcript) == expected


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (
            TWO,
            (
                "1\n00:00:00,000 --> 00:00:01,500\nOlá.\n"
                "\n2\n00:00:02,000 --> 00:00:03,250\nTudo bem?\n"
            ),
        ),
        (SILENCE, ""),
        (Transcript(text="a"), ""),
        (Transcript(text="a", duration=61.0), "1\n00:00:00,000 --> 00:01:01,000\na\n"),
        (one("a < b & c"), "1\n00:00:01,000 --> 00:00:02,000\na < b & c\n"),
        (one(" "), ""),
    ],
)
def test_srt(transcript: Transcript, expected: str) -> None:
    assert to_srt(transcript) == expected


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (
            TWO,
            (
                "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOlá.\n"
                "\n00:00:02.000 --> 00:00:03.250\nTudo bem?\n"
            ),
        ),
        (SILENCE, "WEBVTT\n\n"),
        (Transcript(text="a"), "WEBVTT\n\n"),
        (Transcript(text="a", duration=61.0), "WEBVTT\n\n00:00:00.000 --> 00:01:01.000\na\n"),
        (
            one("a < b & c --> <i>d</i> &lt;"),
            (
                "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n"
                "a &lt; b &amp; c --&gt; &lt;i&gt;d&lt;/i&gt; &amp;lt;\n"
            ),
        ),
    ],
)
def test_vtt(transcript: Transcript, expected: str) -> None:
    assert to_vtt(transcript) == expected


@pytest.mark.parametrize("write", [to_srt, to_vtt])
@pytest.mark.parametrize("text", ["a\n\nb", "\r\n a \r\n \r\nb\n", "a\r\rb", "a\u2028\u2028b"])
def test_no_blank_line_stands_inside_a_cue(write: Callable[[Transcript], str], text: str) -> None:
    assert write(one(text)).endswith("000\na\nb\n")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.9996, 1.9996, "00:00:01.000 --> 00:00:02.000"),
        (59.9996, 3599.9996, "00:01:00.000 --> 01:00:00.000"),
        (0.0014, 0.0016, "00:00:00.001 --> 00:00:00.002"),
        (359_999.0, 363_723.5, "99:59:59.000 --> 101:02:03.500"),
        (2.0, 2.0, "00:00:02.000 --> 00:00:02.001"),
        (2.0, 1.0, "00:00:02.000 --> 00:00:02.001"),
        (-0.5, 1.0, "00:00:00.000 --> 00:00:01.000"),
        (math.nan, math.inf, "00:00:00.000 --> 00:00:00.001"),
        (0.0, 1.7e308, "00:00:00.000 --> 00:00:00.001"),
    ],
)
def test_times(start: float, end: float, expected: str) -> None:
    transcript = one("a", start, end)
    assert expected in to_vtt(transcript)
    assert expected.replace(".", ",") in to_srt(transcript)


def test_cues_come_in_order() -> None:
    segments = (Segment(start=5, end=6, text="b"), Segment(start=1, end=2, text="a"))
    written = to_srt(Transcript(text="b a", segments=segments))
    assert written.startswith("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:05,000")


def test_json() -> None:
    assert to_json(TWO) == (
        """{
  "text": "Olá. Tudo bem?",
  "language": "pt",
  "duration": 3.5,
  "segments": [
    {
      "start": 0.0,
      "end": 1.5,
      "text": "Olá.",
      "words": [
        {
          "start": 0.0,
          "end": 1.5,
          "text": "Olá.",
          "probability": 0.9
        }
      ]
    },
    {
      "start": 2.0,
      "end": 3.25,
      "text": "Tudo bem?",
      "words": []
    }
  ]
}
"""
    )


def test_json_has_no_numbers_that_json_has_not() -> None:
    transcript = Transcript(text="", duration=math.nan, segments=one("a", 0.0, math.inf).segments)
    data = json.loads(to_json(transcript), parse_constant=pytest.fail)
    assert (data["duration"], data["segments"][0]["end"]) == (None, None)


moments = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(0, 400_000)
segments = st.builds(Segment, start=moments, end=moments, text=st.text())
transcripts = st.builds(
    Transcript,
    text=st.text(),
    duration=st.none() | moments,
    segments=st.lists(segments, max_size=8).map(tuple),
)


def seconds(hours: str, minutes: str, seconds_: str, thousandths: str) -> int:
    assert int(minutes) < 60
    assert int(seconds_) < 60
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds_)) * 1000 + int(thousandths)


@given(transcripts)
def test_subtitles_can_be_read_back(transcript: Transcript) -> None:
    srt, vtt = to_srt(transcript), to_vtt(transcript)
    assert vtt.startswith("WEBVTT\n\n")
    blocks = [block.split("\n") for block in vtt[8:].rstrip("\n").split("\n\n") if block]
    starts = []
    for timing, *payload in blocks:
        match = TIMING.fullmatch(timing)
        assert match is not None
        start, end = seconds(*match.groups()[:4]), seconds(*match.groups()[4:])
        assert start < end
        starts.append(start)
        assert payload
        assert not re.search(r"-->|<|&(?!amp;|lt;|gt;)", "\n".join(payload))
    assert starts == sorted(starts)
    numbers = [int(block.split("\n")[0]) for block in srt.split("\n\n") if block]
    assert numbers == list(range(1, len(blocks) + 1))


@given(st.floats(0, 400_000), st.floats(0.002, 10_000))
def test_times_are_kept_to_half_a_millisecond(start: float, length: float) -> None:
    match = TIMING.search(to_vtt(one("a", start, start + length)))
    assert match is not None
    assert abs(seconds(*match.groups()[:4]) - start * 1000) <= 0.501
    assert abs(seconds(*match.groups()[4:]) - (start + length) * 1000) <= 0.501


@given(transcripts)
def test_json_can_be_read_back(transcript: Transcript) -> None:
    data = json.loads(to_json(transcript), parse_constant=pytest.fail)
    assert data["text"] == transcript.text
    assert [segment["text"] for segment in data["segments"]] == [
        segment.text for segment in transcript.segments
    ]
