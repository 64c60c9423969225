"""Recordings to transcribe, and short ways to ask for them."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchkit._jobs import Job
from batchkit._requests import Request, TranscribeVideo
from batchkit.clients import _sound

av = pytest.importorskip("av")

MEDIA = Path(__file__).parents[2] / "examples" / "media"

RATE = 16_000


def job(source: object, **options: Any) -> Job:
    return job_of(TranscribeVideo(source=str(source), **options))


def job_of(request: Request) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="x", request=request)


def write_wav(path: Path, samples: np.ndarray[Any, Any]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def write_media(
    path: Path,
    *,
    seconds_of_picture: float = 0,
    samples: np.ndarray[Any, Any] | None = None,
    at: float = 0,
    layout: str = "mono",
) -> Path:
    """A recording made of blank pictures and of sound that starts *at* some second."""
    with av.open(str(path), "w") as file:
        if seconds_of_picture:
            video = file.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        if samples is not None:
            audio = file.add_stream("aac", rate=RATE, layout=layout)
        if seconds_of_picture:
            for number in range(int(seconds_of_picture * 10)):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
        if samples is not None:
            data = np.tile(samples.astype("<f4"), (2 if layout == "stereo" else 1, 1))
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), "fltp", layout)
            sound.sample_rate, sound.pts, sound.time_base = RATE, int(at * RATE), Fraction(1, RATE)
            file.mux(audio.encode(sound))
            file.mux(audio.encode(None))
    return path


def speech(name: str = "austen-0890.mp3") -> np.ndarray[Any, Any]:
    sound, _ = _sound.read_sound(str(MEDIA / name))
    return np.asarray(sound)


def noise(seconds: float) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).uniform(-0.3, 0.3, int(seconds * RATE))
