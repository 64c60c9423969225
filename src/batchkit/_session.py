"""One run of a batch, from taking it to leaving it: the checks before, the bookkeeping after."""

from __future__ import annotations

import logging
import os
from types import TracebackType
from typing import TYPE_CHECKING

from batchkit._batch_steering import STOPPED_WHILE_PAUSED
from batchkit._codec import dump_config
from batchkit._config import Batch, Control
from batchkit._dispatch import Dispatcher
from batchkit._engine import Engine
from batchkit._errors import ClientMismatchError, StorageError, UsageError
from batchkit._events import BatchFinished, BatchStarted, Event
from batchkit._io import CrashError
from batchkit._jobs import IN_FLIGHT, JobStatus
from batchkit._pacer import Pacer, shared_quota
from batchkit._redaction import hush_http_logs, remember, secrets_in
from batchkit.clients.base import BoundClient
from batchkit.clients.binding import bind_client, close_client
from batchkit.storage._journal import make_event
from batchkit.storage.base import Entry, Storage

if TYPE_CHECKING:
    from batchkit._runner import BatchRunner

log = logging.getLogger("batchkit")


def lift(storage: Storage, batch: Batch) -> None:
    """Ends what was said to the last run only: a stop, and a pause of batchkit's own."""
    paused_by_person = batch.control is Control.PAUSED and not batch.control_reason
    if not paused_by_person and batch.control is not Control.RUNNING:
        paused = batch.control_reason == STOPPED_WHILE_PAUSED
        now = Control.PAUSED if paused else Control.RUNNING
        storage.set_control(batch.id, now, "", None, only_from=batch.control)


class Session:
    """A context manager: inside, the caller is the only runner of the batch.

    Args:
        runner: whose batch.
        client: as the user gave it; a factory makes a new client for each run.
        limit: start at most this many jobs.
        linger: wait for a resume when paused.
        lifted: :func:`lift` was called already, by whoever started the run.
    """

    def __init__(
        self,
        runner: BatchRunner,
        client: object,
        *,
        limit: int | None,
        linger: bool,
        lifted: bool = False,
    ) -> None:
        self._runner, self._spec = runner, client
        self._limit, self._linger, self._lifted = limit, linger, lifted

    def __enter__(self) -> Engine:
        runner = self._runner
        if self._spec is None:
            raise UsageError("this runner has no client: pass one to BatchRunner(client, ...)")
        if self._limit is not None and self._limit < 0:
            raise UsageError(f"limit is {self._limit}: give a number that is 0 or more")
        hush_http_logs()
        remember(secrets_in(os.environ))
        batch_id = runner.batch.id
        epoch = runner.storage.acquire(batch_id)
        client: BoundClient | None = None
        try:
            client = bind_client(self._spec)
            batch = self._open(client)
            engine = self._engine(client, batch, epoch)
            # What others heard before may be long answered; each job is polled at its time.
            engine.dispatcher.heard = self._tell(BatchStarted, None)
        except BaseException:
            runner.storage.release(batch_id)
            if client is not None:
                close_client(client)
            raise
        self._batch_id = batch_id
        runner.attach_engine(engine)
        return engine

    def _open(self, client: BoundClient) -> Batch:
        """Writes down with what the batch is run; lifts what only the last run was told."""
        runner = self._runner
        storage, batch = runner.storage, runner.batch
        self._same_client(client, batch)
        if runner.artifacts is not None:
            # First: options that cannot work must not stay with the batch.
            runner.artifacts.check(storage.jobs(batch.id))
        if not self._lifted:
            lift(storage, batch)
        return storage.update_batch(
            batch.id,
            client_ref=client.ref,
            config=dump_config(runner.config),
            max_concurrent=runner.config.max_concurrent,
            started=batch.started or runner.clock.time(),
        )

    def _same_client(self, client: BoundClient, batch: Batch) -> None:
        if not batch.client_ref or batch.client_ref == client.ref:
            return
        counts = self._runner.storage.counts(batch.id)
        pending = counts.get(JobStatus.PENDING, 0)
        if pending:
            log.warning(
                "batch %r was last run with %s; its %d pending jobs now go to %s",
                batch.name,
                batch.client_ref,
                pending,
                client.ref,
            )
        bound = {*IN_FLIGHT, JobStatus.UNCERTAIN}
        if client.free:
            # Free work that was interrupted belongs to whoever repeats it.
            bound.discard(JobStatus.SUBMITTING)
        waiting = sum(counts.get(status, 0) for status in bound)
        if waiting:
            raise ClientMismatchError(
                f"batch {batch.name!r} has {waiting} jobs in flight at {batch.client_ref}, and "
                f"this client is {client.ref}: run it with the client that started it, or give "
                "the new work another name"
            )

    def _engine(self, client: BoundClient, batch: Batch, epoch: int) -> Engine:
        runner = self._runner
        config = runner.config
        delay = 0.0 if client.free else config.delay
        dispatcher = Dispatcher(
            runner.storage,
            batch,
            epoch,
            runner.clock,
            Pacer(config.rate_limit, delay, shared_quota(client.capabilities.quota)),
            capacity=runner.executor.capacity,
            quota=self._limit,
            linger=self._linger,
        )
        return Engine(
            client=client,
            config=config,
            storage=runner.storage,
            dispatcher=dispatcher,
            clock=runner.clock,
            draw=runner.rng.random,
            tell=runner.bus.tell,
            listens=runner.bus.listens,
            settled=runner.bus.settled,
            artifacts=runner.artifacts,
            hook=runner.hook,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        runner = self._runner
        try:
            # What a test stages as a crash leaves as a crash does: nothing is written after it.
            if not isinstance(error, CrashError):
                self._leave(error)
        finally:
            runner.detach_engine()
            runner.storage.release(self._batch_id)
            runner.bus.drain()

    def _leave(self, error: BaseException | None) -> None:
        runner = self._runner
        try:
            counts = {
                str(status): n for status, n in runner.storage.counts(runner.batch.id).items()
            }
            self._tell(BatchFinished, counts)
            if runner.artifacts is not None:
                jobs = runner.storage.jobs(runner.batch.id, results=True)
                runner.artifacts.report(jobs)
        except (StorageError, OSError) as exc:
            if error is None:
                raise
            # The run is ending with the first fault of this storage; this one adds nothing.
            log.warning("the end of the run could not be written down: %s", exc)

    def _tell(self, cls: type[Event], data: dict[str, int] | None) -> int:
        """Notes an event of the batch; its number in the journal."""
        runner = self._runner
        entry = Entry(cls.kind, runner.clock.time(), data=data)
        seq = runner.storage.append(runner.batch.id, [entry])
        if runner.bus.listens(cls):
            runner.bus.tell(make_event(cls, entry, runner.batch.id, None, seq))
        return seq
