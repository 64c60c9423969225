"""Google's client against a server that speaks the language of its Interactions API."""

from __future__ import annotations

from pathlib import Path

from batchkit import BatchRunner, GenerateVideo, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer

OMNI, TRANSCRIBE = "gemini-omni-1.2-flash", "gemini-3.5-transcribe"


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
