"""Who holds a batch: what a lease says of its owner, and whether that owner is certainly dead."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs

from batchkit._errors import BatchBusyError

#: What the storages of this process hold: their token and the batch.
_held: set[tuple[str, int]] = set()


@attrs.frozen
class Holder:
    """The owner of a lease.

    Attributes:
        token: of its storage object.
        host: the name of its machine, for people.
        machine: what tells this boot of this machine, and its table of processes, from any other;
            empty where the system has no such thing.
        pid: its process.
        left: seconds until the lease ends; negative once it has.
    """

    token: str
    host: str
    machine: str
    pid: int
    left: float = 0.0

    def is_dead(self, batch_id: int) -> bool:
        """Whether it is certainly gone: a process of this machine that ended, or its storage."""
        if not self.machine or self.machine != this_machine():
            return False
        if self.pid == os.getpid():
            return (self.token, batch_id) not in _held
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            # It belongs to somebody else, so it lives.
            return False
        return False

    def busy(self, name: str) -> BatchBusyError:
        """The error of a second runner."""
        return BatchBusyError(
            f"another runner (process {self.pid} on {self.host}) works on batch {name!r}; its "
            f"lease lasts {max(0.0, self.left):.0f} s more unless it renews it: wait for it, stop "
            "it, or give this one another name"
        )


def this_process(token: str) -> Holder:
    """This process as the owner of leases."""
    return Holder(token, socket.gethostname(), this_machine(), os.getpid())


def this_machine() -> str:
    """Names this boot of this machine and its table of processes; empty where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def note_held(token: str, batch_id: int) -> None:
    """A storage of this process has taken a batch."""
    _held.add((token, batch_id))


def note_released(token: str, batch_id: int) -> None:
    """It has given it up, or tried to."""
    _held.discard((token, batch_id))
