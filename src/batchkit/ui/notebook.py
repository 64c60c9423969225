"""A batch in a Jupyter notebook: one output that renews itself. Needs nothing but the notebook."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import uuid
from typing import Any, Protocol, Self

log = logging.getLogger("batchkit.ui")


class Shows(Protocol):
    """A :class:`~batchkit.BatchRunner` or a :class:`~batchkit.BatchHandle`."""

    def _repr_html_(self) -> str: ...


def show(target: Shows, *, interval: float = 0.5) -> Shown:
    """Shows a batch below the cell, and renews it while the batch runs.

    A handle is renewed until its run has ended; a runner as long as a ``with`` block lasts::

        show(runner.start())

        with show(runner):
            runner.run()

    Outside a notebook one plain line is written instead.

    Args:
        target: a runner, or what :meth:`~batchkit.BatchRunner.start` returned.
        interval: seconds between two looks.
    """
    shown = Shown(target, interval)
    if callable(getattr(target, "done", None)):
        shown.start()
    return shown


class Shown:
    """What is shown; a context manager that renews it."""

    def __init__(self, target: Shows, interval: float) -> None:
        self._target, self._interval = target, interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="batchkit-notebook", daemon=True)
        self._id = uuid.uuid4().hex
        self._display = _display()
        self._draw(update=False)

    def start(self) -> None:
        """Renews it from now on; harmless when it does already."""
        if self._display is not None and self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Renews it a last time."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _ipython_display_(self) -> None:
        # It is below the cell already; as the cell's value it shall not appear again.
        return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _renew(self) -> None:
        ended = False
        while not ended:
            # Asked before drawing, so that the last picture is of the end.
            ended = self._over.wait(self._interval) or self._done()
            if not self._draw(update=True):
                return

    def _done(self) -> bool:
        done = getattr(self._target, "done", None)
        return bool(done()) if callable(done) else False

    def _draw(self, *, update: bool) -> bool:
        """Whether it worked."""
        try:
            if self._display is None:
                sys.stderr.write(f"{self._target!r}\n")
            else:
                html = {"text/html": self._target._repr_html_(), "text/plain": repr(self._target)}
                self._display(html, raw=True, display_id=self._id, update=update)
        except Exception as exc:  # noqa: BLE001 - a picture must not end work that is being paid for
            log.warning("the batch is not shown any more, the run goes on: %r", exc)
            return False
        return True


def _display() -> Any:
    """IPython's function, if this program runs inside IPython."""
    if "IPython" not in sys.modules:
        return None
    running = importlib.import_module("IPython").get_ipython()
    return importlib.import_module("IPython.display").display if running is not None else None
