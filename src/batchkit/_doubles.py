"""Submissions that are repeated although they may have been accepted: allowed, counted, priced."""

from __future__ import annotations

import logging

from batchkit._events import JobResubmitted
from batchkit.storage.base import Storage

log = logging.getLogger("batchkit.engine")

_PAGE = 1000


class Doubles:
    """What ``on_uncertain="resubmit"`` may still cost, and has cost at most.

    Args:
        storage: whose journal knows what earlier runs repeated.
        batch_id: the batch.
        limit: most that all repeats together may cost; ``None`` sets no limit.

    Attributes:
        count: repeats in this run.
        cost: what those with a known price cost at most, in this run.
    """

    def __init__(self, storage: Storage, batch_id: int, limit: float | None) -> None:
        self.count, self.cost = 0, 0.0
        self._storage, self._batch_id, self._limit = storage, batch_id, limit
        self._before: float | None = None

    def allow(self, risk: float | None) -> bool:
        """Whether one more may be repeated; if so, it is counted."""
        if not self._fits(risk):
            return False
        self.count += 1
        self.cost += risk or 0.0
        return True

    def _fits(self, risk: float | None) -> bool:
        if self._limit is None:
            return True
        if risk is None:
            log.warning("nobody knows what a repeat costs, so max_double_cost allows none")
            return False
        if self._before is None:
            self._before = self._earlier()
        return self._before + self.cost + risk <= self._limit

    def _earlier(self) -> float:
        """What earlier runs allowed: read once, and only where there is a limit."""
        total, since = 0.0, 0
        while page := self._storage.journal(self._batch_id, since, _PAGE):
            for entry in page:
                if entry.kind == JobResubmitted.kind and entry.data:
                    total += entry.data.get("risk") or 0.0
            since = page[-1].seq
        return total
