"""Google's client against a server that speaks the language of its Interactions API."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import BatchRunner, GenerateVideo, JobStatus, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer
from telling_kit import Tell

OMNI, TRANSCRIBE = "gemini-omni-1.2-flash", "gemini-3.5-transcribe"


def test_it_conforms(tmp_path: Path) -> None:
    assert conforms("google", model=OMNI) == ()
    assert conforms("google", transcribes=True, files=str(tmp_path), model=TRANSCRIBE) == ()


def test_accepted_and_dropped_is_sent_once() -> None:
    assert dropped_once("google", model=OMNI) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sent", ["prompts", "files"])
def test_a_batch_that_is_killed_once(sent: str, tmp_path: Path, tell: Tell) -> None:
    if sent == "prompts":
        tell(killed_once("google", tmp_path, model=OMNI))
    else:
        told = killed_once(
            "google", tmp_path, transcribes=True, files=str(tmp_path), model=TRANSCRIBE
        )
        tell(told)


def test_a_video_a_short_one_and_a_recording(tmp_path: Path) -> None:
    talk = tmp_path / "talk.wav"
    talk.write_text("talk.wav")
    with VendorServer("google", clock=(clock := FakeClock())) as server:
        runner = BatchRunner(
            server.client(model=OMNI),
            storage="memory",
            output=tmp_path / "out",
            clock=clock,
            allow_private_downloads=True,
            delay=0,
        )
        video = runner.add("a cat")
        inline = {"response_format": {"delivery": "inline"}}
        short = runner.add(GenerateVideo(prompt="a dog", params=inline))
        spoken = runner.add(TranscribeVideo(source=str(talk), model=TRANSCRIBE))
        assert runner.run().ok
        files = []
        for job in (video, short):
            result = runner.job(job).result
            assert result is not None
            assert result.path is not None
            files.append(result.path.read_bytes()[:14])
        assert files == [b"video of a cat", b"video of a dog"]
        result = runner.job(spoken).result
        assert result is not None
        assert result.transcript is not None
        (segment,) = result.transcript.segments
        assert (result.text, segment.end) == ("This is what talk.wav says.", 1.96)
        assert len(segment.words) == 5
        server.check(runner).raise_for_faults()
