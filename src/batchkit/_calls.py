"""One call of a client's method, from the flow that wants it to whoever runs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

import attrs

from batchkit._context import WorkCanceledError
from batchkit._errors import OutcomeUnknownError
from batchkit._io import CrashError, Lane
from batchkit.clients.base import Method

#: What a client raises that is raised again, as it is, in the flow that waits for it.
PASSED = (Exception, WorkCanceledError, KeyboardInterrupt, CrashError)


def contained(exc: BaseException) -> OutcomeUnknownError:
    """What stands for every other exception: a client that exits must not take others along."""
    return OutcomeUnknownError(f"the client raised {type(exc).__name__}: {exc}")


@attrs.define(eq=False)
class Call:
    """A call that an executor runs, and the outcome that it delivers.

    Attributes:
        method: what to call.
        args: with what.
        lane: which threads run it, where threads do.
        context: the context variables that it sees.
        deliver: called once with the call itself, from any thread, when it has an outcome.
        cancel: set by an executor that can end it early.
        withdraw: set by an executor that queues: takes it back, if it has not begun.
        due: UTC seconds at which what it brings expires; the soonest goes first.
        queued: it waits for a thread, and its time-out has not begun.
        done: whether there is an outcome.
    """

    method: Method
    args: tuple[Any, ...]
    lane: Lane
    context: Context
    deliver: Callable[[Call], None]
    cancel: Callable[[Call], None] | None = None
    withdraw: Callable[[], bool] | None = None
    due: float = math.inf
    queued: bool = False
    value: Any = None
    error: BaseException | None = None
    done: bool = False

    def execute(self) -> None:
        """Calls a plain method here and now, and keeps whatever comes of it."""
        try:
            self.value = self.context.run(self.method.fn, *self.args)
        except PASSED as exc:
            self.error = exc
        except BaseException as exc:  # noqa: BLE001 - told to the flow that waits for it
            self.error = contained(exc)
        self.done = True

    def run(self) -> None:
        """As :meth:`execute`, and delivers: what a worker thread does."""
        self.execute()
        self.deliver(self)

    def finish(self, value: Any, error: BaseException | None) -> None:
        """Takes an outcome from elsewhere, and delivers."""
        self.value, self.error, self.done = value, error, True
        self.deliver(self)

    def outcome(self) -> Any:
        """The value, or the exception raised."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                # The traceback refers to this frame: without this the call would never be freed.
                self.error = None
        return self.value


class Calls(Protocol):
    """Where calls run: what one executor differs in from the next."""

    @property
    def in_place(self) -> bool:
        """Whether calls run in the engine's own thread, which they hold up."""
        ...

    def start(self, call: Call) -> bool:
        """Runs *call*: at once, then ``True``; or elsewhere, and it delivers when it is done."""
        ...


class Clock(Protocol):
    """Time. Intervals are monotonic; what is stored is UTC."""

    def time(self) -> float:
        """UTC seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def skip(self, seconds: float | None) -> bool:
        """Moves a fake clock on by *seconds* and answers ``True``; a real one answers ``False``.

        ``None`` means that nothing is due: a fake clock answers ``False`` too.
        """
        ...
