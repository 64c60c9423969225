"""What a runner needs before it exists: a stored batch, its options, and the output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from batchkit._codec import load_config
from batchkit._config import Batch, BatchConfig
from batchkit._errors import UsageError
from batchkit.artifacts import ArtifactStore, Limits, LocalFolder
from batchkit.storage import Storage, open_storage
from batchkit.storage.postgres import is_url


def stored_batch(storage: str | Path | Storage, name: str | None) -> tuple[Storage, Batch]:
    """Opens a storage, and finds a batch in it.

    Args:
        storage: where it is.
        name: of the batch; not needed when the storage holds only one.

    Raises:
        UsageError: there is no such file or batch, or several and no name.
        StorageError: the storage cannot be used.
    """
    ours = isinstance(storage, (str, Path))
    a_file = ours and not (storage == "memory" or is_url(storage))
    if a_file and not Path(str(storage)).exists():
        raise UsageError(f"there is no batch storage at {storage}: check the path")
    opened = open_storage(storage)
    try:
        return opened, _find(opened, name)
    except BaseException:
        if ours:
            opened.close()
        raise


def _find(storage: Storage, name: str | None) -> Batch:
    names = [batch.name for batch in storage.batches()]
    found = storage.find_batch(_only(names, storage.location) if name is None else name)
    if found is None:
        known = ", ".join(names) or "none"
        raise UsageError(f"{storage.location} has no batch {name!r}; it has: {known}")
    return found


def _only(names: list[str], location: str) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"{location} has no batch yet: add jobs and run it first")
    raise UsageError(f"{location} has several batches: name one of {', '.join(sorted(names))}")


def stored_options(batch: Batch) -> dict[str, Any]:
    """The options that a batch was run with; a replaced policy is code, and is not among them."""
    stored = load_config(batch.config)
    names = {field.name for field in attrs.fields(BatchConfig)} - {"retry"}
    return {name: getattr(stored, name) for name in names}


def output_folder(
    config: BatchConfig, hook: Callable[[str], object] | None
) -> ArtifactStore | None:
    """Where results are delivered, when the configuration asks for files.

    Raises:
        UsageError: the template or a format cannot work.
    """
    if config.output is None:
        return None
    return LocalFolder(
        config.output,
        template=config.template,
        formats=config.formats,
        limits=Limits(
            seconds=config.collect_timeout,
            max_bytes=config.max_download_bytes,
            allow_private=config.allow_private_downloads,
        ),
        hook=hook,
    )
