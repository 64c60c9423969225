"""A free stand-in for a video provider: it draws the prompt as an animated title card, here.

Shows people what a batch will ask for before anything is paid. The same requests work unchanged
with the provider of the real thing. Needs the extra ``storyboard``; it is imported on use.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import math
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from batchkit._context import report_progress
from batchkit._errors import MissingExtraError, RejectedError, UsageError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, Request
from batchkit._results import Output
from batchkit.clients.base import Capabilities, Finished

_log = logging.getLogger("batchkit.clients")

_CODEC = "libx264"
_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)\s*")
_HEIGHTS = (64, 2160)
_RATES = (1, 60)
_WIDTHS = (32, 4096)
_REPORTS_PER_SECOND = 4
# The number of BT.709 in the tables of ITU-T H.273: for colour matrix, primaries and transfer.
_BT709 = 1
_LIMITED_RANGE = 1


class StoryboardClient:
    """Renders a :class:`~batchkit.GenerateVideo` as an H.264 title-card animatic, on this machine.

    It reads the request's prompt, ``duration``, ``aspect_ratio`` and ``seed``, and from ``params``
    ``fps`` and ``height``, which win over this client's own. Everything else is meant for the
    provider of the real video and is ignored. The seed decides palette, layout and motion: equal
    prompt and seed give equal frames. Without one it follows from the prompt; the footer and
    ``raw["seed"]`` of the result tell which it was.

    The lettering covers the languages of western Europe; other scripts show as boxes.

    Each video is a file in a temporary folder of this client, from where the artifact store moves
    it. Without an output folder nobody does: move it yourself before :meth:`close`, which removes
    the folder with all that is left in it. One client may render on many threads at once.

    Args:
        height: of the frame, in pixels, 64 to 2160; odd ones are rounded down.
        fps: frames per second, 1 to 60.
        default_duration: seconds, for requests that name none.
        max_duration: seconds; longer requests are refused.

    Raises:
        MissingExtraError: PyAV or Pillow is not installed.
        UsageError: an argument is out of range, or this PyAV cannot encode H.264.
    """

    capabilities = Capabilities(repeat="free", sync_result=True, local=True)

    def __init__(
        self,
        *,
        height: int = 360,
        fps: int = 12,
        default_duration: float = 4.0,
        max_duration: float = 60.0,
    ) -> None:
        self._height = _whole("height", height, _HEIGHTS)
        self._fps = _whole("fps", fps, _RATES)
        if not 0 < default_duration <= max_duration < math.inf:
            raise UsageError(
                f"default_duration={default_duration!r} and max_duration={max_duration!r}: give "
                "seconds above 0, and a default that is not above the maximum"
            )
        self._default_duration, self._max_duration = default_duration, max_duration
        self._lock = threading.Lock()
        self._folder: Path | None = None
        _require_extra()

    def check(self, request: Request) -> None:
        """Refuses what cannot be rendered.

        Raises:
            UsageError: not a ``GenerateVideo``, or its duration, aspect ratio, ``params["fps"]``
                or ``params["height"]`` is malformed or out of range.
        """
        self._plan(request)

    def submit(self, job: Job) -> Finished:
        """Renders the video; returns when its file is complete.

        Returns:
            One ``video/mp4`` output; ``raw`` holds seed, width, height, fps and frames.

        Raises:
            RejectedError: :meth:`check` would have refused the request.
            OSError: the temporary folder cannot be written to.
        """
        try:
            plan = self._plan(job.request)
        except UsageError as exc:
            raise RejectedError(str(exc)) from exc
        path = self._new_file()
        try:
            _render(plan, path)
            report_progress(1.0)
            output = Output(path=str(path), media_type="video/mp4", size=path.stat().st_size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Finished(outputs=(output,), raw=plan.facts())

    def close(self) -> None:
        """Removes the temporary folder and whatever was not moved out of it; may be repeated."""
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            shutil.rmtree(folder)
        except OSError as exc:
            # The videos are delivered: litter must not turn a finished run into a failed one.
            _log.warning("temporary folder %s was not removed: %s", folder, exc)

    def _new_file(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="batchkit-storyboard-"))
            handle, name = tempfile.mkstemp(suffix=".mp4", dir=self._folder)
        os.close(handle)
        return Path(name)

    def _plan(self, request: Request) -> _Plan:
        if not isinstance(request, GenerateVideo):
            raise UsageError(
                f"StoryboardClient renders GenerateVideo requests, not {type(request).__name__}: "
                "use another client for these"
            )
        height = _param(request.params, "height", self._height, _HEIGHTS)
        height -= height % 2
        fps = _param(request.params, "fps", self._fps, _RATES)
        return _Plan(
            prompt=request.prompt,
            seed=_seed_of(request.prompt) if request.seed is None else request.seed,
            width=_width(request.aspect_ratio or "16:9", height),
            height=height,
            fps=fps,
            frames=max(1, round(self._duration(request) * fps)),
        )

    def _duration(self, request: GenerateVideo) -> float:
        seconds: Any = self._default_duration if request.duration is None else request.duration
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= self._max_duration:
            raise UsageError(
                f"duration={seconds!r}: give seconds above 0 and up to {self._max_duration:g}, "
                "or raise StoryboardClient(max_duration=...)"
            )
        return float(seconds)


@attrs.frozen(kw_only=True)
class _Plan:
    """A request in frames and pixels."""

    prompt: str
    seed: int
    width: int
    height: int
    fps: int
    frames: int

    @property
    def footer(self) -> str:
        return f"{self.frames / self.fps:.1f} s · seed {self.seed}"

    def facts(self) -> dict[str, int]:
        return attrs.asdict(self, filter=attrs.filters.exclude("prompt"))


def _require_extra() -> None:
    try:
        av = importlib.import_module("av")
        importlib.import_module("PIL.Image")
    except ImportError as exc:
        raise MissingExtraError("StoryboardClient", "storyboard") from exc
    try:
        av.Codec(_CODEC, "w")
    except ValueError as exc:
        raise UsageError(
            f"this build of PyAV has no {_CODEC} encoder: install PyAV's wheel from PyPI"
        ) from exc


def _whole(name: str, value: Any, limits: tuple[int, int]) -> int:
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name}={value!r}: give a whole number from {low} to {high}")
    return value


def _param(params: Mapping[str, Any], name: str, default: int, limits: tuple[int, int]) -> int:
    return _whole(f"params[{name!r}]", params.get(name, default), limits)


def _width(aspect_ratio: str, height: int) -> int:
    match = _RATIO.fullmatch(aspect_ratio)
    across, down = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not across or not down:
        raise UsageError(f'aspect_ratio={aspect_ratio!r}: give width and height, as "16:9"')
    width = height * across / down
    if not _WIDTHS[0] <= width <= _WIDTHS[1]:
        raise UsageError(
            f"aspect_ratio={aspect_ratio!r} at a height of {height} is {width:.0f} pixels wide: "
            f"choose a ratio or a height that gives {_WIDTHS[0]} to {_WIDTHS[1]}"
        )
    return round(width / 2) * 2


def _seed_of(prompt: str) -> int:
    # Not hash(): that one differs from process to process. Short, since people read it.
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4])


def _render(plan: _Plan, path: Path) -> None:
    from batchkit.clients._animatic import Animatic

    # Any, here and below: PyAV's type hints differ from one version to the next.
    av: Any = importlib.import_module("av")
    animatic = Animatic(
        prompt=plan.prompt,
        footer=plan.footer,
        seed=plan.seed,
        size=(plan.width, plan.height),
        frames=plan.frames,
    )
    options = {"movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = _add_stream(container, plan)
        for index in range(plan.frames):
            # Also where a person's wish to cancel comes in, so it must not wait for long.
            if index % max(1, plan.fps // _REPORTS_PER_SECOND) == 0:
                report_progress(index / plan.frames)
            picture = av.VideoFrame.from_image(animatic.frame(index))
            frame = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = index, Fraction(1, plan.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _add_stream(container: Any, plan: _Plan) -> Any:
    stream = container.add_stream(
        _CODEC, rate=plan.fps, options={"preset": "veryfast", "crf": "18"}
    )
    stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, plan.fps)
    # What the encoder decides depends on its threads, and their number on the machine.
    context.thread_count = 1
    # Stills that dissolve into each other gain nothing from B-frames, which delay the first one.
    context.max_b_frames = 0
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream
