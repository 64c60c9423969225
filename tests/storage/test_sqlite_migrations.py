"""Files of every version of the tables are opened, brought up to date, and resumed.

``schemas/`` has a dump for each version that ever was, of one batch with a job in every state. They
were written by the programs of their time; version 1 has three, because its tables changed before
it was ever released.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_help import go, other_program, start, whole, word

from batchkit import BatchRunner, Handle, Job, JobStatus, StorageLockedError, StorageVersionError
from batchkit.clients.base import Accepted, Finished, RemoteState, RemoteStatus
from batchkit.storage import SQLiteStorage, _sqlite_migrations
from batchkit.storage._sqlite_schema import SCHEMA_VERSION
from batchkit.testing import FakeClock

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
OLD = [schema for schema in SCHEMAS if f"version{SCHEMA_VERSION}" not in schema.stem]
OLDEST = SCHEMAS[0]

_S = JobStatus
IDENTITIES = ["done", "running", "doubtful", "sent", "waits", "held", "failed", "next"]
STATUSES = [
    _S.COMPLETED,
    _S.PROCESSING,
    _S.UNCERTAIN,
    _S.SUBMITTING,
    _S.PENDING,
    _S.PAUSED,
    _S.FAILED,
    _S.PENDING,
]


def make(schema: Path, path: Path) -> Path:
    with other_program(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(schema.read_text("utf-8"))
    return path


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make(request.param, tmp_path / "batch.db")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return make(OLDEST, tmp_path / "batch.db")


def version(path: Path) -> int:
    with other_program(path) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
        return found


def test_every_version_has_its_dump() -> None:
    versions = {int(re.findall(r"\d+", schema.stem)[0]) for schema in SCHEMAS}
    assert versions == set(range(1, SCHEMA_VERSION + 1))
    assert len(_sqlite_migrations.MIGRATIONS) == SCHEMA_VERSION - 1


# -- the tables --------------------------------------------------------------------------------


def structure(path: Path) -> dict[str, object]:
    """What SQLite knows of the tables, however their statements were written."""
    with other_program(path) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        found: dict[str, object] = {
            name: (
                db.execute(f"PRAGMA table_info({name})").fetchall(),
                sorted(row[1:5] for row in db.execute(f"PRAGMA index_list({name})")),
                "AUTOINCREMENT" in sql,
            )
            for kind, name, sql in rows
            if kind == "table"
        }
    indices = {name: sql.split() for kind, name, sql in rows if kind == "index" and sql}
    return {**found, **indices}


def test_an_old_file_gets_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    SQLiteStorage(tmp_path / "new.db").close()
    SQLiteStorage(path).close()
    assert structure(path) == structure(tmp_path / "new.db")
    assert version(path) == SCHEMA_VERSION


def test_nothing_is_lost(path: Path) -> None:
    with closing(SQLiteStorage(path)) as storage:
        assert [batch.name for batch in storage.batches()] == ["night", "empty"]
        jobs = list(storage.jobs(1, results=True))
        assert [job.identity for job in jobs] == IDENTITIES
        assert [job.status for job in jobs] == STATUSES
        assert (jobs[0].result and jobs[0].result.text, jobs[0].cost) == ("texto é", 0.5)
        assert (jobs[0].metadata, jobs[7].priority) == ({"série": "done"}, 5)
        assert storage.cost(1) == 0.5
        assert storage.evidence(2, 1) == Handle(id="h-running")
        assert [entry.seq for entry in storage.journal(1)] == list(range(1, 13))
        assert storage.next_due(1, 1999.0) == 2000.0
        whole(storage, 1)


def test_numbers_are_not_used_twice_from_now_on(path: Path) -> None:
    with closing(SQLiteStorage(path)) as storage:
        assert storage.remove(8)
        storage.prune(1e9)
        batch = storage.open_batch("another", 1.0).id
        assert batch == 3
        with storage._reading() as db:
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    assert last == (8,)


# -- the batch goes on -------------------------------------------------------------------------


class Provider:
    """Knows every job that was ever submitted to it, and finishes it at the first look."""

    def __init__(self) -> None:
        self.submitted: list[str] = []

    def submit(self, job: Job) -> Accepted:
        self.submitted.append(job.identity)
        return Accepted(handle=Handle(id=f"h-{job.identity}"))

    def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(text=handle.id))


RESCUED = '[1,4,1,{"id":"h-sent"}]\n[1,9,1,{"id":"to'


@pytest.mark.parametrize("schema", OLD, ids=lambda schema: schema.stem)
def test_the_batch_of_an_old_file_is_resumed(schema: Path, tmp_path: Path) -> None:
    path = make(schema, tmp_path / "batch.db")
    common = path.with_name("batch.db.rescue.jsonl")
    common.write_text(RESCUED)
    os.utime(common, (5000.0, 5000.0))
    provider = Provider()
    with BatchRunner(provider, name="night", storage=path, clock=FakeClock(), delay=0) as runner:
        runner.run()
        jobs = {job.identity: job for job in runner.storage.jobs(1)}
        rescued = [entry for entry in runner.storage.journal(1) if entry.at == 5000.0]
    ended = {name for name, job in jobs.items() if job.status is _S.COMPLETED}
    assert ended == {"done", "running", "sent", "waits", "next"}
    assert sorted(provider.submitted) == ["next", "waits"]
    assert [jobs[name].status for name in ("doubtful", "held", "failed")] == [
        _S.UNCERTAIN,
        _S.PAUSED,
        _S.FAILED,
    ]
    assert [(e.job_id, e.data) for e in rescued] == [(4, {"handle": {"id": "h-sent"}})]
    assert not list(tmp_path.glob("*.rescue.jsonl"))


# -- who may not be disturbed ------------------------------------------------------------------

RUNNER_OF_VERSION_1 = """
import fcntl, sys
file = open(sys.argv[1] + ".1.lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("runs", flush=True)
sys.stdin.readline()
"""


def test_a_file_whose_batch_is_run_by_an_older_program_waits(old: Path) -> None:
    with start(RUNNER_OF_VERSION_1, old) as process:
        assert word(process) == "runs"
        with pytest.raises(StorageLockedError, match=r"older version runs batch 'night': let it"):
            SQLiteStorage(old)
        assert version(old) == 1
        go(process)
        process.wait()
    SQLiteStorage(old).close()
    assert version(old) == SCHEMA_VERSION


def test_a_newer_file_is_left_as_it_is(path: Path) -> None:
    with other_program(path) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StorageVersionError, match=r"schema 99.*upgrade batchkit-video"):
        SQLiteStorage(path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["batch.db"]


# -- a death in the middle ---------------------------------------------------------------------

DYING = """
import os, sqlite3, sys
from batchkit.storage import SQLiteStorage

path, at = sys.argv[1], 0
connect = sqlite3.connect

def dies(statement):
    global at
    at -= 1
    if at == 0:
        os._exit(9)

def traced(*args, **options):
    made = connect(*args, **options)
    made.set_trace_callback(dies)
    return made

sqlite3.connect = traced
for line in sys.stdin:
    at = int(line)
    child = os.fork()
    if child == 0:
        SQLiteStorage(path)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_death_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "batch.db"
    dump, migrated = OLDEST.read_text("utf-8"), False
    with start(DYING, path) as process:
        assert process.stdin is not None
        for at in range(1, 200):
            for file in tmp_path.iterdir():
                file.unlink()
            make(OLDEST, path)
            process.stdin.write(f"{at}\n")
            process.stdin.flush()
            if word(process) == "0":
                break
            # Either all of it has happened, or nothing has.
            if version(path) == 1:
                assert not migrated
                with other_program(path) as db:
                    assert dump.endswith("\n".join(db.iterdump()) + "\n")
            migrated = version(path) == SCHEMA_VERSION
        process.stdin.close()
    assert at > 30
    assert version(path) == SCHEMA_VERSION


def test_a_migration_survives_the_loss_of_power(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, said = sqlite3.connect, list[str]()

    def listening(*args: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*args, **options)
        made.set_trace_callback(said.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", listening)
    SQLiteStorage(old).close()
    begin = said.index("BEGIN IMMEDIATE")
    levels = [line for line in said[:begin] if line.startswith("PRAGMA synchronous")]
    assert levels[-1] == "PRAGMA synchronous = 2"
    assert not [line for line in said[begin : said.index("COMMIT")] if "synchronous" in line]


def test_a_fault_in_the_middle_leaves_the_old_file(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(db: sqlite3.Connection, path: Path) -> None:
        db.execute("DROP TABLE jobs")
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(_sqlite_migrations, "MIGRATIONS", (fail,))
    with pytest.raises(Exception, match="disk I/O error"):
        SQLiteStorage(old)
    monkeypatch.undo()
    assert version(old) == 1
    with closing(SQLiteStorage(old)) as storage:
        assert len(list(storage.jobs(1))) == len(IDENTITIES)
