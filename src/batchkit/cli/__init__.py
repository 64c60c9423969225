"""The command ``batchkit``. Needs the extra ``cli``; only :func:`main` can be used without it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import NoReturn

from batchkit._errors import MissingExtraError
from batchkit._i18n import text
from batchkit._summary import ExitCode
from batchkit._wording import translated

#: Seconds that the end of the process waits for calls that were left behind.
_FAREWELL = 1.0


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line, and ends the process with an :class:`~batchkit.ExitCode`.

    Args:
        args: the words after the program's name; by default those it was called with.
    """
    try:
        from batchkit.cli._app import cli
    except KeyboardInterrupt:
        leave(ExitCode.INTERRUPTED)
    except ImportError as exc:
        if (exc.name or "").partition(".")[0] != "click":
            raise
        message = translated(str(MissingExtraError("the command line", "cli")))
        sys.stderr.write(f"{text('error')}: {message}\n")
        leave(ExitCode.USAGE)
    try:
        cli.main(args=None if args is None else list(args), prog_name="batchkit")
    except KeyboardInterrupt:
        # Outside of a command, as while its modules are read: nothing was started.
        leave(ExitCode.INTERRUPTED)
    except SystemExit as exc:
        leave(exc.code if isinstance(exc.code, int) else 1)
    leave(ExitCode.DONE)


def leave(code: int) -> NoReturn:
    """Ends the process, even if a thread is stuck in a call that nobody waits for any more."""
    deadline = time.monotonic() + _FAREWELL
    try:
        for thread in _others():
            thread.join(max(0.0, deadline - time.monotonic()))
    except KeyboardInterrupt:
        # Somebody is in a hurry, and everything that had to be saved is.
        code = ExitCode.INTERRUPTED
    if not _others():
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        # Nobody reads it any more, or it is closed: there is nobody to tell either.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # The interpreter would wait for such threads, perhaps for ever.
    os._exit(code)


def _others() -> list[threading.Thread]:
    here = threading.current_thread()
    return [t for t in threading.enumerate() if t is not here and not t.daemon]
