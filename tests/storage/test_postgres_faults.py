"""What a server or a network does to the PostgreSQL storage."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from postgres_proxy import Cut, Proxy

from batchkit import (
    Job,
    JobStatus,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from batchkit._events import JobSubmitting
from batchkit.storage import Change, Entry, PostgresStorage, Saved
from batchkit.testing._check_storage_base import NOW, begin, counts_hold, new_job, stored
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus


def intent(job: Job) -> Change:
    line = Entry(JobSubmitting.kind, NOW, job.id, 1)
    return Change(job.to(_S.SUBMITTING, attempt=1), job, [line], power_safe=True)


def eventually_waits(server: Server) -> None:
    for _ in range(300):
        if server.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
            return
        threading.Event().wait(0.05)
    raise AssertionError("nobody waits for a lock")


# -- the way in --------------------------------------------------------------------------------


@pytest.fixture
def user(server: Server, schema: str) -> Iterator[str]:
    """Somebody with a password and no rights."""
    server.run(f"CREATE ROLE {schema} LOGIN PASSWORD 'geheim/wort'")
    yield schema
    server.run(f"DROP OWNED BY {schema}")
    server.run(f"DROP ROLE {schema}")


def test_a_server_that_is_not_there(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = server.tcp(port=taken.getsockname()[1])
        with pytest.raises(StorageUnavailableError, match=r"refused.*start the server, or check"):
            PostgresStorage(nobody)


def test_a_wrong_password(server: Server, user: str) -> None:
    with pytest.raises(StorageUnavailableError, match=r"check the user, and the pass") as caught:
        PostgresStorage(server.tcp(user, "falsch%2Fwort"))
    assert "falsch" not in str(caught.value)
    assert "falsch" not in str(caught.value.__cause__)


def test_a_user_that_does_not_exist(server: Server) -> None:
    with pytest.raises(StorageUnavailableError, match="check the user"):
        PostgresStorage(server.dsn(user="nobody"))


def test_a_database_that_does_not_exist(server: Server) -> None:
    with pytest.raises(StorageUnavailableError, match=r"make it with createdb"):
        PostgresStorage(server.dsn(dbname="nowhere"))


def test_too_many_connections(server: Server, user: str) -> None:
    server.run(f"ALTER ROLE {user} CONNECTION LIMIT 0")
    with pytest.raises(StorageUnavailableError, match="raise max_connections"):
        PostgresStorage(server.tcp(user, "geheim%2Fwort"))


def test_no_right_to_make_a_schema(server: Server, user: str) -> None:
    with pytest.raises(StorageFullError, match=r"permission denied.*GRANT"):
        PostgresStorage(server.tcp(user, "geheim%2Fwort"), schema="other")


def test_tables_that_others_made_need_no_right_to_make_some(
    make: Make, server: Server, user: str, schema: str
) -> None:
    batch, _ = begin(make(), "a")
    server.run(f"GRANT USAGE ON SCHEMA {schema} TO {user}")
    server.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}")
    storage = make(server.tcp(user, "geheim%2Fwort"))
    assert storage.counts(batch) == {_S.PENDING: 1}
    with pytest.raises(StorageFullError, match="ask its owner to GRANT"):
        storage.add(batch, [new_job("b")], NOW)
    server.run(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}")
    assert storage.add(batch, [new_job("b")], NOW)[0][1]


def test_a_server_that_may_not_be_written(make: Make, server: Server) -> None:
    make()
    storage = make(server.dsn(options="-cdefault_transaction_read_only=on"))
    with pytest.raises(StorageFullError, match="target_session_attrs=read-write"):
        storage.open_batch("b", NOW)


def test_a_database_that_cannot_hold_every_text(server: Server, schema: str) -> None:
    server.run(f"CREATE DATABASE {schema} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(StorageError, match="make a database with ENCODING 'UTF8'"):
        PostgresStorage(server.dsn(dbname=schema))


def test_all_connections_in_use(make: Make) -> None:
    storage = make(max_connections=1, timeout=0.2)
    with (
        storage._db._session(),
        pytest.raises(StorageUnavailableError, match=r"raise max_connections=, or use fewer"),
    ):
        storage.batches()


# -- what the server refuses -------------------------------------------------------------------


def test_locked_by_another_program(make: Make, server: Server, schema: str) -> None:
    storage = make(timeout=0.2)
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    with server.connect() as other, other.transaction():
        other.execute(f"LOCK TABLE {schema}.journal".encode())
        with pytest.raises(StorageLockedError, match="another program holds what is needed"):
            storage.save([intent(job)])
    assert stored(storage, job.id).status is _S.PENDING
    assert not storage.save([intent(job)]).fenced


def test_a_full_disk(make: Make, server: Server, schema: str) -> None:
    """The server says so for each insert into one table: no disk is filled here."""
    storage = make()
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    body = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END"
    server.run(f"CREATE FUNCTION {schema}.full() RETURNS trigger LANGUAGE plpgsql AS '{body}'"
        .replace("'could not extend file'", "''could not extend file''")
        .replace("'53100'", "''53100''"))  # fmt: skip
    server.run(
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.journal"
        f" FOR EACH ROW EXECUTE FUNCTION {schema}.full()"
    )
    with pytest.raises(StorageFullError, match="free some space on the server, then run again"):
        storage.save([intent(job)])
    assert stored(storage, job.id).status is _S.PENDING
    counts_hold(storage, batch, "a full disk")
    server.run(f"DROP TRIGGER full_disk ON {schema}.journal")
    assert not storage.save([intent(job)]).fenced


def test_tables_that_somebody_deleted(make: Make, server: Server, schema: str) -> None:
    storage = make()
    batch, _ = begin(storage, "a")
    server.run(f"DROP TABLE {schema}.counts")
    with pytest.raises(StorageCorruptError, match="were changed or deleted: restore a copy"):
        storage.counts(batch)


# -- lost connections --------------------------------------------------------------------------

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'batchkit'"


def test_connections_that_the_server_ended_are_made_again(make: Make, server: Server) -> None:
    storage = make()
    batch, epoch = begin(storage, "a")
    server.run(KILL)
    assert storage.counts(batch) == {_S.PENDING: 1}
    server.run(KILL)
    [job] = storage.claim(batch, epoch, 1, NOW)
    server.run(KILL)
    assert not storage.save([intent(job)]).fenced
    assert len(storage.journal(batch)) == 1


def test_a_connection_that_is_lost_in_the_middle_of_a_save(
    make: Make, server: Server, schema: str
) -> None:
    storage = make()
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    saved: list[Saved] = []
    with server.connect() as other, other.transaction():
        other.execute(f"LOCK TABLE {schema}.journal".encode())
        saver = threading.Thread(target=lambda: saved.append(storage.save([intent(job)])))
        saver.start()
        eventually_waits(server)
        server.run(KILL)
    saver.join()
    assert not saved[0].fenced
    assert len(storage.journal(batch)) == 1
    counts_hold(storage, batch, "a save that was begun twice")


def test_the_thread_connects_again(make: Make, server: Server) -> None:
    mine, other = make(), make()
    batch = mine.open_batch("b", NOW).id
    before = mine.changed()
    server.run(KILL)
    # Whoever could have missed a note is told to look.
    wait_for_change(mine, before)
    for _ in range(3):
        threading.Event().wait(0.6)
        before = mine.changed()
        other.add(batch, [new_job(f"{before}")], NOW)
        wait_for_change(mine, before)


def wait_for_change(storage: PostgresStorage, before: object) -> None:
    for _ in range(300):
        if storage.changed() != before:
            return
        threading.Event().wait(0.05)
    raise AssertionError("no change was told within 15 seconds")


# -- commits that are not answered -------------------------------------------------------------


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.release()
    made.close()


@pytest.mark.parametrize("cut", ["before", "after", "hold"])
def test_a_commit_without_an_answer_is_looked_up(
    make: Make, server: Server, proxy: Proxy, cut: Cut
) -> None:
    storage = make(server.tcp(port=proxy.port), timeout=1)
    batch, epoch = begin(storage, "a", "b")
    proxy.cut = cut
    [job] = storage.claim(batch, epoch, 1, NOW)
    assert job.identity == "a"
    assert proxy.cut is None
    proxy.cut = cut
    saved = storage.save([intent(job)])
    assert (proxy.cut, saved.fenced) == (None, frozenset())
    proxy.release()
    assert [line.seq for line in storage.journal(batch)] == [saved.first_seq] == [1]
    assert stored(storage, job.id).status is _S.SUBMITTING
    counts_hold(storage, batch, "a commit without an answer")
    proxy.cut = cut
    assert storage.add(batch, [new_job("c")], NOW)[0][1]
    assert [job.identity for job in storage.jobs(batch)] == ["a", "b", "c"]


def test_a_commit_that_cannot_be_looked_up(make: Make, server: Server, proxy: Proxy) -> None:
    storage = make(server.tcp(port=proxy.port), timeout=1, max_connections=1)
    batch, epoch = begin(storage, "a")
    [job] = storage.claim(batch, epoch, 1, NOW)
    proxy.cut, proxy.closed = "after", True
    with pytest.raises(StorageUnavailableError, match="cannot be asked whether it took place"):
        storage.save([intent(job)])
    proxy.closed = False
    # It did: whoever comes next finds it.
    assert [job.status for job in storage.in_flight(batch, epoch)] == [_S.SUBMITTING]
