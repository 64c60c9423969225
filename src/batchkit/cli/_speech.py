"""What the library logs, as lines that people read."""

from __future__ import annotations

import logging
import sys

import click

from batchkit import _signals
from batchkit._i18n import text
from batchkit.cli._language import language_of
from batchkit.cli._options import verbose
from batchkit.cli._wording import worded
from batchkit.ui._lines import clean, say
from batchkit.ui.terminal import Display

_DISPLAY = "batchkit.display"
_VERBOSE = logging.Formatter("%(levelname)s %(name)s: %(message)s")
_INTERRUPTS = {says: f"interrupt_{count}" for count, says in _signals._SAYS.items()}


def watch(ctx: click.Context, display: Display | None) -> None:
    """Lets *display* know when the run is being interrupted."""
    ctx.meta[_DISPLAY] = display


class LogLines(logging.Handler):
    """Writes warnings to standard error, above the progress; everything with ``--verbose``."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__()
        self._ctx = ctx

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; what the logging module does with a fault of this, it does."""
        try:
            # Not click.echo: this may run inside a signal handler and on any thread.
            say(sys.stderr, self._line(record))
        except Exception:  # noqa: BLE001 - the way of all logging handlers
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        lang = language_of(self._ctx)
        message = record.getMessage()
        if (key := _INTERRUPTS.get(message)) is not None:
            display = self._ctx.meta.get(_DISPLAY)
            if display is not None:
                display.stopping = True
            return text(key, lang)
        if verbose(self._ctx):
            return _VERBOSE.format(record)
        key = "error" if record.levelno >= logging.ERROR else "warning"
        return f"{text(key, lang)}: {clean(worded(message, lang))}"
