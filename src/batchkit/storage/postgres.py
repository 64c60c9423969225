"""A storage in a PostgreSQL database, for batches that several machines look at or take over.

Needs the extra ``postgres``. A runner holds its batch by a lease on the database's clock, which a
thread of the storage renews. When the lease ran out and somebody else took the batch over, no state
of the late runner is written any more, whatever it had begun; what the provider answered it still
goes to the journal, as evidence.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit._config import Batch, Control, Durability
from batchkit._errors import BatchBusyError, MissingExtraError, StorageError, UsageError
from batchkit._jobs import Job, JobStatus
from batchkit.storage import _postgres_rows as rows
from batchkit.storage import _postgres_sql as sql
from batchkit.storage._batch_errors import gone
from batchkit.storage._journal import missing
from batchkit.storage._postgres_owner import Holder, note_held, note_released, this_process
from batchkit.storage._postgres_reading import Reading
from batchkit.storage._rescue import RescueFile
from batchkit.storage.base import Change, Entry, NewJob, Saved

if TYPE_CHECKING:
    from batchkit.storage._postgres_db import Database, Rows, Statement
    from batchkit.storage._postgres_keeper import Keeper

log = logging.getLogger("batchkit.storage")

_COLUMNS = ("client_ref", "config", "max_concurrent", "started")


class PostgresStorage(Reading):
    """Keeps batches in a PostgreSQL database (14 or newer).

    Args:
        dsn: a URL as ``postgresql://user@host:5432/database``, or a libpq connection string. The
            password is better left to ``PGPASSWORD`` or ``~/.pgpass``; it is never shown. A URL may
            name the schema: ``?schema=videos``.
        schema: where the tables are; made when it is not there.
        lease_seconds: how long a runner that is not heard of keeps its batch.
        durability: what survives a crash of the *server*, beside intents, handles and results,
            which always do: ``"full"`` loses nothing, ``"normal"`` and ``"off"`` may lose what was
            saved in the last second. The death of the runner loses nothing.
        timeout: seconds to wait for a connection, and for another program's lock.
        max_connections: most connections at once, beside the one that renews the lease.
        rescue: where handles go that cannot be saved; by default a file in ``$XDG_STATE_HOME``
            (``~/.local/state``), below ``batchkit``.

    Raises:
        MissingExtraError: the extra ``postgres`` is not installed.
        UsageError: the address or an option cannot be used.
        StorageError: the database cannot be used; the subclass says why.
    """

    #: By other runners, on whichever machine.
    shared = True

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "batchkit",
        lease_seconds: float = 30.0,
        durability: Durability = "normal",
        timeout: float = 5.0,
        max_connections: int = 4,
        rescue: str | Path | None = None,
    ) -> None:
        if lease_seconds < 1 or timeout <= 0 or max_connections < 1:
            raise UsageError("lease_seconds and max_connections start at 1, timeout above 0")
        self._db = _open(dsn, schema, durability, timeout, max_connections)
        self._me = this_process(uuid.uuid4().hex)
        self._keeper = _keeper(self._db, self._me.token, lease_seconds)
        self.location = self._db.location
        self._lease, self._noted = lease_seconds, 0
        self._owned: set[int] = set()
        self._acquiring = threading.Lock()
        self._rescue_path = Path(rescue) if rescue else _state_file(self._db.uid)
        self._commit = self._db.commit
        #: Wakes others when the transaction commits.
        self._note = self._keeper.note()

    def __repr__(self) -> str:
        return f"<PostgresStorage {self.location!r}>"

    # -- batches ---------------------------------------------------------------------------

    def open_batch(self, name: str, now: float) -> Batch:
        found = self.find_batch(name)
        if found is None:
            self._commit((sql.OPEN_BATCH, (uuid.uuid4().hex, rows.plain(name), now)))
            found = self.find_batch(name)
        assert found is not None
        return found

    def update_batch(self, batch_id: int, **changes: Any) -> Batch:
        given = {name: changes.pop(name, None) for name in _COLUMNS}
        assert not changes, f"a batch has no {sorted(changes)}"
        values = {n: rows.plain(v) if isinstance(v, str) else v for n, v in given.items()}
        found, _ = self._commit((sql.UPDATE_BATCH, {"batch": batch_id, **values}), self._note)
        if not found:
            raise gone(batch_id)
        self._noted += 1
        return rows.batch_from(found[0])

    def set_control(
        self,
        batch_id: int,
        control: Control,
        reason: str,
        entry: Entry | None,
        *,
        only_from: Control | None = None,
    ) -> bool:
        values = {"control": control, "reason": rows.plain(reason), "only": only_from}
        _, done, _ = self._commit(
            (sql.LOCK, (batch_id,)),
            (sql.SET_CONTROL, values | rows.lines(batch_id, [entry] if entry else [])),
            self._note,
        )
        self._noted += bool(done)
        return bool(done)

    def acquire(self, batch_id: int) -> int:
        self._keeper.start()
        # First: a lease whose storage is not known to this process is taken for a dead one's.
        with self._acquiring:
            note_held(self._me.token, batch_id)
            try:
                epoch = self._taken(batch_id)
                self._owned.add(batch_id)
            finally:
                if batch_id not in self._owned:
                    note_released(self._me.token, batch_id)
            self._keeper.hold(batch_id, epoch)
        return epoch

    def _taken(self, batch_id: int) -> int:
        """The epoch of the lease, which is this storage's now."""
        # Within the block the file is locked; it stays when the block fails.
        with self._rescue_file(batch_id).taken_over() as handles:
            # A process that died here had written them already.
            rescued = missing(handles, self._handles)
            epoch, holder, name = self._take(batch_id, rescued, None)
            # Its own lease may be one that an outage kept it from giving back.
            over = holder.token == self._me.token or holder.is_dead(batch_id)
            if not epoch and batch_id not in self._owned and over:
                epoch, holder, name = self._take(batch_id, rescued, holder.token)
            if not epoch:
                raise holder.busy(name)
        return epoch

    def _rescue_file(self, batch_id: int) -> RescueFile:
        path = self._rescue_path
        return RescueFile(path.with_name(f"{path.stem}.{batch_id}{path.suffix}"))

    def _take(
        self, batch_id: int, rescued: Sequence[Entry], dead: str | None
    ) -> tuple[int, Holder, str]:
        """The new epoch or 0, who holds the batch now, and its name."""
        me = {"owner": self._me.token, "host": self._me.host, "machine": self._me.machine}
        values = me | {"pid": self._me.pid, "lease": self._lease, "dead": dead}
        # As safe as the handles themselves: the rescue file goes once they are here.
        _, taken, found, *_ = self._commit(
            (sql.LOCK, (batch_id,)),
            (sql.ACQUIRE, values | rows.lines(batch_id, rescued)),
            (sql.HOLDER, (batch_id,)),
            (sql.FORGET, ()),
            self._note,
            power_safe=True,
        )
        if not found:
            raise gone(batch_id)
        name, *holder = found[0]
        return taken[0][0] if taken else 0, Holder(*holder), rows.original(name)

    def release(self, batch_id: int) -> None:
        if batch_id not in self._owned or self._db.inherited:
            return
        self._keeper.drop(batch_id)
        self._owned.discard(batch_id)
        note_released(self._me.token, batch_id)
        try:
            self._commit((sql.RELEASE, (batch_id, self._me.token)))
        except StorageError as exc:
            # The run that ends here has something more important to say.
            log.warning("a lease was not given back, and ends in %g s: %s", self._lease, exc)

    # -- jobs ------------------------------------------------------------------------------

    def add(self, batch_id: int, items: Sequence[NewJob], now: float) -> Sequence[tuple[int, bool]]:
        keys, new = rows.new_rows(items)
        values = {"rows": rows.table(new), "batch": batch_id, "now": now}
        head, found, _ = self._commit((sql.LOCK, (batch_id,)), (sql.ADD, values), self._note)
        if not head:
            raise gone(batch_id)
        jobs = {key: (job_id, fresh) for key, job_id, fresh in found}
        self._noted += any(fresh for _, fresh in jobs.values())
        added = []
        for key in keys:
            added.append(jobs[key])
            jobs[key] = (jobs[key][0], False)
        return added

    def claim(self, batch_id: int, epoch: int, limit: int, now: float) -> Sequence[Job]:
        values = {"batch": batch_id, "epoch": epoch, "limit": limit, "now": now}
        head, found = self._commit((sql.SHARE, (batch_id,)), (sql.CLAIM, values))
        self._still_mine(batch_id, epoch, head)
        jobs = [rows.job_from(row) for row in found]
        return sorted(jobs, key=lambda job: (-job.priority, job.index))

    def in_flight(self, batch_id: int, epoch: int) -> Sequence[Job]:
        values = {"batch": batch_id, "epoch": epoch}
        head, found = self._commit((sql.LOCK, (batch_id,)), (sql.IN_FLIGHT, values))
        self._still_mine(batch_id, epoch, head)
        return [rows.job_from(row[:-1], row[-1]) for row in found]

    def _still_mine(self, batch_id: int, epoch: int, head: Rows) -> None:
        if head and head[0][0] == epoch:
            return
        found = self._db.read(sql.HOLDER, batch_id)
        if not found:
            raise gone(batch_id)
        name, _, host, _, pid, _ = found[0]
        who = f"process {pid} on {host}" if pid else "another runner, which has left again"
        raise BatchBusyError(
            f"batch {rows.original(name)!r} was taken over by {who}, because this runner was not "
            "heard of for longer than its lease: leave the batch to it; nothing is lost"
        )

    def save(self, changes: Sequence[Change]) -> Saved:
        lines: dict[int, list[Entry]] = {}
        for change in changes:
            lines.setdefault(change.job.batch_id, []).extend(change.entries)
        # In one order for all, so that nobody waits for a batch that waits for him.
        heads = [(sql.HEAD, (len(lines[b]), b, len(lines[b]))) for b in sorted(lines)]
        saves = [(sql.SAVE, (rows.table(turn),)) for turn in rows.turns(changes)]
        told = [(sql.JOURNAL, rows.lines(b, each)) for b, each in lines.items() if each]
        renewal = self._keeper.renewal() if self._keeper.is_late else None
        last = [renewal.statement] if renewal else []
        safe = any(change.power_safe for change in changes)
        found = self._commit((sql.BY_KEY, ()), *heads, *saves, *told, *last, power_safe=safe)
        if renewal:
            self._keeper.renewed(renewal, found[-1])
        numbers, found = found[1 : 1 + len(heads)], found[1 + len(heads) :]
        self._keeper.wrote()
        written = {row[0] for rows in found[: len(saves)] for row in rows}
        first = numbers[sorted(lines).index(changes[0].job.batch_id)] if changes else []
        return Saved(frozenset(range(len(changes))) - written, first[0][0] if first else 0)

    def rescue(self, changes: Sequence[Change]) -> None:
        self._rescue_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for batch_id in {change.job.batch_id for change in changes}:
            of_batch = [change for change in changes if change.job.batch_id == batch_id]
            self._rescue_file(batch_id).write(of_batch)

    def steer(self, job: Job, was: JobStatus, entry: Entry | None) -> bool:
        values = rows.lines(job.batch_id, [entry] if entry else [])
        values["rows"] = rows.table([rows.steer_row(job, was)])
        return self._of_person(job.id, (sql.STEER, values))

    def remove(self, job_id: int) -> bool:
        return self._of_person(job_id, (sql.REMOVE, (job_id,)))

    def request_cancel(self, job_id: int, now: float) -> None:
        self._of_person(job_id, (sql.REQUEST_CANCEL, (now, job_id)))

    def _of_person(self, job_id: int, statement: Statement) -> bool:
        _, done, _ = self._commit((sql.LOCK_OF_JOB, (job_id,)), statement, self._note)
        self._noted += bool(done)
        return bool(done)

    # -- journal ---------------------------------------------------------------------------

    def append(self, batch_id: int, entries: Sequence[Entry]) -> int:
        safe = any(entry.data and "handle" in entry.data for entry in entries)
        n = len(entries)
        head, *_ = self._commit(
            (sql.HEAD, (n, batch_id, n)),
            (sql.JOURNAL, rows.lines(batch_id, entries)),
            self._note,
            power_safe=safe,
        )
        if not head:
            raise gone(batch_id)
        self._noted += 1
        first: int = head[0][0]
        return first

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self) -> object:
        self._keeper.start()
        return self._noted, self._keeper.heard

    def prune(self, before: float) -> int:
        jobs = 0
        for (batch_id,) in self._db.read(sql.PRUNABLE, before, before):
            values = {"batch": batch_id, "before": before}
            _, [(batches, of_batch)], _ = self._commit(
                (sql.LOCK, (batch_id,)), (sql.PRUNE, values), self._note
            )
            self._noted += batches
            jobs += of_batch
        return jobs

    def close(self) -> None:
        if self._db.inherited:
            return
        for batch_id in list(self._owned):
            self.release(batch_id)
        self._keeper.close()
        self._db.close()


def is_url(spec: object) -> bool:
    """Whether ``storage=`` names a PostgreSQL database."""
    return isinstance(spec, str) and spec.startswith(("postgresql://", "postgres://"))


def _open(
    dsn: str, schema: str, durability: Durability, timeout: float, max_connections: int
) -> Database:
    try:
        from batchkit.storage._postgres_address import read_address
        from batchkit.storage._postgres_db import Database
    except ImportError as exc:
        raise MissingExtraError("PostgresStorage", "postgres") from exc
    return Database(read_address(dsn, schema, timeout), durability, timeout, max_connections)


def _keeper(database: Database, token: str, lease_seconds: float) -> Keeper:
    from batchkit.storage._postgres_keeper import Keeper

    return Keeper(database, token, lease_seconds)


def _state_file(uid: str) -> Path:
    """Where handles are rescued to: named after the database, not after one of its addresses."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return Path(state, "batchkit", f"postgres-{uid}.rescue.jsonl")
