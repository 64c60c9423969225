"""Everything that can be asked of a stored batch, whether or not it runs here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from batchkit._calls import Clock
from batchkit._config import Batch, Control
from batchkit._doubt import Doubt
from batchkit._errors import JobNotFoundError
from batchkit._events import Event
from batchkit._i18n import text
from batchkit._jobs import Attempt, Job, JobStatus
from batchkit._wording import translated
from batchkit.storage._journal import event_class, make_event
from batchkit.storage.base import Entry, Failures, Storage

_S = JobStatus
_JOURNAL_PAGE = 500


class BatchView:
    """A batch in a storage, to be read. Works from any process and any thread."""

    def __init__(self, storage: Storage, batch: Batch, clock: Clock) -> None:
        self.storage = storage
        self._batch, self.clock = batch, clock

    @property
    def batch(self) -> Batch:
        """The record of the batch, as it is now."""
        return self.storage.find_batch(self._batch.name) or self._batch

    @property
    def name(self) -> str:
        """The name of the batch."""
        return self._batch.name

    # -- reading -----------------------------------------------------------------------------

    def job(self, job: Job | int) -> Job:
        """The record of one job, as it is now, with its result.

        Raises:
            JobNotFoundError: the batch has no such job.
        """
        job_id = job if isinstance(job, int) else job.id
        found = self.storage.get(job_id)
        if found is None or found.batch_id != self._batch.id:
            raise JobNotFoundError(f"batch {self.name!r} has no job {job_id}")
        return found

    def jobs(self, status: JobStatus | str | Collection[JobStatus] | None = None) -> Iterator[Job]:
        """Jobs in order of their index, read in pages; without results (see :meth:`job`).

        Args:
            status: only these; a status, its value, or several.
        """
        wanted = {JobStatus(status)} if isinstance(status, str) else status
        return self.storage.jobs(self._batch.id, wanted)

    def pending(self) -> Iterator[Job]:
        """Jobs that wait for their turn."""
        return self.jobs(_S.PENDING)

    def uncertain(self) -> list[Doubt]:
        """Submissions that nobody can vouch for, by cause: what a person has to decide.

        Each says what to look for at the provider; then :meth:`~batchkit.BatchRunner.resolve`.
        """
        causes: dict[str, list[Job]] = {}
        for job in self.jobs(_S.UNCERTAIN):
            causes.setdefault(_cause(job), []).append(job)
        found = [Doubt(cause=cause, jobs=tuple(jobs)) for cause, jobs in causes.items()]
        return sorted(found, key=lambda doubt: -len(doubt.jobs))

    def counts(self) -> Mapping[JobStatus, int]:
        """Jobs by status. While the batch is paused, pending jobs are shown as paused."""
        counts = dict(self.storage.counts(self._batch.id))
        if self.batch.control is Control.PAUSED and counts.get(_S.PENDING):
            counts[_S.PAUSED] = counts.get(_S.PAUSED, 0) + counts.pop(_S.PENDING)
        return counts

    def failures(self) -> list[Failures]:
        """Failed jobs grouped by cause, the most frequent first."""
        return list(self.storage.failures(self._batch.id))

    def attempts(self, job: Job | int) -> list[Attempt]:
        """Every submission of a job, from the journal."""
        return list(self.storage.attempts(self.job(job).id))

    def events(self, since: int = 0) -> Iterator[Event]:
        """What happened, from the stored journal, after event number *since*."""
        while page := self.storage.journal(self._batch.id, since, _JOURNAL_PAGE):
            for entry in page:
                since = entry.seq
                event = self._event(entry)
                if event is not None:
                    yield event

    def _event(self, entry: Entry) -> Event | None:
        cls = event_class(entry)
        job = self.storage.get(entry.job_id) if entry.job_id else None
        if cls is None or (entry.job_id and job is None):
            return None
        return make_event(cls, entry, self._batch.id, job, entry.seq)

    def why(self, job: Job | int, *, lang: str | None = None) -> str:
        """Why a job stands where it stands, in one line for people.

        Args:
            job: the job, or its id.
            lang: ``"pt"`` or ``"en"``; by default ``BATCHKIT_LANG``, else the locale's.
        """
        return self._why(self.job(job), lang)

    def _why(self, job: Job, lang: str | None, *, local: bool = False) -> str:
        label = job.status.label(lang, local=local)
        reason = self._reason(job, lang)
        return f"{label}: {reason}" if reason else label

    def _reason(self, job: Job, lang: str | None) -> str:
        if job.status is _S.PENDING:
            paused = self.batch.control is Control.PAUSED
            return text("why_paused" if paused else "why_stopped", lang)
        if job.status is _S.PAUSED:
            return text("why_held", lang)
        if job.status is _S.UNCERTAIN:
            return text("why_uncertain", lang)
        if job.error is None:
            return ""
        remedy = f" ({translated(job.error.remedy, lang)})" if job.error.remedy else ""
        return translated(job.error.message, lang) + remedy


def _cause(job: Job) -> str:
    return job.error.code or job.error.message if job.error is not None else ""
