"""OpenAI's audio dialect: what is sent, every answer and error, as literals and on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, drops, run_one

from batchkit import (
    ClientError,
    JobStatus,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import load, openai_audio
from batchkit.clients.openai_audio import GroqClient, OpenAIAudioClient

VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.4,
    "text": "Hello there. Bye",
    "segments": [
        {"id": 0, "start": 0.1, "end": 0.9, "text": " Hello there.", "no_speech_prob": 0.01},
        {"id": 1, "start": 2.0, "end": 2.4, "text": " Bye"},
    ],
    "words": [
        {"word": "Hello", "start": 0.1, "end": 0.5},
        {"word": "there", "start": 0.5, "end": 0.94},
        {"word": "Bye", "start": 2.0, "end": 2.4},
    ],
    "usage": {"type": "duration", "seconds": 3},
}
DIARIZED = {
    "task": "transcribe",
    "duration": 2.4,
    "text": "Hello there. Bye",
    "segments": [
        {"type": "transcript.text.segment", "start": 0.1, "end": 0.9, "text": "Hello there.",
         "speaker": "A"},
        {"type": "transcript.text.segment", "start": 2.0, "end": 2.4, "text": "Bye",
         "speaker": "B"},
    ],
}  # fmt: skip


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    file = tmp_path / "Private talk.MP3"
    file.write_bytes(b"RIFF" * 1000)
    return file


def form_of(model: str, **fields: Any) -> dict[str, Any]:
    asked = openai_audio.build_submit(TranscribeVideo(source="a.wav", **fields), model)
    assert (asked.method, asked.url, len(asked.files)) == ("POST", "/audio/transcriptions", 1)
    return dict(asked.form or {})


TIMES = {"timestamp_granularities[]": ["segment", "word"]}


@pytest.mark.parametrize(
    ("model", "fields", "form"),
    [
        ("whisper-1", {}, {"response_format": "verbose_json", **TIMES}),
        (
            "whisper-1",
            {"language": "pt-BR"},
            {"response_format": "verbose_json", **TIMES, "language": "pt"},
        ),
        ("gpt-transcribe", {}, {"response_format": "json"}),
        ("openai/gpt-4o-mini-transcribe", {}, {"response_format": "json"}),
        (
            "gpt-4o-transcribe-diarize",
            {"params": {"known_speaker_names": ["Ann", "Bo"]}},
            {
                "response_format": "diarized_json",
                "chunking_strategy": "auto",
                "known_speaker_names[]": ["Ann", "Bo"],
            },
        ),
        (
            "whisper-1",
            {"params": {"response_format": "json", "temperature": 0.2, "prompt": None}},
            {"response_format": "json", "temperature": "0.2"},
        ),
        (
            "whisper-1",
            {"params": {"timestamp_granularities": ["segment"]}},
            {"response_format": "verbose_json", "timestamp_granularities[]": ["segment"]},
        ),
        (
            "gpt-4o-transcribe",
            {"params": {"chunking_strategy": {"type": "server_vad", "threshold": 0.5}}},
            {
                "response_format": "json",
                "chunking_strategy[type]": "server_vad",
                "chunking_strategy[threshold]": "0.5",
            },
        ),
        (
            "any",
            {"params": {"response_format": "json", "vad": True, "include[]": ["logprobs"]}},
            {"response_format": "json", "vad": "true", "include[]": ["logprobs"]},
        ),
    ],
)
def test_what_is_submitted(model: str, fields: dict[str, Any], form: dict[str, Any]) -> None:
    assert form_of(model, **fields) == {"model": model, **form}


def test_a_file_gives_its_extension_and_not_its_name(talk: Path) -> None:
    asked = openai_audio.build_submit(TranscribeVideo(source=str(talk)), "whisper-1")
    (part,) = asked.files
    assert (part.field, part.filename, part.media_type) == ("file", "audio.mp3", "audio/mpeg")
    assert part.path == str(talk)


def test_a_transcript_with_times() -> None:
    done = openai_audio.parse_transcription(answer(VERBOSE))
    found = done.transcript
    assert found is not None
    assert (found.text, found.language, found.duration) == ("Hello there. Bye", "english", 2.4)
    assert [(s.start, s.end, s.text) for s in found.segments] == [
        (0.1, 0.9, "Hello there."),
        (2.0, 2.4, "Bye"),
    ]
    assert [[word.text for word in s.words] for s in found.segments] == [
        ["Hello", "there"],
        ["Bye"],
    ]
    assert done.raw == {"usage": {"type": "duration", "seconds": 3}}
    assert done.value is None


def test_words_without_segments_become_subtitles() -> None:
    body = {key: value for key, value in VERBOSE.items() if key != "segments"}
    found = openai_audio.parse_transcription(answer(body)).transcript
    assert found is not None
    (segment,) = found.segments
    assert (segment.text, segment.start, segment.end) == ("Hello there Bye", 0.1, 2.4)


def test_words_inside_their_segments_as_some_servers_send_them() -> None:
    words = [{"word": " Hi", "start": 0.0, "end": 0.4, "probability": 0.9}]
    body = {"text": "Hi", "segments": [{"start": 0, "end": 0.5, "text": "Hi", "words": words}]}
    found = openai_audio.parse_transcription(answer(body)).transcript
    assert found is not None
    assert found.segments[0].words[0].text == "Hi"
    assert found.segments[0].words[0].probability == 0.9


def test_speakers_are_kept() -> None:
    done = openai_audio.parse_transcription(answer(DIARIZED))
    assert done.value == {
        "speakers": [
            {"start": 0.1, "end": 0.9, "speaker": "A"},
            {"start": 2.0, "end": 2.4, "speaker": "B"},
        ]
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"text": "Hello", "usage": {"type": "tokens", "input_tokens": 14}}, "Hello"),
        ({"text": "", "language": "english", "duration": 3.0, "segments": []}, ""),
        ({"text": " Hi ", "x_groq": {"id": "req_1"}}, "Hi"),
        ({"text": "Hi", "segments": None, "words": None}, "Hi"),
    ],
)
def test_a_transcript_without_times(body: dict[str, Any], text: str) -> None:
    found = openai_audio.parse_transcription(answer(body)).transcript
    assert found is not None
    assert (found.text, found.segments) == (text, ())


def test_a_part_without_times_costs_no_text(caplog: pytest.LogCaptureFixture) -> None:
    body = {"text": "Hi", "segments": [{"text": "Hi"}, "odd", {"start": 0, "end": 1, "text": "Hi"}]}
    found = openai_audio.parse_transcription(answer(body)).transcript
    assert found is not None
    assert len(found.segments) == 1
    assert "left out" in caplog.text


@pytest.mark.parametrize("body", [{}, [], "text", {"text": None}, {"error": "no"}])
def test_an_answer_without_a_text_proves_nothing(body: Any) -> None:
    with pytest.raises(ClientError, match="without 'text'"):
        openai_audio.parse_transcription(answer(body))


def transcribes(request: httpx.Request) -> httpx.Response:
    assert request.headers["authorization"] == "Bearer canary-key"
    return httpx.Response(200, json=VERBOSE, headers={"x-request-id": "req_1"})


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_file_is_sent_once_and_its_transcript_kept(executor: str, talk: Path) -> None:
    request = TranscribeVideo(source=str(talk), model="whisper-1", language="en")
    job, sent = run_one(OpenAIAudioClient, transcribes, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Hello there. Bye"
    (asked,) = sent
    assert str(asked.url) == "https://api.openai.com/v1/audio/transcriptions"
    assert asked.headers["content-type"].startswith("multipart/form-data")
    assert int(asked.headers["content-length"]) == len(asked.content)
    assert asked.content.count(b"RIFF") == 1000
    assert asked.content.count(b'name="timestamp_granularities[]"') == 2
    assert b'filename="audio.mp3"' in asked.content
    assert b"Private" not in asked.content
    # The whole work is done before the first byte of the answer.
    assert asked.extensions["timeout"]["read"] >= 1800


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str, talk: Path) -> None:
    request = TranscribeVideo(source=str(talk), model="whisper-1")
    job, sent = run_one(OpenAIAudioClient, drops, request, executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


def test_a_server_of_ones_own_is_asked_again(talk: Path) -> None:
    answers = iter([drops, transcribes])

    def first_breaks(request: httpx.Request) -> httpx.Response:
        return next(answers)(request)

    request = TranscribeVideo(source=str(talk), model="tiny")
    options: dict[str, Any] = {"base_url": "http://127.0.0.1:8000/v1", "free": True}
    job, sent = run_one(OpenAIAudioClient, first_breaks, request, **options)
    assert (job.status, len(sent)) == (JobStatus.COMPLETED, 2)


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_groq_fetches_an_address_itself(executor: str) -> None:
    request = TranscribeVideo(source="https://h/talk.mp3?sig=1", model="whisper-large-v3")
    job, sent = run_one(GroqClient, transcribes, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    (asked,) = sent
    assert str(asked.url) == "https://api.groq.com/openai/v1/audio/transcriptions"
    assert b'name="url"\r\n\r\nhttps://h/talk.mp3?sig=1\r\n' in asked.content
    assert b'name="file"' not in asked.content


def test_whose_key_goes_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k-openai")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    assert OpenAIAudioClient().headers() == {"Authorization": "Bearer k-openai"}
    region = OpenAIAudioClient(base_url="https://eu.api.openai.com/v1")
    assert region.headers() == {"Authorization": "Bearer k-openai"}
    for base_url in ("http://127.0.0.1:8000/v1", "https://xapi.openai.com/v1"):
        assert OpenAIAudioClient(base_url=base_url).headers() == {}
        given = OpenAIAudioClient("mine", base_url=base_url)
        assert given.headers() == {"Authorization": "Bearer mine"}
    with pytest.raises(UsageError, match="GROQ_API_KEY"):
        load("groq")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        load("openai-audio")
