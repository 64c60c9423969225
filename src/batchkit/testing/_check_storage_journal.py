"""What the contract of a storage says of the journal and of handles, as clauses."""

from __future__ import annotations

from batchkit._errors import JobNotFoundError
from batchkit._events import (
    BatchPaused,
    JobCompleted,
    JobProgress,
    JobReleased,
    JobRetrying,
    JobSubmitted,
    JobSubmitting,
)
from batchkit._jobs import Handle, JobStatus, submit_key
from batchkit.storage.base import Change, Entry, Storage
from batchkit.testing._check_storage_base import NOW, Clause, advance, begin, equal, require

_S = JobStatus


def _journal(storage: Storage) -> None:
    """append, journal: lines come back in order, numbered, of one batch, since and up to a limit"""
    batch, other = storage.open_batch("a", NOW).id, storage.open_batch("b", NOW).id
    lines = [Entry(JobProgress.kind, NOW + n, n, 2, {"é": [n, None]}) for n in range(5)]
    first = storage.append(batch, lines[:3])
    storage.append(other, [Entry(BatchPaused.kind, NOW)])
    storage.append(batch, lines[3:])
    found = storage.journal(batch)
    equal([entry._replace(seq=0) for entry in found], lines, "lines")
    seqs = [entry.seq for entry in found]
    require(seqs[0] == first and seqs == sorted(set(seqs)), f"first {first}, numbers {seqs}")
    equal(list(storage.journal(batch, seqs[1])), list(found[2:]), "since")
    equal(list(storage.journal(batch, seqs[1], 2)), list(found[2:4]), "limit")
    equal(list(storage.journal(batch, seqs[-1])), [], "since the last")
    equal([entry.data for entry in storage.journal(other)], [None], "the other batch")


def _first_seq(storage: Storage) -> None:
    """save: tells the number of its first journal line, in the order of its changes"""
    batch, epoch = begin(storage, "a", "b")
    storage.append(batch, [Entry(BatchPaused.kind, NOW)])
    jobs = storage.claim(batch, epoch, 2, NOW)
    kinds = (JobSubmitting.kind, JobProgress.kind)
    lines = [[Entry(kind, NOW, job.id, 1) for kind in kinds] for job in jobs]
    changes = [Change(j.to(_S.SUBMITTING), j, e) for j, e in zip(jobs, lines, strict=True)]
    first = storage.save(changes).first_seq
    wanted = [entry._replace(seq=first + n) for n, entry in enumerate([*lines[0], *lines[1]])]
    equal(list(storage.journal(batch, first - 1)), wanted, "lines")


def _attempts(storage: Storage) -> None:
    """attempts: every submission with its key, handle and end; evidence: by attempt"""
    batch, epoch = begin(storage, "a", "b")
    job, other = storage.claim(batch, epoch, 2, NOW)
    handle = {"handle": {"id": "h1"}}
    told = [(JobSubmitting, 1, None), (JobSubmitted, 1, handle), (JobRetrying, 1, None)]
    told += [(JobReleased, 1, None), (JobSubmitting, 2, None)]
    lines = [Entry(c.kind, NOW + n, job.id, a, data) for n, (c, a, data) in enumerate(told)]
    storage.append(batch, [*lines, Entry(JobCompleted.kind, NOW, other.id, 1)])
    uid = storage.open_batch("conformance", NOW).uid
    first, second = storage.attempts(job.id)
    equal((first.number, first.started, first.handle), (1, NOW, Handle(id="h1")), "first")
    equal(first.submit_key, submit_key(uid, job.index, 1), "key")
    equal((second.number, second.handle, second.outcome), (2, None, None), "second")
    equal(list(storage.attempts(other.id)), [], "attempts of a job without one")
    equal(storage.evidence(job.id, 1), Handle(id="h1"), "evidence")
    equal(storage.evidence(job.id, 2), None, "evidence of an attempt without an answer")
    equal(storage.evidence(other.id, 1), None, "evidence of another job")


def _no_such_job(storage: Storage) -> None:
    """attempts: JobNotFoundError for a job that is not there"""
    try:
        storage.attempts(10**9)
    except JobNotFoundError:
        return
    raise AssertionError("nothing was raised")


def _rescue(storage: Storage) -> None:
    """rescue: handles that could not be saved are evidence after the next acquire"""
    batch, epoch = begin(storage, "a", "b")
    other = storage.open_batch("other", NOW).id
    [paid, plain] = storage.claim(batch, epoch, 2, NOW)
    sent = advance(storage, paid, _S.SUBMITTING, attempt=1)
    told = {"handle": {"id": "paid", "data": {"é": "\u2028"}}}
    line = Entry(JobSubmitted.kind, NOW + 0.5, paid.id, 1, told)
    lost = Change(sent.to(_S.PROCESSING, handle=Handle(id="paid")), sent, [line])
    quiet = Change(plain.to(_S.SUBMITTING), plain, [Entry(JobSubmitting.kind, NOW, plain.id, 1)])
    storage.rescue([lost, quiet])
    storage.rescue([lost])
    storage.acquire(other)
    for _ in range(2):
        storage.release(batch)
        storage.acquire(batch)
        equal(storage.evidence(paid.id, 1), Handle(id="paid", data={"é": "\u2028"}), "evidence")
    equal(storage.evidence(plain.id, 1), None, "evidence of a job without a handle")
    equal({entry.at for entry in storage.journal(batch)}, {NOW + 0.5}, "times in the journal")
    equal(list(storage.journal(other)), [], "journal of another batch")


JOURNAL_CLAUSES: tuple[Clause, ...] = (
    _journal,
    _first_seq,
    _attempts,
    _no_such_job,
    _rescue,
)
