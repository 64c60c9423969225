"""Adding jobs to a batch, from whatever users have; and who is called when one has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from batchkit._adding import Added, Adder
from batchkit._batch_steering import BatchSteering
from batchkit._bus import Bus, Subscription
from batchkit._calls import Clock
from batchkit._config import Batch, BatchConfig
from batchkit._errors import UsageError
from batchkit._events import TERMINAL_EVENTS
from batchkit._jobs import Job
from batchkit._requests import Request
from batchkit.clients.base import BoundClient
from batchkit.sources import find_media, read_prompts, read_text
from batchkit.storage import Storage


class BatchAdding(BatchSteering):
    """A batch that jobs can be added to."""

    def __init__(
        self,
        storage: Storage,
        batch: Batch,
        clock: Clock,
        config: BatchConfig,
        client: BoundClient | None,
    ) -> None:
        super().__init__(storage, batch, clock)
        self.config, self._client = config, client
        self.bus = Bus()

    def add(
        self,
        prompt: str | Request | Mapping[str, Any],
        *,
        language: str | None = None,
        key: str | None = None,
        priority: int = 0,
        metadata: Mapping[str, Any] | None = None,
        on_done: Callable[[Job], object] | None = None,
        **fields: Any,
    ) -> Job:
        """Adds one job, or finds the one that is there already.

        Args:
            prompt: a text, a request, or a mapping with a request's fields.
            language: of the prompt; by default the batch's.
            key: makes it unique; by default its content does.
            priority: higher goes first.
            metadata: facts of yours, usable in file names.
            on_done: called with the job when it has ended.
            fields: of the request, as ``duration=5``.

        Raises:
            UsageError: the request cannot work; nothing was added.
        """
        row: Any = prompt
        extra = {"language": language, "key": key, **fields}
        given = {name: value for name, value in extra.items() if value is not None}
        if isinstance(prompt, Request):
            changes = {name: value for name, value in given.items() if name != "key"}
            row = attrs.evolve(prompt, **changes)
        added = self._adder().add(
            [row], self.clock.time(), priority=priority, metadata=metadata, **given
        )
        if added.empty:
            raise UsageError("the prompt is empty: give it a text")
        if on_done is not None:
            self._call_when_done(added.ids[0], on_done)
        self._on_change()
        return self.job(added.ids[0])

    def _call_when_done(self, job_id: int, on_done: Callable[[Job], object]) -> None:
        # Subscribed first: it may end between a look at it and the subscription.
        once = _Once(on_done)
        remove = self.bus.subscribe(Subscription(TERMINAL_EVENTS, once, job_id=job_id))
        job = self.job(job_id)
        if job.done:
            remove()
            once(job)

    def add_text(self, text: str, *, delimiter: str = "\n", **defaults: Any) -> Added:
        """Adds one job per piece of a pasted text.

        Args:
            text: prompts.
            delimiter: what separates them.
            defaults: request fields for all of them, ``priority``, ``metadata``.
        """
        return self.add_many(read_text(text, delimiter=delimiter), **defaults)

    def add_many(self, rows: Iterable[Any], **defaults: Any) -> Added:
        """Adds texts, requests or mappings; a lazy iterable is read in chunks.

        Args:
            rows: anything that :meth:`add` takes, or the records of a DataFrame.
            defaults: request fields for rows that lack them, ``priority``, ``metadata``.

        Raises:
            UsageError: a row cannot work. Rows before its chunk were added; running again goes on.
        """
        added = self._adder().add(rows, self.clock.time(), **defaults)
        self._on_change()
        return added

    def add_files(self, *paths: str | Path, **defaults: Any) -> Added:
        """Adds one transcription per media file.

        Args:
            paths: files, folders and glob patterns.
            defaults: ``language``, ``model``, ``params``, ``priority``, ``metadata``.

        Raises:
            UsageError: a path is missing, or holds no media.
        """
        return self.add_many(
            ({"kind": "transcribe", "source": str(path)} for path in find_media(*paths)), **defaults
        )

    def add_prompts(self, path: str | Path, **defaults: Any) -> Added:
        """Adds the prompts of a ``.txt``, ``.csv`` or ``.jsonl`` file.

        Raises:
            UsageError: the file, or a line of it, cannot be read.
        """
        return self.add_many(read_prompts(path), **defaults)

    def _adder(self) -> Adder:
        return Adder(self.storage, self._batch.id, self.config, self._client)


@attrs.define
class _Once:
    """Passes on the first of several calls."""

    callback: Callable[[Job], object]
    called: bool = False
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def __call__(self, job: Job) -> object:
        with self.lock:
            first, self.called = not self.called, True
        return self.callback(job) if first else None
