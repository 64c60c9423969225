"""What a fork must not copy into the child: files whose locks belong to one process."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from batchkit._errors import StorageError


def forked(location: str, backend: str) -> StorageError:
    """The error of a child that uses what its parent opened."""
    return StorageError(
        f"{location} was opened before this process was forked, which no lock survives: open it "
        f"anew here, with {backend}({location!r})"
    )


class Inherited(Protocol):
    """Something that a forked child would get a copy of."""

    def before_fork(self) -> None:
        """In the parent: no thread may be in the middle of using it while it forks."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """In the parent, or in the child, once it has forked."""
        ...


_known: weakref.WeakSet[Inherited] = weakref.WeakSet()
#: Held by the thread that forks.
_forking = threading.Lock()
_told: list[Inherited] = []


def watch_forks(thing: Inherited) -> None:
    """Tells *thing* of every fork, as long as it lives."""
    _known.add(thing)


def _before() -> None:
    _forking.acquire()
    for thing in list(_known):
        thing.before_fork()
        _told.append(thing)


def _after(*, child: bool) -> None:
    while _told:
        _told.pop().after_fork(child=child)
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(child=False),
        after_in_child=lambda: _after(child=True),
    )
