"""The half of the PostgreSQL storage that only reads: one query each, and no transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchkit._codec import load_result
from batchkit._config import Batch
from batchkit._errors import JobNotFoundError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage import _postgres_queries as sql
from batchkit.storage import _postgres_rows as rows
from batchkit.storage._journal import attempts_from, handle_from
from batchkit.storage.base import Entry, Failures

if TYPE_CHECKING:
    from batchkit.storage._postgres_db import Database

_PAGE = 500


class Reading:
    """What can be asked of a database."""

    _db: Database

    # -- batches ---------------------------------------------------------------------------

    def find_batch(self, name: str) -> Batch | None:
        found = self._db.read(sql.FIND_BATCH, rows.plain(name))
        return rows.batch_from(found[0]) if found else None

    def batches(self) -> Sequence[Batch]:
        return [rows.batch_from(row) for row in self._db.read(sql.BATCHES)]

    # -- jobs ------------------------------------------------------------------------------

    def next_due(self, batch_id: int, now: float) -> float | None:
        due: float | None = self._db.read(sql.NEXT_DUE, batch_id, now)[0][0]
        return due

    def cancel_requests(self, batch_id: int) -> Collection[int]:
        return {row[0] for row in self._db.read(sql.CANCEL_REQUESTS, batch_id)}

    def get(self, job_id: int) -> Job | None:
        return self._one(sql.GET, job_id)

    def find(self, batch_id: int, identity: str) -> Job | None:
        return self._one(sql.FIND, batch_id, rows.key_of(identity)[0])

    def _one(self, text: str, *values: Any) -> Job | None:
        found = self._db.read(text, *values)
        return rows.job_from(found[0][:-1], found[0][-1]) if found else None

    def jobs(
        self, batch_id: int, statuses: Collection[JobStatus] | None = None, *, results: bool = False
    ) -> Iterator[Job]:
        wanted = None if statuses is None else [str(status) for status in statuses]
        text = sql.JOBS_WITH_RESULTS if results else sql.JOBS
        last = -1
        while True:
            found = self._db.read(text, batch_id, last, wanted, wanted, _PAGE)
            for row in found:
                yield rows.job_from(row[:-1], row[-1])
            if len(found) < _PAGE:
                return
            last = found[-1][2]

    def result(self, job_id: int) -> JobResult | None:
        found = self._db.read(sql.RESULT, job_id)
        return load_result(found[0][0]) if found else None

    def counts(self, batch_id: int) -> Mapping[JobStatus, int]:
        return {JobStatus(status): n for status, n in self._db.read(sql.COUNTS, batch_id)}

    def cost(self, batch_id: int) -> float | None:
        found = self._db.read(sql.COST, batch_id)
        return found[0][0] if found else None

    def failures(self, batch_id: int) -> Sequence[Failures]:
        return [rows.failures_from(*row) for row in self._db.read(sql.FAILURES, batch_id)]

    # -- journal ---------------------------------------------------------------------------

    def journal(self, batch_id: int, since: int = 0, limit: int = 1000) -> Sequence[Entry]:
        found = self._db.read(sql.READ_JOURNAL, batch_id, since, limit)
        return [rows.entry_from(row) for row in found]

    def attempts(self, job_id: int) -> Sequence[Attempt]:
        owner = self._db.read(sql.OWNER, job_id)
        if not owner:
            raise JobNotFoundError(f"there is no job {job_id}")
        uid, index, batch_id = owner[0]
        found = self._db.read(sql.ATTEMPTS, batch_id, job_id)
        return attempts_from([rows.entry_from(row) for row in found], uid, index)

    def evidence(self, job_id: int, attempt: int) -> Handle | None:
        return handle_from(self._handles(job_id), attempt)

    def _handles(self, job_id: int) -> list[Entry]:
        return [rows.entry_from(row) for row in self._db.read(sql.EVIDENCE, job_id)]
