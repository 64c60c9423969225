"""The clients of OpenAI's audio dialect against servers that speak it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batchkit import BatchRunner, ErrorKind, Job, JobStatus, TranscribeVideo
from batchkit.testing.vendors import VendorServer

MODEL = "whisper-large-v3"


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
