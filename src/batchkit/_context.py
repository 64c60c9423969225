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
