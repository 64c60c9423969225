"""AssemblyAI: uploads, states, transcripts and look-up, as literal answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, drops, play, run_one

from batchkit import (
    ClientError,
    ErrorKind,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    TranscribeVideo,
    UsageError,
)
from batchkit.clients import assemblyai
from batchkit.clients.assemblyai import AssemblyAIClient

URL = "https://h/talk.mp4"
UPLOADED = "https://cdn.assemblyai.com/upload/one-of-a-kind"
WORDS = [
    {"text": "Hello", "start": 120, "end": 500, "confidence": 0.98},
    {"text": "there.", "start": 520, "end": 900, "confidence": 0.97},
    {"text": "Bye", "start": 2000, "end": 2400, "confidence": 0.9},
]
DONE = {
    "id": "t1",
    "status": "completed",
    "text": "Hello there. Bye",
    "words": WORDS,
    "language_code": "en",
    "audio_duration": 3,
}


def job_of(source: str = URL, **fields: Any) -> Job:
    prepared = fields.pop("prepared", None)
    request = TranscribeVideo(source=source, **fields)
    return Job(id=1, batch_id=1, index=0, identity="i", request=request, prepared=prepared)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {"audio_url": URL, "language_detection": True}),
        ({"language": "pt-BR"}, {"audio_url": URL, "language_code": "pt_br"}),
        (
            {"language": "en", "model": "universal-2"},
            {"audio_url": URL, "language_code": "en", "speech_models": ["universal-2"]},
        ),
        (
            {"params": {"speaker_labels": True}},
            {"audio_url": URL, "language_detection": True, "speaker_labels": True},
        ),
        (
            {"prepared": {"audio_url": UPLOADED, "uploaded": True}},
            {"audio_url": UPLOADED, "language_detection": True},
        ),
    ],
)
def test_what_is_submitted(fields: dict[str, Any], body: dict[str, Any]) -> None:
    assert assemblyai.build_submit(job_of(**fields), None).json == body


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"status": "queued"}, RemoteState.QUEUED),
        ({"status": "processing"}, RemoteState.RUNNING),
        ({"status": "pondering"}, RemoteState.RUNNING),
        ({"status": "error", "error": "no audio"}, RemoteState.FAILED),
        (DONE, RemoteState.SUCCEEDED),
    ],
)
def test_states(body: dict[str, Any], state: RemoteState) -> None:
    assert assemblyai.parse_transcript(answer(body)).state is state


def test_a_transcript() -> None:
    found = assemblyai.transcript(DONE)
    assert (found.text, found.language, found.duration) == ("Hello there. Bye", "en", 3)
    assert [segment.text for segment in found.segments] == ["Hello there.", "Bye"]
    first = found.segments[0]
    assert (first.start, first.end, first.words[0].probability) == (0.12, 0.9, 0.98)


def test_utterances_are_the_segments() -> None:
    spoken = [{"start": 120, "end": 2400, "text": "Hello there. Bye", "words": WORDS}]
    (segment,) = assemblyai.transcript({**DONE, "utterances": spoken}).segments
    assert (segment.start, segment.end, len(segment.words)) == (0.12, 2.4, 3)


def test_long_speech_becomes_several_subtitles() -> None:
    words = [{"text": "word", "start": n * 500, "end": n * 500 + 400} for n in range(40)]
    segments = assemblyai.transcript({"text": "", "words": words}).segments
    assert len(segments) > 2
    assert all(segment.end - segment.start <= 6.5 for segment in segments)


def completes(request: httpx.Request) -> httpx.Response:
    assert request.headers["authorization"] == "canary-key"
    if request.url.path == "/v2/upload":
        return httpx.Response(200, json={"upload_url": UPLOADED})
    if request.method == "POST":
        return httpx.Response(200, json={"id": "t1", "status": "queued"})
    return httpx.Response(200, json=DONE)


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_file_is_uploaded_before_it_is_paid_for(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(b"RIFF" * 1000)
    request = TranscribeVideo(source=str(file))
    job, sent = run_one(AssemblyAIClient, completes, request, executor=executor)
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert job.result.text == "Hello there. Bye"
    assert [asked.url.path for asked in sent][:2] == ["/v2/upload", "/v2/transcript"]
    assert sent[0].headers["content-length"] == "4000"


def listed(*urls: str) -> dict[str, Any]:
    return {"transcripts": [{"id": f"t{n}", "audio_url": url} for n, url in enumerate(urls)]}


def test_a_lost_submission_is_found_by_the_address_of_its_upload() -> None:
    client = AssemblyAIClient("k")
    job = job_of(prepared={"audio_url": UPLOADED, "uploaded": True})
    found, asked = play(client.http_find(job, "key"), answer(listed(URL, UPLOADED)))
    assert found == Handle(id="t1")
    assert asked[0].params == {"limit": 100}
    none, _ = play(client.http_find(job, "key"), answer(listed(URL)))
    assert none is None


def test_a_long_list_is_read_on_and_proves_nothing_without_an_end() -> None:
    client = AssemblyAIClient("k")
    job = job_of(prepared={"audio_url": UPLOADED, "uploaded": True})
    page = answer(listed(*[URL] * 100))
    found, asked = play(client.http_find(job, "key"), page, answer(listed(UPLOADED)))
    assert (found, asked[1].params["before_id"]) == (Handle(id="t0"), "t99")
    with pytest.raises(ClientError, match="too long"):
        play(client.http_find(job, "key"), *[page] * 20)


def test_an_address_of_the_user_proves_nothing() -> None:
    client = AssemblyAIClient("k")
    for prepared in (None, {"audio_url": URL}):
        with pytest.raises(ClientError, match="several jobs"):
            next(client.http_find(job_of(prepared=prepared), "key"))


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_a_submission_that_breaks_is_sent_once(executor: str) -> None:
    job, sent = run_one(AssemblyAIClient, drops, TranscribeVideo(source=URL), executor=executor)
    assert (job.status, len(sent)) == (JobStatus.UNCERTAIN, 1)


def test_a_failed_transcription_says_why() -> None:
    found = assemblyai.parse_transcript(answer({"status": "error", "error": "no audio"}))
    assert found.error is not None
    assert (found.error.kind, found.error.message) == (ErrorKind.PROVIDER, "no audio")


def test_bad_use() -> None:
    client = AssemblyAIClient("k")
    with pytest.raises(UsageError, match="transcribes"):
        client.check(GenerateVideo(prompt="a cat"))
    with pytest.raises(UsageError, match="no file"):
        client.check(TranscribeVideo(source="/nowhere/at-all.wav"))
