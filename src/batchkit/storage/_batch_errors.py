"""Why a storage refuses a batch; the same words for every backend."""

from __future__ import annotations

import os

from batchkit._errors import BatchBusyError, StorageError


def busy(name: str, owner: str) -> BatchBusyError:
    """The error of a second runner."""
    who = "another runner of this program" if owner == str(os.getpid()) else "another runner"
    where = "" if owner in ("unknown", str(os.getpid())) else f" (process {owner})"
    return BatchBusyError(
        f"{who}{where} works on batch {name!r}: wait for it, stop it, or give this one another name"
    )


def gone(batch_id: int) -> StorageError:
    """The error of a batch that is not there any more."""
    return StorageError(
        f"batch {batch_id} is gone: it was pruned since it was opened; open it again by its name"
    )
