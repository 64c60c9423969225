"""Defects that would break a promise, each a tiny patch, with the tests that have to notice."""

from __future__ import annotations

from pathlib import Path

import attrs

SRC = Path(__file__).parents[2] / "src"

FLOW = "tests/flow"
SIMULATION = "tests/simulation/test_simulation.py"
CONTRACT = "tests/storage/test_conformance.py"
RUNNER = "tests/runner"


@attrs.frozen
class Mutant:
    """One seeded defect.

    Attributes:
        name: what it does wrong.
        file: below ``src/batchkit``.
        old: what is replaced; it must be there exactly once, or the mutant is stale.
        new: by what.
        tests: what must turn red, as pytest's arguments.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = (FLOW,)

    @property
    def path(self) -> Path:
        return SRC / "batchkit" / self.file

    def apply(self, text: str) -> str:
        """The mutated module.

        Raises:
            ValueError: it is stale.
        """
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name!r} is stale: its text is {found} times in {self.file}")
        return text.replace(self.old, self.new)


INTENT = "        job = await io.save(intent, JobSubmitting, power_safe=not io.client.free)\n"
LEAVING = """        if io.leaving:
            return await io.save(job.to(_S.PENDING), JobRetrying)
"""

MUTANTS = (
    # -- the intent, and the handle --------------------------------------------------------
    Mutant("drops the intent", "_flow.py", INTENT, "        job = intent\n"),
    Mutant(
        "submits before the intent is stored",
        "_flow.py",
        INTENT + LEAVING + "        return await _send(io, job)\n",
        "        sent = await _send(io, intent)\n"
        "        await io.save(intent, JobSubmitting)\n"
        "        return sent\n",
    ),
    Mutant(
        "submits although the intent could not be stored",
        "_flow.py",
        LEAVING,
        "",
    ),
    Mutant(
        "does not keep the intent against a power cut",
        "_flow.py",
        "JobSubmitting, power_safe=not io.client.free)",
        "JobSubmitting)",
        (SIMULATION,),
    ),
    Mutant(
        "does not keep the handle against a power cut",
        "_flow.py",
        "    return await io.save(running, JobSubmitted, power_safe=True)\n",
        "    return await io.save(running, JobSubmitted)\n",
        (SIMULATION,),
    ),
    Mutant(
        "uses the key of the first attempt again",
        "_flow.py",
        "submit_key=io.submit_key(job, job.attempt + 1),",
        "submit_key=io.submit_key(job, 1),",
    ),
    Mutant(
        "stops in the middle of a submission",
        "_engine_io.py",
        "        return _UNGUARDED if self.client.free else self.guard\n",
        "        return _UNGUARDED\n",
    ),
    # -- uncertain submissions -------------------------------------------------------------
    Mutant(
        "repeats what may have been accepted",
        "_flow.py",
        "    if proof is Proof.NOTHING and io.client.free:\n",
        "    if proof is Proof.NOTHING:\n",
    ),
    Mutant(
        "repeats what was on its way when the process died",
        "_flow.py",
        "    if io.client.free:\n        return await io.save(job.to(_S.PENDING), JobRetrying)\n",
        "    if True:\n        return await io.save(job.to(_S.PENDING), JobRetrying)\n",
    ),
    Mutant(
        "ignores evidence",
        "_flow.py",
        "    handle: Handle | None = await io.evidence(job)\n",
        "    handle: Handle | None = None\n",
    ),
    Mutant(
        "looks for a submission that is still on its way",
        "_flow.py",
        "    if io.unanswered(job):\n",
        "    if False:\n",
    ),
    Mutant(
        "takes a failed look-up for a proof",
        "_flow.py",
        "        return await _decide(io, job)\n    if handle is not None:\n",
        "        handle = None\n    if handle is not None:\n",
    ),
    Mutant(
        "drops an answer that comes late",
        "_engine.py",
        "            if isinstance(answer, Accepted):\n                data =",
        "            if False:\n                data =",
    ),
    Mutant(
        "allows every repeat, whatever it costs",
        "_doubles.py",
        "        if self._limit is None:\n            return True\n",
        "        return True\n",
    ),
    # -- failures that mean nothing ----------------------------------------------------------
    Mutant(
        "takes a failed status query for a failure",
        "_follow.py",
        "            job, wait = _poll_failed(io, job, exc)\n",
        "            return await end(io, job, _S.FAILED, JobFailed, describe(exc))\n",
    ),
    Mutant(
        "takes a refused key for a failure of the job",
        "_follow.py",
        "        except errors.AuthenticationError as exc:\n",
        "        except errors.AuthenticationError as exc:\n"
        "            return await end(io, job, _S.FAILED, JobFailed, describe(exc))\n",
    ),
    Mutant(
        "fails jobs while nobody answers",
        "_flow.py",
        "    if _concerns_all(io, verdict) and wants(verdict.error, job.retries):\n",
        "    if False:\n",
    ),
    Mutant(
        "never pauses, however long nobody answers",
        "_dispatch.py",
        "            self.rounds_held_back += 1\n",
        "            self.rounds_held_back += 0\n",
    ),
    Mutant(
        "retries for ever",
        "_outcomes.py",
        '"retries": job.retries + 1,',
        '"retries": job.retries,',
    ),
    # -- what persons want -------------------------------------------------------------------
    Mutant(
        "believes a cancel that nobody confirmed",
        "_follow.py",
        "    if not confirmed:\n        return True, job\n",
        "",
    ),
    Mutant(
        "submits while the batch is paused",
        "_dispatch.py",
        "        return self.control is Control.RUNNING and not self.limited\n",
        "        return not self.limited\n",
        (RUNNER,),
    ),
    Mutant(
        "waits for a change that nobody takes up",
        "_dispatch.py",
        "        if self._dirty and self.control is not Control.ABORTING:\n",
        "        if self._dirty:\n",
        ("tests/simulation/test_found.py",),
    ),
    # -- results -----------------------------------------------------------------------------
    Mutant(
        "completes before the result is on disk",
        "_outcomes.py",
        "    if io.must_collect(job):\n",
        "    if False:\n",
    ),
    Mutant(
        "delivers what is not whole",
        "artifacts/_delivery.py",
        "        if declared is not None and size != declared:\n",
        "        if False:\n",
        ("tests/artifacts",),
    ),
    # -- saving ------------------------------------------------------------------------------
    Mutant(
        "tells what is not stored yet",
        "_engine.py",
        "            saved = self.storage.save(group)\n",
        "            self._told(group, 1)\n            saved = self.storage.save(group)\n",
        (FLOW, RUNNER),
    ),
    Mutant(
        "rescues nothing",
        "_engine.py",
        "            self.storage.rescue(group)\n",
        "            pass\n",
    ),
    Mutant(
        "goes on submitting after a save has failed",
        "_engine.py",
        "            self._rescue(group)\n            self._fail(exc)\n",
        "            self._rescue(group)\n",
    ),
    # -- storages ----------------------------------------------------------------------------
    Mutant(
        "SQLite writes for anybody",
        "storage/_sqlite_rows.py",
        "WHERE id = ? AND epoch = ? AND status = ?\n",
        "WHERE id = ? AND ? IS NOT NULL AND status = ?\n",
        (CONTRACT,),
    ),
    Mutant(
        "memory writes for anybody",
        "storage/memory.py",
        "                if stored is None or stored.epoch != job.epoch:\n",
        "                if stored is None:\n",
        (CONTRACT,),
    ),
    Mutant(
        "SQLite hands out a job twice",
        "storage/_sqlite_claims.py",
        "AND {schema.READY} AND epoch != ?\nORDER",
        "AND {schema.READY} AND ? IS NOT NULL\nORDER",
        (CONTRACT,),
    ),
    Mutant(
        "SQLite lets a person change what has moved on",
        "storage/_sqlite_rows.py",
        "WHERE id = ? AND status = ? AND attempt = ?\n",
        "WHERE id = ? AND ? IS NOT NULL AND ? IS NOT NULL\n",
        (CONTRACT,),
    ),
    Mutant(
        "SQLite does not count",
        "storage/_sqlite_writes.py",
        "        if job.status is not before.status:\n",
        "        if False:\n",
        (CONTRACT,),
    ),
    Mutant(
        "SQLite writes the journal outside of the transaction",
        "storage/sqlite.py",
        "            first = writes.journal(db, lines)\n        return Saved(fenced, first)\n",
        "        with self._writing() as db:\n"
        "            first = writes.journal(db, lines)\n"
        "        return Saved(fenced, first)\n",
        ("tests/storage",),
    ),
    Mutant(
        "SQLite does not sync what must survive a power cut",
        "storage/_sqlite_db.py",
        '            self._level(_SYNCHRONOUS["full"] if power_safe else self._usual)\n',
        "            self._level(self._usual)\n",
        ("tests/storage",),
    ),
    Mutant(
        "SQLite prunes batches that have work to do",
        "storage/_sqlite_prune.py",
        "max(coalesce(completed, 9e99)) < :before\n"
        "    AND count(*) = sum(status IN ('completed', 'failed', 'expired', 'canceled'))\n",
        "max(coalesce(completed, 0)) < :before\n",
        (CONTRACT,),
    ),
    Mutant(
        "never gives a batch back",
        "storage/_owner_lock.py",
        "            if self._file is not None:\n                _close_locked(self._file)\n",
        "            if False:\n                _close_locked(self._file)\n",
        (CONTRACT,),
    ),
    Mutant(
        "lets two runners work on one batch",
        "storage/_owner_lock.py",
        "        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))\n",
        "        pass\n",
        ("tests/storage/test_sqlite_processes.py",),
    ),
)
