"""The sound of a recording as Whisper wants it, whatever is wrong with the file. Needs PyAV."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from batchkit._errors import UsageError

log = logging.getLogger(__name__)

RATE = 16_000  # samples per second; what every Whisper model was trained on


class RefusedError(UsageError):
    """What cannot work, with the code under which ``submit`` rejects it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def read_sound(source: str) -> tuple[Any, dict[str, float]]:
    """The sound as a NumPy array, and what tells whether the file is whole."""
    import av

    if not Path(source).stat().st_size:
        raise RefusedError(f"{source} is empty (0 bytes): copy or record it again", "empty_file")
    # From 19 on, PyAV takes odd metadata as it comes.
    lax: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
    try:
        # The prefix bars FFmpeg's other protocols: from odd file names, and from playlists.
        with av.open(f"file:{Path(source).absolute()}", **lax) as container:
            return _decode(container, source)
    except av.FFmpegError as exc:  # pyright: ignore[reportPrivateImportUsage]
        raise _corrupt(source, exc.strerror or type(exc).__name__) from exc


def _corrupt(source: str, reason: str) -> RefusedError:
    problem = f"{source} is damaged, unreadable, or neither audio nor video ({reason})"
    return RefusedError(f"{problem}: check that it plays", "corrupt_media")


def _decode(container: Any, source: str) -> tuple[Any, dict[str, float]]:
    import numpy as np

    if not len(container.streams):
        raise _corrupt(source, "it holds no stream")
    if (stream := container.streams.best("audio")) is None:
        raise RefusedError(f"{source} has no sound: give one with an audio track", "no_audio")
    damaged: list[str] = []
    pieces = list(_samples(_frames(container.demux(stream), damaged), container))
    if not pieces:
        raise _corrupt(source, "no sound could be decoded")
    sound, claimed = np.concatenate(pieces), (container.duration or 0) / 1e6
    facts = {"damaged_packets": len(damaged), "claimed_duration": claimed}
    # A second of picture after the end of the sound is common; more may be a torn download.
    if damaged or claimed > len(sound) / RATE + 1:
        log.warning("%s may be damaged: %.1f s of sound, %s", source, len(sound) / RATE, facts)
    return sound, facts


def _frames(packets: Iterable[Any], damaged: list[str]) -> Iterator[Any]:
    """All frames that can be decoded; faster-whisper's reader ends at the first that cannot."""
    import av

    for packet in packets:
        try:
            yield from packet.decode()
        except av.FFmpegError as exc:  # pyright: ignore[reportPrivateImportUsage]
            log.debug("a packet is skipped, the next may be whole: %s", exc)
            damaged.append(str(exc))


def _samples(frames: Iterable[Any], container: Any) -> Iterator[Any]:
    """Mono sound at the models' rate, with silence for holes, so that times fit the picture."""
    import av
    import numpy as np

    origin, written = (container.start_time or 0) / 1e6, 0
    # A resampler takes one kind of frame; a recording may change its own half-way.
    for _, run in itertools.groupby(frames, lambda f: (f.format.name, f.layout.name, f.rate)):
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in itertools.chain(run, (None,)):
            hole = 0 if frame is None or frame.time is None else frame.time - origin
            hole = int(hole * RATE) - written
            # Below 0.2 s it is rounding; and broken time stamps may not outlast the recording.
            if 0.2 * RATE < hole <= (container.duration or 0) / 1e6 * RATE - written:
                yield np.zeros(hole, np.float32)
                written += hole
            for piece in resampler.resample(frame):
                yield (array := piece.to_ndarray()[0])
                written += len(array)
