"""A batch in a terminal: progress while it runs, and a summary that never flatters."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from batchkit._wording import Wording, translated
from batchkit.storage.base import Failures
from batchkit.ui._lines import Snapshot, Watched
from batchkit.ui._report import print_summary
from batchkit.ui._screens import Lines, Picture, Screen, is_lively

__all__ = ["Display", "print_summary", "show_progress"]

log = logging.getLogger("batchkit.ui")

#: Seconds that the end of a run waits for a screen that hangs.
_GRACE = 2.0


@contextmanager
def show_progress(
    runner: Watched,
    *,
    lang: str | None = None,
    screen: Screen | None = None,
    worded: Wording = translated,
) -> Iterator[Display]:
    """Shows how far *runner* is, on standard error, as long as the block lasts.

    A live picture in a terminal (with *rich*, the extra ``cli``); a few plain lines elsewhere, with
    ``TERM=dumb`` and on build servers (``CI``). Colours follow ``NO_COLOR``. The display only
    reads; when it fails, the run goes on without it::

        with show_progress(runner):
            summary = runner.run()

    Args:
        runner: a :class:`~batchkit.BatchRunner`.
        lang: ``"pt"`` or ``"en"``; by default ``BATCHKIT_LANG``, else the locale's.
        screen: where to, when standard error is not the place.
        worded: how messages of errors are said; called with one and the language.
    """
    display = Display(runner, lang, worded)
    display.start(screen)
    try:
        yield display
    finally:
        display.stop()


class Display:
    """A thread that looks at a runner, and draws what it sees.

    Attributes:
        stopping: set it when a person asked for the end of the run, to say so.
    """

    def __init__(
        self, runner: Watched, lang: str | None = None, worded: Wording = translated
    ) -> None:
        self.stopping = False
        self._runner, self._lang, self._worded = runner, lang, worded
        self._local = _is_local(runner)
        self._failures: list[Failures] = []
        self._screen: Screen | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_all, name="batchkit-display", daemon=True)

    def start(self, screen: Screen | None = None) -> None:
        """Draws the first picture, then one per period."""
        try:
            self._screen = screen or _screen()
            self._screen.draw(self._look())
        except Exception as exc:  # noqa: BLE001 - see _gave_up
            self._gave_up(exc)
        else:
            self._thread.start()

    def stop(self) -> None:
        """Takes the picture away."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_GRACE)
        screen, self._screen = self._screen, None
        if screen is None:
            return
        try:
            screen.close(self._look())
        except Exception as exc:  # noqa: BLE001 - see _gave_up
            self._gave_up(exc)

    def _draw_all(self) -> None:
        screen = self._screen
        try:
            while screen is not None and not self._over.wait(screen.period):
                screen.draw(self._look())
        except Exception as exc:  # noqa: BLE001 - see _gave_up
            self._gave_up(exc)

    def _gave_up(self, exc: Exception) -> None:
        # A window that cannot be drawn must not end work that is being paid for.
        log.warning("progress is not shown any more, the run goes on: %r", exc, exc_info=exc)
        screen, self._screen = self._screen, None
        try:
            if screen is not None:
                screen.close(None)
        except Exception as again:  # noqa: BLE001 - it failed before; there is nothing left to save
            log.debug("the screen could not be closed either: %r", again)

    def _look(self) -> Snapshot:
        progress = self._runner.progress()
        # Grouping failures reads the storage: only when there is a new one.
        if progress.failed != sum(cause.count for cause in self._failures):
            self._failures = self._runner.failures()
        return Snapshot(
            name=self._runner.name,
            progress=progress,
            active=self._runner.active(),
            failures=self._failures,
            stopping=self.stopping,
            local=self._local,
            lang=self._lang,
            worded=self._worded,
        )


def _screen() -> Screen:
    if is_lively(sys.stderr):
        try:
            return Picture()
        except ImportError as exc:
            log.debug("rich is not installed, so progress comes as lines: %s", exc)
    return Lines()


def _is_local(runner: Watched) -> bool:
    client = getattr(runner, "_client", None)
    return bool(client is not None and client.capabilities.local)
