"""What becomes of the words of a model that says what it is told to."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from whisper_kit import MEDIA, RATE, job, noise, speech, write_wav

from batchkit._context import progress_sink
from batchkit._errors import RejectedError, UsageError
from batchkit._requests import TranscribeVideo
from batchkit.clients import whisper
from batchkit.clients.base import Finished
from batchkit.clients.whisper import FasterWhisperClient

faster_whisper = pytest.importorskip("faster_whisper")


@pytest.fixture
def reported() -> Iterator[list[float]]:
    seen: list[float] = []
    token = progress_sink.set(seen.append)
    yield seen
    progress_sink.reset(token)


def test_check_loads_nothing(fake: type[FakeModel]) -> None:
    FasterWhisperClient("base").check(TranscribeVideo(source=str(MEDIA / "austen-0880.wav")))
    assert fake.made == []


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
    problem = (
        r"'base' is not on this machine and cannot be downloaded \(no route to the hub\): conn"
    )
    with pytest.raises(UsageError, match=problem):
        FasterWhisperClient("base").load()
    with pytest.raises(RejectedError, match=problem) as caught:
        told(tmp_path)
    assert caught.value.code == "model"


def test_a_model_that_is_damaged(fake: type[FakeModel]) -> None:
    fake.error = RuntimeError("unexpected end of file")
    problem = r"'base' cannot be read as int8 \(unexpected end of file\): give another model"
    with pytest.raises(UsageError, match=problem):
        FasterWhisperClient("base").load()


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
