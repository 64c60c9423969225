"""A batch under persons and runs does what a model of twenty lines says, decision by decision."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchkit import BatchRunner, Handle, JobStatus
from batchkit.storage import MemoryStorage, SQLiteStorage, Storage
from batchkit.testing import FakeClient, FakeClock, FakeProvider

_S = JobStatus
RETRIES = 1
#: What a provider's word makes of a job when nothing may be repeated; "busy" and "flaky" may.
ENDS = {
    "ok": _S.COMPLETED,
    "reject": _S.FAILED,
    "busy": _S.FAILED,
    "drop_before": _S.UNCERTAIN,
    "drop_after": _S.UNCERTAIN,
    "fail": _S.FAILED,
    "flaky": _S.FAILED,
}
AGAIN = ("busy", "flaky")
UNPAID = ("reject", "busy", "drop_before")


@attrs.define
class Model:
    """A job, as its promises describe it.

    Attributes:
        words: what the provider will say to its submissions; "ok" after that.
        unsure: its last submission may have been accepted.
        asked: a person wants its end while it runs.
    """

    words: list[str]
    status: JobStatus = _S.PENDING
    priority: int = 0
    attempt: int = 0
    retries: int = 0
    charges: int = 0
    unsure: bool = False
    asked: bool = False

    def run(self, *, paused: bool) -> None:
        if self.status is _S.PROCESSING:
            self.status = _S.CANCELED if self.asked else _S.COMPLETED
        while self.status is _S.PENDING and not paused:
            word = self.words.pop(0) if self.words else "ok"
            self.attempt += 1
            self.charges += word not in UNPAID
            if word in AGAIN and self.retries < RETRIES:
                self.retries += 1
                continue
            self.status = ENDS[word]
            self.unsure = self.status is _S.UNCERTAIN

    def cancel(self) -> bool:
        if self.status is _S.PROCESSING:
            self.asked = True
            return True
        return self._go({_S.PENDING, _S.PAUSED, _S.UNCERTAIN, _S.FAILED}, _S.CANCELED)

    def retry(self, *, resubmit: bool) -> bool:
        allowed = {_S.FAILED, _S.EXPIRED, _S.CANCELED} | ({_S.UNCERTAIN} if resubmit else set())
        unsure = self.unsure and not resubmit
        done = self._go(allowed, _S.UNCERTAIN if unsure else _S.PENDING)
        if done:
            self.asked, self.unsure, self.retries = False, unsure, 0
        return done

    def resolve(self, *, found: bool) -> bool:
        done = self._go({_S.UNCERTAIN}, _S.PROCESSING if found else _S.PENDING)
        self.unsure = self.unsure and not done
        return done

    def hold(self) -> bool:
        return self._go({_S.PENDING}, _S.PAUSED)

    def release(self) -> bool:
        return self._go({_S.PAUSED}, _S.PENDING)

    def removable(self) -> bool:
        return self.attempt == 0 and self.status in (_S.PENDING, _S.PAUSED)

    def _go(self, allowed: set[JobStatus], to: JobStatus) -> bool:
        done = self.status in allowed
        if done:
            self.status = to
        return done


class BatchModel(RuleBasedStateMachine):
    """The rules are what people do; the ledger and the records must agree with the model."""

    make: Callable[[Path], Storage]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "batch.db")
        self.clock, self.provider = FakeClock(), FakeProvider()
        self.storage = type(self).make(self._path)
        self.model: dict[int, Model] = {}
        self.charges = Counter[str]()
        self.paused = self.stopped = False
        self.begin()

    def begin(self) -> None:
        self.runner = BatchRunner(
            FakeClient(self.provider),
            storage=self.storage,
            clock=self.clock,
            executor="sequential",
            max_retries=RETRIES,
            delay=0,
        )

    def teardown(self) -> None:
        self.runner.close()
        self.storage.close()
        self._folder.cleanup()

    # -- rules -----------------------------------------------------------------------------

    @rule(words=st.lists(st.sampled_from(sorted(ENDS)), max_size=3), priority=st.integers(-1, 1))
    def add(self, words: list[str], priority: int) -> None:
        script = f" [{' '.join(words)}]" if words else ""
        prompt = f"item-{len(self.provider.ledger.submissions)}-{len(self.model)}"
        job = self.runner.add(f"{prompt}{script}", key=prompt, priority=priority)
        self.model.setdefault(job.id, Model(list(words), priority=priority))

    @rule()
    def run(self) -> None:
        summary = self.runner.run()
        self.stopped = False
        for job in self.model.values():
            job.run(paused=self.paused)
        assert summary.counts == self.counts()

    @rule()
    def restart(self) -> None:
        self.runner.close()
        if isinstance(self.storage, SQLiteStorage):
            self.storage.close()
            self.storage = type(self).make(self._path)
        self.begin()

    @rule()
    def pause(self) -> None:
        self.runner.pause()
        self.paused, self.stopped = True, False

    @rule()
    def resume(self) -> None:
        self.runner.resume()
        self.paused = self.stopped = False

    @rule()
    def stop(self) -> None:
        # Nothing runs: a stop is of the run, and the next one knows nothing of it.
        self.runner.stop()
        self.stopped = True

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        number = self.any(data)
        assert self.runner.hold(number) == self.model[number].hold()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        number = self.any(data)
        assert self.runner.release(number) == self.model[number].release()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = self.any(data)
        assert self.runner.cancel(number) == self.model[number].cancel()

    @precondition(lambda self: self.model)
    @rule(data=st.data(), resubmit=st.booleans())
    def retry(self, data: st.DataObject, resubmit: bool) -> None:
        number = self.any(data)
        done = self.runner.retry(number, resubmit=resubmit)
        assert done == self.model[number].retry(resubmit=resubmit)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        number = self.any(data)
        key = f"-{self.runner.job(number).index}-{self.model[number].attempt}"
        found = [remote for remote in self.provider.jobs.values() if remote.key.endswith(key)]
        said = Handle(id=found[0].id) if found else None
        done = self.runner.resolve(number, said or "not accepted")
        assert done == self.model[number].resolve(found=bool(found))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = self.any(data)
        gone = self.runner.remove(number)
        assert gone == self.model[number].removable()
        if gone:
            del self.model[number]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), priority=st.integers(-2, 2))
    def prioritize(self, data: st.DataObject, priority: int) -> None:
        number = self.any(data)
        waits = self.model[number].status in (_S.PENDING, _S.PAUSED)
        assert self.runner.prioritize(number, priority) == waits

    def any(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.model)))

    # -- invariants ------------------------------------------------------------------------

    def counts(self) -> dict[JobStatus, int]:
        counts = Counter(job.status for job in self.model.values())
        if self.paused and not self.stopped and counts[_S.PENDING]:
            counts[_S.PAUSED] += counts.pop(_S.PENDING)
        return {status: n for status, n in counts.items() if n}

    @invariant()
    def records_agree(self) -> None:
        found = {job.id: (job.status, job.attempt) for job in self.runner.jobs()}
        assert found == {n: (job.status, job.attempt) for n, job in self.model.items()}
        assert self.runner.counts() == self.counts()

    @invariant()
    def the_ledger_agrees(self) -> None:
        assert self.provider.ledger.charges.total() == sum(
            job.charges for job in self.model.values()
        )


class InMemory(BatchModel):
    """The model against memory."""

    make = staticmethod(lambda path: MemoryStorage())


class OnDisk(BatchModel):
    """The model against SQLite, opened again at each restart."""

    make = staticmethod(lambda path: SQLiteStorage(path, durability="off"))


InMemory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
OnDisk.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestInMemory = InMemory.TestCase
TestOnDisk = OnDisk.TestCase
