"""Groups failed jobs by cause, for backends that cannot leave it to a query."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from batchkit._jobs import Job
from batchkit.storage.base import Failures


def causes_of(jobs: Iterable[Job]) -> list[Failures]:
    """Failed jobs by kind and code (or message), the most frequent first."""
    found: dict[tuple[str, str], Failures] = {}
    for job in jobs:
        error = job.error
        key = (error.kind, error.code or error.message) if error else (job.status, "")
        seen = found.get(key)
        if seen is not None:
            found[key] = attrs.evolve(seen, count=seen.count + 1)
        else:
            message, remedy = (error.message, error.remedy) if error else ("", None)
            found[key] = Failures(key[0], message, remedy, 1, job.id)
    return sorted(found.values(), key=lambda cause: (-cause.count, cause.example))
