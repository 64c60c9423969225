"""The clients of OpenAI's audio dialect against servers that speak it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import BatchRunner, ErrorKind, Job, JobStatus, TranscribeVideo
from batchkit.testing.vendors import VendorServer
from telling_kit import Tell

MODEL = "whisper-large-v3"


@pytest.fixture(params=["openai-audio", "groq"])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(vendor: str, tmp_path: Path) -> str | None:
    """OpenAI takes files only; Groq is given addresses."""
    return str(tmp_path) if vendor == "openai-audio" else None


def test_it_conforms(vendor: str, files: str | None) -> None:
    assert conforms(vendor, transcribes=True, files=files, model=MODEL) == ()


def test_accepted_and_dropped_is_sent_once(vendor: str, files: str | None) -> None:
    found = dropped_once(vendor, transcribes=True, files=files, model=MODEL)
    assert found == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_batch_that_is_killed_once(
    vendor: str, files: str | None, tmp_path: Path, tell: Tell
) -> None:
    tell(killed_once(vendor, tmp_path, transcribes=True, files=files, model=MODEL))


def transcribed(file: Path, content: bytes, **fields: Any) -> Job:
    file.write_bytes(content)
    with VendorServer("openai-audio", api_key="k") as server:
        runner = BatchRunner(server.client(), storage="memory", delay=0)
        runner.add(TranscribeVideo(source=str(file), **fields))
        runner.run()
        (job,) = runner.jobs()
        return runner.job(job)


def test_times_words_and_language(tmp_path: Path) -> None:
    job = transcribed(tmp_path / "a.wav", b"talk", model="whisper-1", language="pt-BR")
    assert job.result is not None
    found = job.result.transcript
    assert found is not None
    assert (found.text, found.language) == ("This is what talk says.", "pt")
    (segment,) = found.segments
    assert [word.text for word in segment.words] == ["This", "is", "what", "talk", "says."]


def test_what_a_model_cannot_answer_is_refused(tmp_path: Path) -> None:
    asked = {"params": {"response_format": "verbose_json"}, "model": "gpt-transcribe"}
    job = transcribed(tmp_path / "a.wav", b"talk", **asked)
    assert job.error is not None
    assert (job.status, job.error.kind) == (JobStatus.FAILED, ErrorKind.INVALID_INPUT)
    plain = transcribed(tmp_path / "a.wav", b"talk", model="gpt-transcribe")
    assert plain.result is not None
    assert plain.result.text == "This is what talk says."


def test_speakers(tmp_path: Path) -> None:
    job = transcribed(tmp_path / "a.wav", b"talk", model="gpt-4o-transcribe-diarize")
    assert job.result is not None
    assert job.result.value == {"speakers": [{"start": 0.0, "end": 1.96, "speaker": "A"}]}


def test_a_recording_of_bytes_and_one_that_says_nothing(tmp_path: Path) -> None:
    sound = transcribed(tmp_path / "a.wav", bytes(range(256)) * 9, model="whisper-1")
    assert sound.result is not None
    assert (sound.result.text or "").startswith("This is what recording-")
    silent = transcribed(tmp_path / "b.wav", b"talk [empty]", model="whisper-1")
    assert silent.status is JobStatus.COMPLETED
    assert silent.result is not None
    assert silent.result.text == ""
