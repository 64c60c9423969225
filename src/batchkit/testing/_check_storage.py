"""The conformance suite of storage backends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing

from batchkit._config import Control
from batchkit._errors import BatchBusyError
from batchkit._events import (
    BatchPaused,
    JobHinted,
    JobSubmitted,
    JobSubmitting,
)
from batchkit._jobs import Handle, Job, JobStatus
from batchkit._results import JobResult
from batchkit.storage.base import Change, Entry, Storage
from batchkit.testing._check_storage_base import (
    NOW,
    UNICODE,
    Clause,
    advance,
    begin,
    claimed,
    ended,
    equal,
    lasting,
    new_job,
    put,
    require,
)
from batchkit.testing._check_storage_jobs import JOB_CLAUSES
from batchkit.testing._check_storage_journal import JOURNAL_CLAUSES
from batchkit.testing._check_storage_saves import SAVE_CLAUSES

Reopen = Callable[[Storage], Storage]
_S = JobStatus


def check_storage(factory: Callable[[], Storage], reopen: Reopen | None = None) -> None:
    """Tests a backend against everything that :mod:`batchkit.storage.base` says.

    Args:
        factory: makes an empty storage; called once for each clause.
        reopen: closes a storage as the end of its process would, and opens the same data again;
            left out for backends that keep nothing.

    Raises:
        AssertionError: the clauses that do not hold, one a line.
    """
    clauses: list[Clause] = [*CLAUSES, *JOB_CLAUSES, *SAVE_CLAUSES, *JOURNAL_CLAUSES]
    if reopen is not None:
        clauses.append(_reopened(reopen))
    broken = [fault for clause in clauses if (fault := _fault(clause, factory()))]
    if broken:
        raise AssertionError("\n".join(broken))


def _fault(clause: Clause, storage: Storage) -> str:
    try:
        clause(storage)
    except Exception as exc:  # noqa: BLE001 - whatever a backend raises breaks the clause
        named = "" if type(exc) is AssertionError else f"{type(exc).__name__}: "
        return f"{clause.__doc__}: {named}{exc}"
    finally:
        storage.close()
    return ""


# -- batches -----------------------------------------------------------------------------------


def _open_batch(storage: Storage) -> None:
    """open_batch: the same batch for the same name; find_batch, batches: what is there"""
    require(storage.find_batch(UNICODE) is None, "a batch that nobody opened")
    first = storage.open_batch(UNICODE, NOW)
    equal(storage.open_batch(UNICODE, NOW + 9), first, "the same name")
    second = storage.open_batch("b", NOW)
    require(first.id != second.id and first.uid != second.uid, "two batches have one id")
    equal((first.name, first.created, first.started), (UNICODE, NOW, None), "record")
    equal(storage.find_batch(UNICODE), first, "find_batch")
    equal(list(storage.batches()), [first, second], "batches, oldest first")


def _update_batch(storage: Storage) -> None:
    """update_batch, set_control: are written, told, and leave other batches alone"""
    batch, other = storage.open_batch("a", NOW), storage.open_batch("b", NOW)
    fields = {"client_ref": "c/1", "config": '{"é":1}', "max_concurrent": 9, "started": NOW + 1}
    after = storage.update_batch(batch.id, **fields)
    equal({name: getattr(after, name) for name in fields}, fields, "fields")
    equal(storage.find_batch("a"), after, "record")
    line = Entry(BatchPaused.kind, NOW, data={"reason": "no credit"})
    storage.set_control(batch.id, Control.PAUSED, "no credit", line)
    storage.set_control(batch.id, Control.DRAINING, "é", None)
    found = storage.open_batch("a", NOW)
    equal((found.control, found.control_reason), (Control.DRAINING, "é"), "control")
    equal([entry.data for entry in storage.journal(batch.id)], [line.data], "journal")
    equal(storage.find_batch("b"), other, "the other batch")


def _acquire(storage: Storage) -> None:
    """acquire: one runner at a time for a batch, each with a higher epoch; release: harmless"""
    batch, other = storage.open_batch("a", NOW).id, storage.open_batch("b", NOW).id
    storage.release(batch)
    epochs = [storage.acquire(batch)]
    require(storage.acquire(other) > 0, "another batch cannot be acquired")
    for _ in range(2):
        require(_is_busy(storage, batch), "a batch is acquired twice")
        storage.release(batch)
        storage.release(batch)
        epochs.append(storage.acquire(batch))
    require(0 < epochs[0] < epochs[1] < epochs[2], f"epochs do not rise: {epochs}")


def _is_busy(storage: Storage, batch: int) -> bool:
    try:
        storage.acquire(batch)
    except BatchBusyError:
        return True
    return False


# -- upkeep ------------------------------------------------------------------------------------


def _prune(storage: Storage) -> None:
    """prune: batches whose every job ended before that time; nothing of them stays"""
    old, late = ended(storage, "old", NOW + 10), ended(storage, "late", NOW + 30)
    storage.append(old, [Entry(BatchPaused.kind, NOW)])
    mixed = ended(storage, "mixed", NOW + 10)
    storage.add(mixed, [new_job("still waits")], NOW)
    newest = ended(storage, "newest", NOW + 10)
    storage.open_batch("empty", NOW)
    later = storage.open_batch("empty, and later", NOW + 30).id
    gone = [job.id for batch in (old, newest) for job in storage.jobs(batch)]
    equal(storage.prune(NOW + 20), 4, "jobs that went")
    equal([batch.id for batch in storage.batches()], [late, mixed, later], "batches that stay")
    require(all(storage.get(job) is None for job in gone), "a job of a pruned batch is there")
    for name in ("old", "newest", "another"):
        again = storage.open_batch(name, NOW).id
        equal(list(storage.journal(again)), [], f"journal of a new batch {name!r}")
        equal(dict(storage.counts(again)), {}, f"counts of a new batch {name!r}")
    equal([job.status for job in storage.jobs(late)], [_S.COMPLETED] * 2, "jobs that stay")
    equal(len({batch.id for batch in storage.batches()}), 6, "different ids after a prune")


def _prune_spares(storage: Storage) -> None:
    """prune: spares a batch that somebody runs; takes empty batches that are older"""
    run, empty = ended(storage, "run", NOW), storage.open_batch("empty", NOW).id
    young = storage.open_batch("young", NOW + 10).id
    storage.acquire(run)
    equal(storage.prune(NOW + 5), 0, "jobs that went")
    equal([batch.id for batch in storage.batches()], [run, young], "batches that stay")
    require(storage.open_batch("empty", NOW).id != empty, "a number is given twice")
    storage.release(run)
    equal(storage.prune(NOW + 5), 2, "jobs that went after it was released")


def _facts(storage: Storage) -> None:
    """shared, location, changed: a truth value, a text, a token that persons change, not runners"""
    require(storage.shared in (True, False), "shared is not a bool")
    require(storage.location, "location is empty")
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    before = storage.changed()
    storage.save([Change(job.to(_S.SUBMITTING, attempt=1), job)])
    storage.claim(batch, epoch, 1, NOW)
    equal(storage.changed(), before, "token after a runner's own writes")
    acts: dict[str, Callable[[], object]] = {
        "append": lambda: storage.append(batch, [Entry(JobHinted.kind, NOW, job.id)]),
        "request_cancel": lambda: storage.request_cancel(job.id, NOW),
        "add": lambda: storage.add(batch, [new_job("b")], NOW),
        "steer": lambda: storage.steer(_of(storage, "b").evolve(priority=1), _S.PENDING, None),
        "remove": lambda: storage.remove(_of(storage, "b").id),
        "set_control": lambda: storage.set_control(batch, Control.PAUSED, "", None),
        "update_batch": lambda: storage.update_batch(batch, max_concurrent=2),
    }
    for name, act in acts.items():
        before = storage.changed()
        act()
        require(storage.changed() != before, f"the token does not tell of {name}")


def _of(storage: Storage, identity: str) -> Job:
    found = storage.find(storage.open_batch("conformance", NOW).id, identity)
    assert found is not None
    return found


def _close_twice(storage: Storage) -> None:
    """close: may be called twice, also by a runner that is at work"""
    begin(storage, "a")
    storage.close()
    storage.close()


def _threads(storage: Storage) -> None:
    """threads: eight that claim and save at once hand out every job exactly once"""
    batch, epoch = begin(storage, *(f"job {n}" for n in range(200)))
    start, taken, faults = threading.Barrier(8), list[int](), list[Exception]()

    def work() -> None:
        start.wait()
        try:
            taken.extend(_take_all(storage, batch, epoch))
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that checks
            faults.append(exc)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    equal(faults, [], "errors in threads")
    equal(sorted(taken), [job.id for job in storage.jobs(batch)], "jobs handed out")
    equal(dict(storage.counts(batch)), {_S.SUBMITTING: 200}, "counts")


def _take_all(storage: Storage, batch: int, epoch: int) -> list[int]:
    mine: list[int] = []
    while jobs := storage.claim(batch, epoch, 3, NOW):
        lines = [Entry(JobSubmitting.kind, NOW, job.id, 1) for job in jobs]
        storage.save(
            [Change(j.to(_S.SUBMITTING), j, [e]) for j, e in zip(jobs, lines, strict=True)]
        )
        storage.counts(batch)
        storage.next_due(batch, NOW)
        storage.journal(batch, limit=1)
        mine += [job.id for job in jobs]
    return mine


# -- reopening ---------------------------------------------------------------------------------


def _reopened(reopen: Reopen) -> Clause:
    def clause(storage: Storage) -> None:
        """reopen: everything is still there, and another runner may take over"""
        batch, epoch = begin(storage, new_job("a", priority=2, metadata={"é": 1}), *"bcd")
        _leave_work(storage, storage.claim(batch, epoch, 3, NOW))
        storage.set_control(batch, Control.PAUSED, "é", Entry(BatchPaused.kind, NOW))
        before = _everything(storage, batch)
        with closing(reopen(storage)) as again:
            for name, value in _everything(again, batch).items():
                equal(value, before[name], name)
            _taken_over(again, batch, epoch)

    return clause


def _leave_work(storage: Storage, jobs: Sequence[Job]) -> None:
    done, running, _claimed = jobs
    done = advance(storage, done, _S.SUBMITTING, _S.PROCESSING, cost=0.5)
    done = advance(storage, done, _S.COLLECTING, result=JobResult(text=UNICODE))
    advance(storage, done, _S.COMPLETED, completed=NOW + 5)
    sent = advance(storage, running, _S.SUBMITTING, attempt=1)
    line = Entry(JobSubmitted.kind, NOW, running.id, 1, {"handle": {"id": "paid"}})
    put(storage, sent.to(_S.PROCESSING, handle=Handle(id="paid")), sent, line)
    storage.request_cancel(running.id, NOW + 7)


def _everything(storage: Storage, batch: int) -> dict[str, object]:
    jobs = list(storage.jobs(batch, results=True))
    return {
        "batches": list(storage.batches()),
        "jobs": [lasting(job) for job in jobs],
        "counts": dict(storage.counts(batch)),
        "cost": storage.cost(batch),
        "journal": list(storage.journal(batch)),
        "results": [storage.result(job.id) for job in jobs],
        "evidence": [storage.evidence(job.id, 1) for job in jobs],
        "cancel requests": set(storage.cancel_requests(batch)),
    }


def _taken_over(storage: Storage, batch: int, dead: int) -> None:
    epoch = storage.acquire(batch)
    require(epoch > dead, f"epoch {epoch} does not follow {dead}")
    equal([job.identity for job in storage.in_flight(batch, epoch)], ["b"], "in flight")
    equal(claimed(storage, batch, epoch), ["c", "d"], "claims")
    equal(storage.add(batch, [new_job("a")], NOW)[0][1], False, "a known item is new")


CLAUSES: tuple[Clause, ...] = (
    _open_batch,
    _update_batch,
    _acquire,
    _prune,
    _prune_spares,
    _facts,
    _close_twice,
    _threads,
)
