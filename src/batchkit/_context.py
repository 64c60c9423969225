"""What code running inside a call may tell the pipeline, without knowing which job it serves."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

#: Set by the scheduler in the context of each flow.
progress_sink: ContextVar[Callable[[float], None] | None] = ContextVar(
    "progress_sink", default=None
)


class WorkCanceledError(BaseException):
    """Ends local work that somebody asked to cancel.

    It is a ``BaseException`` so that a client's broad ``except Exception`` does not swallow it.
    """


def report_progress(fraction: float) -> None:
    """Tells how far the current job is; call it from inside a client's ``submit``.

    Outside a run it does nothing.

    Args:
        fraction: 0 to 1; other values are clipped.

    Raises:
        WorkCanceledError: somebody asked for the end of this job; let it pass through.
    """
    sink = progress_sink.get()
    if sink is not None:
        sink(min(1.0, max(0.0, fraction)))


class GivenUp:
    """Tells a call on a thread that nobody waits for it any more, so that it may end early."""

    def __init__(self) -> None:
        self.flag = False


#: Set by executors in the context of each download.
given_up: ContextVar[GivenUp | None] = ContextVar("given_up", default=None)


def is_given_up() -> bool:
    """Whether the call that runs here has missed its time-out, or its run is over."""
    call = given_up.get()
    return call is not None and call.flag
