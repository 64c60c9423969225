"""From names on the command line, and from what a batch remembers, to clients."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchkit._codec import load_config
from batchkit._config import Batch
from batchkit._errors import UsageError
from batchkit.clients.binding import bind_client, close_client
from batchkit.storage import Storage
from batchkit.ui._report import BUILT_IN

#: Recordings at the same time: each takes gigabytes of memory, and the model uses several cores.
TRANSCRIPTIONS = 2
_CORES_PER_WORKER = 4


def make_client(spec: str, *, max_concurrent: int | None = None) -> object:
    """The client that ``--client`` means.

    Args:
        spec: ``"whisper"``, ``"storyboard"`` or ``"package.module:factory"``.
        max_concurrent: transcriptions that will run at the same time.

    Raises:
        UsageError: there is no such client, or it cannot be made.
    """
    if spec == "whisper":
        return _whisper(max_concurrent or TRANSCRIPTIONS)
    if spec == "storyboard":
        from batchkit.clients.storyboard import StoryboardClient

        # The class: each run makes one and closes it, which removes its temporary files.
        return StoryboardClient
    if ":" not in spec:
        raise UsageError(
            f"client {spec!r} is not known: choose whisper, storyboard, or package.module:factory"
        )
    return _foreign(spec)


def _whisper(max_concurrent: int) -> object:
    from batchkit.clients.whisper import FasterWhisperClient

    cores = os.cpu_count() or 1
    workers = max(1, min(max_concurrent, cores // _CORES_PER_WORKER))
    return FasterWhisperClient(num_workers=workers)


def model_is_here(model: str | None) -> bool:
    """Whether a Whisper model need not be downloaded; reads nothing but a folder's list.

    Raises:
        UsageError: there is no such model.
    """
    from faster_whisper import download_model

    from batchkit.clients.whisper import _choose

    target = _choose(model).target
    if Path(target).is_dir():
        return True
    try:
        download_model(target, local_files_only=True)
    except (OSError, ValueError):
        # What the hub's own library raises for what it has not stored.
        return False
    return True


def _foreign(spec: str) -> str:
    # A program that is not installed lies in the current folder; scripts start without it.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        # Only to see that it can be made: each run makes one of its own.
        close_client(bind_client(spec))
    except UsageError:
        raise
    except Exception as exc:
        # Whatever a foreign module raises on import is the user's to repair, not a crash of ours.
        raise UsageError(f"client {spec!r} cannot be made: {type(exc).__name__}: {exc}") from exc
    return spec


def client_of(batch: Batch, spec: str | None, *, max_concurrent: int | None = None) -> object:
    """The client that a stored batch was run with.

    Raises:
        UsageError: the batch does not tell; ``--client`` has to.
    """
    if spec is not None:
        return make_client(spec, max_concurrent=max_concurrent)
    if batch.client_ref in BUILT_IN:
        limit = max_concurrent or batch.max_concurrent
        return make_client(BUILT_IN[batch.client_ref], max_concurrent=limit)
    named = load_config(batch.config).client_name
    if named is not None:
        return _again(batch, named)
    if not batch.client_ref:
        raise UsageError(
            f"batch {batch.name!r} was never run, so it names no client: say which with --client"
        )
    raise UsageError(
        f"batch {batch.name!r} was run with {batch.client_ref}, which this command cannot make by "
        "itself: add --client package.module:factory"
    )


def _again(batch: Batch, named: str) -> object:
    try:
        return make_client(named)
    except UsageError as exc:
        raise UsageError(
            f"client {named!r}, with which batch {batch.name!r} was run, cannot be made here "
            f"({exc}): run this in the folder where it lies, or say another one with --client"
        ) from exc


def refuse_other_client(storage: Storage, name: str, client: object) -> None:
    """Refuses to go on with somebody else's batch: what it has completed would be taken for done.

    Raises:
        UsageError: the batch was run with another kind of client.
    """
    batch = storage.find_batch(name)
    if batch is None or not batch.client_ref:
        return
    bound = bind_client(client)
    close_client(bound)
    ref = bound.ref
    if ref.partition("@")[0] != batch.client_ref.partition("@")[0]:
        raise UsageError(
            f"batch {name!r} was run with {batch.client_ref}, not with {ref}: give this work "
            "another --output or --name"
        )
