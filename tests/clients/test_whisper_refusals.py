"""Files and requests that cannot work."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whisper_kit import MEDIA, RATE, job, noise, write_media, write_wav

from batchkit._errors import MissingExtraError, RejectedError, UsageError
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit.clients import _sound
from batchkit.clients.whisper import FasterWhisperClient

# -- files that cannot be used ---------------------------------------------------------------------


def corrupt(folder: Path) -> Path:
    data = np.random.default_rng(1).bytes(50_000)
    (folder / "corrupt.mp4").write_bytes(data)
    return folder / "corrupt.mp4"


def torn(folder: Path) -> Path:
    (folder / "torn.mp4").write_bytes((MEDIA / "jfk-inaugural.mp4").read_bytes()[:40_000])
    return folder / "torn.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def playlist(folder: Path) -> Path:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:3", "#EXTINF:3,", "http://127.0.0.1:9/x.ts"]
    (folder / "list.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return folder / "list.m3u8"


def mute(folder: Path) -> Path:
    return write_media(folder / "mute.mp4", seconds_of_picture=1)


def soundless(folder: Path) -> Path:
    return write_wav(folder / "soundless.wav", np.zeros(0))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (corrupt, "corrupt_media"),
        (torn, "corrupt_media"),
        (playlist, "corrupt_media"),
        (soundless, "corrupt_media"),
        (empty, "empty_file"),
        (mute, "no_audio"),
        (lambda folder: folder / "gone.mp4", "missing_file"),
        (lambda folder: folder, "not_a_file"),
        (lambda _: "https://example.com/talk.mp4", "url"),
    ],
)
def test_unusable_files_are_rejected_for_good(
    tmp_path: Path, make: Callable[[Path], object], code: str
) -> None:
    source = make(tmp_path)
    with pytest.raises(RejectedError) as caught:
        FasterWhisperClient("tiny.en").submit(job(source))
    assert caught.value.code == code
    assert not caught.value.retryable
    assert code == "url" or str(source) in str(caught.value)


def test_a_recording_may_change_its_format_half_way(tmp_path: Path) -> None:
    parts = [
        write_media(tmp_path / f"{layout}.aac", samples=noise(2), layout=layout)
        for layout in ("mono", "stereo")
    ]
    (tmp_path / "both.aac").write_bytes(b"".join(part.read_bytes() for part in parts))
    sound, facts = _sound.read_sound(str(tmp_path / "both.aac"))
    assert len(sound) / RATE == pytest.approx(4.0, abs=0.3)
    assert facts["damaged_packets"] == 0


def test_odd_file_names_are_only_names(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "concat:a|%03d.wav", noise(1))
    sound, _ = _sound.read_sound(str(path))
    assert len(sound) == RATE


# -- check -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (GenerateVideo(prompt="a cat"), "TranscribeVideo"),
        (TranscribeVideo(source="https://example.com/a.mp4"), "download it first"),
        (TranscribeVideo(source="s3://bucket/a.mp4"), "download it first"),
        (TranscribeVideo(source="no/such/talk.mp4"), "no file no/such/talk.mp4"),
        (TranscribeVideo(source=str(MEDIA)), "is a folder"),
    ],
)
def test_check_refuses_what_cannot_work(request_: Request, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FasterWhisperClient("base").check(request_)


@pytest.mark.parametrize("model", ["tinny", "./models", "/no/such/folder", "a/b/c"])
def test_check_refuses_unknown_models_and_names_the_remedy(model: str) -> None:
    request = TranscribeVideo(source=str(MEDIA / "austen-0880.wav"), model=model)
    with pytest.raises(UsageError, match=re.escape(repr(model))) as caught:
        FasterWhisperClient("base").check(request)
    assert "large-v3" in str(caught.value)
    assert 'pip install "batchkit-video[demo]"' in str(caught.value)
    with pytest.raises(UsageError, match=re.escape(repr(model))):
        FasterWhisperClient(model)


def test_check_refuses_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.bin"):
        FasterWhisperClient(tmp_path)


def test_check_refuses_other_languages_for_an_english_model() -> None:
    request = TranscribeVideo(source=str(MEDIA / "austen-0880.wav"), language="pt-BR")
    FasterWhisperClient("base").check(request)
    with pytest.raises(UsageError, match=r"'tiny\.en' knows en but not 'pt'.*choose"):
        FasterWhisperClient("tiny.en").check(request)


@pytest.mark.parametrize("params", [{"beem_size": 1}, {"language": "en"}, {"chunk_length": 5}])
def test_check_refuses_unknown_and_reserved_params(params: dict[str, Any]) -> None:
    request = TranscribeVideo(source=str(MEDIA / "austen-0880.wav"), params=params)
    with pytest.raises(UsageError, match=f"{next(iter(params))}.*choose from.*'beam_size'"):
        FasterWhisperClient("base").check(request)


@pytest.mark.parametrize("package", ["faster_whisper", "av"])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"FasterWhisperClient.*batchkit-video\[whisper\]"):
        FasterWhisperClient()
