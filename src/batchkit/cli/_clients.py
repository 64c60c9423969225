"""From names on the command line, and from what a batch remembers, to clients."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from batchkit._codec import load_config
from batchkit._config import Batch
from batchkit._errors import UsageError
from batchkit.clients._load import is_name, names
from batchkit.clients.binding import bind_client, close_client
from batchkit.storage import Storage
from batchkit.ui._report import BUILT_IN

#: Recordings at the same time: each takes gigabytes of memory, and the model uses several cores.
TRANSCRIPTIONS = 2
_CORES_PER_WORKER = 4
#: Names that the public internet does not have.
_PRIVATE_NAMES = (".local", ".internal", ".localhost")


def make_client(
    spec: str, *, base_url: str | None = None, max_concurrent: int | None = None
) -> object:
    """The client that ``--client`` means.

    Args:
        spec: ``"whisper"``, ``"storyboard"``, the name of a provider, as ``"fal"``, or
            ``"package.module:factory"``.
        base_url: of the provider's API, or of a gateway.
        max_concurrent: transcriptions that will run at the same time.

    Raises:
        UsageError: there is no such client, or it cannot be made.
    """
    if base_url is not None:
        spec = _at(spec, base_url)
    if spec == "whisper":
        return _whisper(max_concurrent or TRANSCRIPTIONS)
    if spec == "storyboard":
        from batchkit.clients.storyboard import StoryboardClient

        # The class: each run makes one and closes it, which removes its temporary files.
        return StoryboardClient
    if is_name(spec):
        return _can_be_made(spec)
    if ":" not in spec:
        raise UsageError(
            f"client {spec!r} is not known: choose one of {', '.join(names())}, or "
            "package.module:factory"
        )
    return _foreign(spec)


def _at(spec: str, base_url: str) -> str:
    name = spec.partition("@")[0]
    if not is_name(name) or name in BUILT_IN.values():
        raise UsageError(f"--base-url is for providers by their names, and {name!r} is none")
    return f"{name}@{base_url}"


def _can_be_made(spec: str) -> str:
    try:
        # Only to see: each run makes one of its own, in its own event loop.
        close_client(bind_client(spec))
    except UsageError:
        raise
    except Exception as exc:
        # Whatever a foreign module raises on import is the user's to repair, not a crash of ours.
        raise UsageError(f"client {spec!r} cannot be made: {type(exc).__name__}: {exc}") from exc
    return spec


def _whisper(max_concurrent: int) -> object:
    from batchkit.clients.whisper import FasterWhisperClient

    cores = os.cpu_count() or 1
    workers = max(1, min(max_concurrent, cores // _CORES_PER_WORKER))
    return FasterWhisperClient(num_workers=workers)


def is_near(base_url: str) -> bool:
    """Whether an address is of this machine or of a private network, so that results may be too."""
    host = urlsplit(base_url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)


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
    return _can_be_made(spec)


def client_of(
    batch: Batch,
    spec: str | None,
    *,
    base_url: str | None = None,
    max_concurrent: int | None = None,
) -> object:
    """The client that a stored batch was run with, or the one that was asked for instead.

    Raises:
        UsageError: the batch does not tell; ``--client`` has to.
    """
    if spec is not None:
        return make_client(spec, base_url=base_url, max_concurrent=max_concurrent)
    if batch.client_ref in BUILT_IN:
        limit = max_concurrent or batch.max_concurrent
        built_in = BUILT_IN[batch.client_ref]
        return make_client(built_in, base_url=base_url, max_concurrent=limit)
    named = load_config(batch.config).client_name
    if named is not None:
        return _again(batch, named, base_url)
    if not batch.client_ref:
        raise UsageError(
            f"batch {batch.name!r} was never run, so it names no client: say which with --client"
        )
    raise UsageError(
        f"batch {batch.name!r} was run with {batch.client_ref}, which this command cannot make by "
        "itself: add --client with the name of a provider, or package.module:factory"
    )


def _again(batch: Batch, named: str, base_url: str | None) -> object:
    if is_name(named):
        return make_client(named, base_url=base_url)
    try:
        return make_client(named, base_url=base_url)
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
