"""From what users have (texts, rows, files) to jobs with an identity."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from anyio.from_thread import start_blocking_portal

from batchkit._config import BatchConfig
from batchkit._errors import UsageError
from batchkit._requests import GenerateVideo, Request, dump_request, identity_of
from batchkit._results import EMPTY
from batchkit.clients.base import BoundClient
from batchkit.sources import Row, clean_prompt, to_request
from batchkit.storage.base import NewJob, Storage

#: Jobs per transaction while adding.
CHUNK = 1000


@attrs.frozen
class Added:
    """What an addition did.

    Attributes:
        new: jobs that were not there.
        existing: jobs that were there already; nothing was changed about them.
        empty: lines without content, left out.
        ids: of these jobs, new and existing, in the order in which they were given.
    """

    new: int = 0
    existing: int = 0
    empty: int = 0
    ids: Sequence[int] = attrs.field(default=(), repr=False, eq=False)


class Adder:
    """Numbers equal items of one call, checks them, and stores them in chunks.

    Equal items of one call are #0, #1, …: the second of two equal lines is another job, while the
    same call made again finds both and adds nothing.
    """

    def __init__(
        self, storage: Storage, batch_id: int, config: BatchConfig, client: BoundClient | None
    ) -> None:
        self._storage, self._batch_id, self._config, self._client = (
            storage,
            batch_id,
            config,
            client,
        )
        self._seen: Counter[str] = Counter()

    def add(self, rows: Iterable[Any], now: float, **defaults: Any) -> Added:
        """Stores what is new.

        Args:
            rows: texts, mappings or requests.
            now: UTC seconds.
            defaults: request fields, ``priority`` and ``metadata`` for rows that have none.
        """
        new, empty, ids = 0, 0, array("q")
        for chunk in _chunks(rows):
            items = [self._item(row, defaults) for row in chunk]
            kept = [item for item in items if item is not None]
            done = self._storage.add(self._batch_id, kept, now)
            new += sum(1 for _, fresh in done if fresh)
            empty += len(items) - len(kept)
            ids.extend(job_id for job_id, _ in done)
        return Added(new, len(ids) - new, empty, ids)

    def check(self, rows: Iterable[Any], **defaults: Any) -> int:
        """How many jobs :meth:`add` would find in these rows; stores nothing.

        Raises:
            UsageError: a row cannot work.
        """
        return sum(self._item(row, defaults) is not None for row in rows)

    def _item(self, row: Any, defaults: Mapping[str, Any]) -> NewJob | None:
        if type(row) is str and not defaults:
            # Most rows are texts; taking them apart as tables are costs more than storing them.
            request: Request = GenerateVideo(prompt=row, language=self._config.language)
            metadata, key, priority = EMPTY, None, 0
        else:
            found = to_request(_with_defaults(row, defaults), language=self._config.language)
            request, metadata, key, priority = found
        if isinstance(request, GenerateVideo):
            prompt = clean_prompt(request.prompt, max_length=self._config.max_prompt_length)
            if not prompt:
                return None
            if prompt != request.prompt:
                request = attrs.evolve(request, prompt=prompt)
        self._check(request)
        stored = dump_request(request)
        return NewJob(
            identity=self._identity(defaults.get("key") if key is None else key, stored),
            request=request,
            stored=stored,
            priority=priority or defaults.get("priority", 0),
            metadata=metadata or defaults.get("metadata") or EMPTY,
        )

    def _identity(self, key: str | None, stored: str) -> str:
        if key is not None:
            return f"key:{key}"
        identity = identity_of(stored)
        number = self._seen[identity]
        self._seen[identity] += 1
        return identity if number == 0 else f"{identity}#{number}"

    def _check(self, request: Request) -> None:
        check = self._client.check if self._client is not None else None
        if check is None:
            return
        if check.is_async:
            with start_blocking_portal() as portal:
                portal.call(check.fn, request)
        else:
            check.fn(request)


def _with_defaults(row: Any, defaults: Mapping[str, Any]) -> Any:
    """Request fields from the call's keywords, where the row itself has none."""
    fields = {
        k: v for k, v in defaults.items() if k not in ("priority", "metadata") and v is not None
    }
    if not fields or isinstance(row, Request):
        return row
    if isinstance(row, str):
        return {"prompt": row, **fields}
    if isinstance(row, Mapping):
        return {**fields, **row}
    if isinstance(row, Row):
        return attrs.evolve(row, fields={**fields, **row.fields})
    raise UsageError(f"{type(row).__name__} is not a prompt, a mapping or a request")


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk
