"""The PostgreSQL storage holds the contract, keeps every value, and is opened by its address."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from batchkit import (
    BatchRunner,
    Control,
    ErrorKind,
    GenerateVideo,
    Handle,
    JobError,
    JobResult,
    JobStatus,
    StorageCorruptError,
    StorageVersionError,
    UsageError,
)
from batchkit._config import Durability
from batchkit._events import BatchPaused, JobSubmitted
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, NewJob, PostgresStorage, Storage, open_storage
from batchkit.testing import check_storage
from batchkit.testing._check_storage_base import NOW, advance, begin, new_job, put, stored
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus
STRANGE = "nul \x00, halves \ud800 \udfff, \ue000 \ue0000000, 'quotes\" \\ {a,NULL} %s"


@pytest.mark.parametrize("durability", get_args(Durability))
def test_conformance(make: Make, schema: str, tmp_path: Path, durability: Durability) -> None:
    numbers = itertools.count()

    def factory() -> Storage:
        return make(schema=f"{schema}_{next(numbers)}", durability=durability)

    def reopen(storage: Storage) -> Storage:
        storage.close()
        return open_storage(storage.location)

    check_storage(factory, reopen)


# -- values ------------------------------------------------------------------------------------


def test_texts_that_postgresql_cannot_hold(make: Make) -> None:
    storage = make()
    request = GenerateVideo(prompt=STRANGE.replace("\ud800 \udfff", ""))
    item = NewJob(identity=STRANGE, request=request, stored=dump_request(request))
    batch = storage.open_batch(STRANGE, NOW)
    assert batch == storage.find_batch(STRANGE)
    assert batch.name == STRANGE
    assert storage.update_batch(batch.id, client_ref=STRANGE).client_ref == STRANGE
    assert storage.set_control(batch.id, Control.PAUSED, STRANGE, None)
    assert storage.batches()[0].control_reason == STRANGE
    [(job_id, new)] = storage.add(batch.id, [item], NOW)
    assert new
    assert storage.add(batch.id, [item], NOW) == [(job_id, False)]
    found = storage.find(batch.id, STRANGE)
    assert found is not None
    assert (found.identity, found.request) == (STRANGE, request)
    epoch = storage.acquire(batch.id)
    assert [job.identity for job in storage.claim(batch.id, epoch, 1, NOW)] == [STRANGE]


def test_what_providers_answer(make: Make) -> None:
    storage = make()
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    data = {"b": STRANGE, "a": [1e-300, 0.1, 10**30, None], "": {"\x00": 2.0}}
    handle = Handle(id=STRANGE, data=data)
    error = JobError(kind=ErrorKind.PROVIDER, message=STRANGE, code="\x00", remedy=STRANGE)
    result = JobResult(text=STRANGE, value=data, raw={"ref": STRANGE})
    line = Entry("submitted", NOW, job.id, 1, {"handle": {"id": STRANGE, "data": data}})
    sent = job.to(_S.SUBMITTING, prepared={"x": STRANGE}, attempt=1)
    put(storage, sent, job, line)
    job = advance(storage, sent, _S.PROCESSING, handle=handle, metadata={"m": STRANGE})
    job = advance(storage, job, _S.COLLECTING, result=result)
    job = advance(storage, job, _S.FAILED, error=error)
    found = stored(storage, job.id)
    assert (found.handle, found.error, found.result) == (handle, error, result)
    assert dict(found.prepared or {}) == {"x": STRANGE}
    assert list(found.handle.data if found.handle else {}) == ["b", "a", ""]
    assert storage.evidence(job.id, 1) == handle
    assert storage.journal(batch)[0].data == line.data
    [cause] = storage.failures(batch)
    assert (cause.message, cause.remedy, cause.count) == (STRANGE, STRANGE, 1)


def test_numbers_that_are_none(make: Make) -> None:
    storage = make()
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    job = advance(storage, job, _S.SUBMITTING, cost=float("inf"), deadline=float("-inf"))
    found = stored(storage, job.id)
    assert (found.cost, found.deadline) == (float("inf"), float("-inf"))


def test_long_identities(make: Make) -> None:
    storage = make()
    long = [f"{'é' * 50_000}{n}" for n in range(2)]
    batch, _ = begin(storage, *(new_job(name) for name in long))
    assert [new for _, new in storage.add(batch, [new_job(long[1])], NOW)] == [False]
    assert [job.identity for job in storage.jobs(batch)] == long
    found = storage.find(batch, long[1])
    assert found is not None
    assert found.index == 1


def test_many_jobs_at_once_keep_their_order(make: Make) -> None:
    storage = make()
    batch, epoch = begin(storage, *(f"job {n}" for n in range(3000)))
    assert [job.index for job in storage.jobs(batch)] == list(range(3000))
    added = storage.add(batch, [new_job(f"job {n}") for n in range(2990, 3010)], NOW)
    assert [new for _, new in added] == [False] * 10 + [True] * 10
    claimed = storage.claim(batch, epoch, 5000, NOW)
    assert [job.identity for job in claimed] == [f"job {n}" for n in range(3010)]


# -- views -------------------------------------------------------------------------------------


def wait_for_change(storage: PostgresStorage, before: object) -> None:
    """Waits for a note of the server, which no clock of the test can bring."""
    for _ in range(200):
        if storage.changed() != before:
            return
        threading.Event().wait(0.05)
    raise AssertionError("no change was told within ten seconds")


def test_changes_of_others_are_told(make: Make) -> None:
    mine, other = make(), make()
    batch = mine.open_batch("b", NOW).id
    for change in (
        lambda: other.add(batch, [new_job("a")], NOW),
        lambda: other.set_control(batch, Control.PAUSED, "", Entry(BatchPaused.kind, NOW)),
        lambda: other.request_cancel(1, NOW),
        lambda: other.update_batch(batch, max_concurrent=9),
    ):
        before = mine.changed()
        change()
        wait_for_change(mine, before)
    before = other.changed()
    epoch = mine.acquire(batch)
    wait_for_change(other, before)
    # A view hears of saves too, a little later.
    [job] = mine.claim(batch, epoch, 1, NOW)
    before = other.changed()
    put(mine, job.to(_S.SUBMITTING), job)
    wait_for_change(other, before)


# -- addresses ---------------------------------------------------------------------------------


def test_the_location_opens_the_same_storage(make: Make, server: Server) -> None:
    secret = "a%40b%2Fc%25d%3A"
    storage = make(server.tcp(password=secret) + "?application_name=me")
    uid = storage.open_batch("b", NOW).uid
    for shown in (storage.location, repr(storage), repr(vars(storage))):
        assert "a@b" not in shown
        assert "a%40b" not in shown
    again = open_storage(storage.location)
    assert (again.open_batch("b", NOW).uid, again.location) == (uid, storage.location)
    again.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:geheim/wort@127.0.0.1/db",
        "postgresql://u:geheim@wort@127.0.0.1/db",
        "postgresql://u:geheim?wort@127.0.0.1/db",
        "postgresql://u:geheim#wort@127.0.0.1/db",
        "postgresql://u:geheim%wort@127.0.0.1/db",
        "host=127.0.0.1 password='geheim wort",
        "postgresql://127.0.0.1/db?geheim=wort",
    ],
)
def test_an_address_that_cannot_be_read_is_not_quoted(dsn: str) -> None:
    with pytest.raises(UsageError, match="write postgresql://user@host:5432/database") as caught:
        PostgresStorage(dsn)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_connection_strings_and_several_hosts(make: Make, server: Server) -> None:
    text = f"host={server.folder},127.0.0.1 port={server.port},1 dbname=postgres user=postgres"
    storage = make(text, schema='q"uo te')
    assert storage.open_batch("b", NOW).name == "b"
    again = open_storage(storage.location)
    assert [batch.name for batch in again.batches()] == ["b"]
    again.close()


def test_options_that_cannot_work(server: Server) -> None:
    for options in ({"lease_seconds": 0.5}, {"timeout": 0}, {"max_connections": 0}):
        with pytest.raises(UsageError, match="lease_seconds and max_connections"):
            PostgresStorage(server.dsn(), **options)
    with pytest.raises(UsageError, match="choose one of off, normal, full"):
        PostgresStorage(server.dsn(), durability="some")  # type: ignore[arg-type]


def test_a_runner_takes_an_address(server: Server, schema: str) -> None:
    address = server.dsn(schema=schema)
    with BatchRunner(lambda request: request.prompt, storage=address, delay=0) as runner:
        runner.add_many(["a", "b"])
        assert runner.run().ok
    with BatchRunner.open(address) as again:
        assert [job.title for job in again.results()] == ["a", "b"]
        assert schema in repr(again)


def test_the_command_line_takes_an_address(server: Server, schema: str) -> None:
    address = server.dsn(schema=schema)
    with BatchRunner(lambda request: request.prompt, storage=address, delay=0) as runner:
        runner.add("a")
    command = [sys.executable, "-m", "batchkit_video", "status", "--lang", "en"]
    done = subprocess.run([*command, "--storage", address], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--storage 'postgresql://postgres@/postgres?host=" in done.stdout
    assert f"schema={schema}" in done.stdout


def test_the_how_to_runs(server: Server, schema: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "postgres.md").read_text("utf-8")
    blocks = re.findall(r"^```\{code-block\} python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    address = "postgresql://batch@db.example/videos"
    assert blocks
    for block in blocks:
        exec(block.replace(address, server.dsn(schema=schema)), {"__name__": "__main__"})


# -- tables ------------------------------------------------------------------------------------

CREATOR = """
import sys
from batchkit.storage import open_storage
sys.stdin.readline()
print(open_storage(sys.argv[1]).open_batch("b", 1.0).uid, flush=True)
"""


def test_processes_that_create_one_schema_at_once(server: Server, schema: str) -> None:
    command = [sys.executable, "-c", CREATOR, server.dsn(schema=schema)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0].strip() for process in processes]
    assert len(set(answers)) == 1
    assert [process.returncode for process in processes] == [0] * 4


def test_a_newer_schema(make: Make, server: Server, schema: str) -> None:
    make().close()
    server.run(f"INSERT INTO {schema}.batchkit_schema (version) VALUES (99)")
    with pytest.raises(StorageVersionError, match=r"schema 99.*upgrade batchkit-video"):
        make()


def test_a_schema_of_another_program(make: Make, server: Server, schema: str) -> None:
    server.run(f"CREATE SCHEMA {schema}")
    server.run(f"CREATE TABLE {schema}.jobs (x int)")
    with pytest.raises(StorageCorruptError, match="name another schema"):
        make()
    # Nothing of ours was left behind.
    assert server.run(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'") == [(1,)]


def test_a_closed_storage_says_so(make: Make) -> None:
    storage = make()
    storage.close()
    with pytest.raises(Exception, match="was closed: open the storage again"):
        storage.batches()


def test_rescued_handles_go_where_programs_keep_their_state(
    server: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with closing(PostgresStorage(server.dsn(), schema=schema)) as storage:
        batch, epoch = begin(storage, "a")
        [job] = storage.claim(batch, epoch, 1, NOW)
        sent = job.to(_S.SUBMITTING, attempt=1)
        told = sent.to(_S.PROCESSING, handle=Handle(id="paid"))
        entry = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": "paid"}})
        storage.rescue([Change(told, sent, (entry,), told=[JobSubmitted])])
        folder = tmp_path / "batchkit"
        [file] = folder.iterdir()
        assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    with closing(PostgresStorage(server.dsn(), schema=schema)) as storage:
        storage.acquire(batch)
        assert storage.evidence(job.id, 1) == Handle(id="paid")
        assert list(folder.iterdir()) == []
