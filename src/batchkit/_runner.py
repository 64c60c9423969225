"""The face of the library: options in, jobs in, results out."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import attrs

from batchkit._batch_adding import BatchAdding
from batchkit._bus import Callback, Subscription, Via
from batchkit._calls import Clock
from batchkit._clock import SystemClock
from batchkit._config import BatchConfig, Control
from batchkit._engine import Engine
from batchkit._errors import StorageError
from batchkit._events import Event
from batchkit._handle import BatchHandle
from batchkit._i18n import text
from batchkit._jobs import Job, JobStatus
from batchkit._opening import output_folder, stored_batch, stored_options
from batchkit._progress import Progress
from batchkit._session import Session, lift
from batchkit._signals import interrupts
from batchkit._summary import Summary
from batchkit.artifacts import ArtifactStore
from batchkit.clients.binding import bind_client, close_client
from batchkit.executors import Executor, make_executor
from batchkit.storage import Storage, open_storage

log = logging.getLogger("batchkit")

DEFAULT_STORAGE = "batchkit.db"

_CallbackT = TypeVar("_CallbackT", bound=Callback)


class BatchRunner(BatchAdding):
    """Runs a batch of video jobs against one client, and remembers every step.

    Running the same program again is how one resumes: what is done stays done, what is in flight at
    the provider is taken up again, what is new is added.

    Args:
        client: an object with ``submit`` (and ``poll``), a function ``f(request) -> result``, a
            factory, ``"module:factory"``, or the name of a provider, as ``"fal"`` (see
            :func:`batchkit.clients.load`); ``None`` to look at a batch without running it.
        name: of the batch; several batches may share a storage.
        storage: path of a SQLite file (default ``batchkit.db``), ``"memory"``, the address of a
            PostgreSQL database (``postgresql://user@host/database``), or an object.
        executor: ``"sequential"``, ``"threads"``, ``"asyncio"``, ``"trio"``, or an object; by
            default threads for a sync client and asyncio for an async one.
        artifacts: where results are delivered, when a folder is not enough.
        clock, rng, hook: time, chance and crash points, for tests.
        options: everything in :class:`~batchkit.BatchConfig`, as ``max_concurrent=5``.

    Raises:
        UsageError: an option or the client cannot work.
        StorageError: the storage cannot be used.
    """

    def __init__(
        self,
        client: object = None,
        *,
        name: str = "default",
        storage: str | Path | Storage = DEFAULT_STORAGE,
        executor: str | Executor | None = None,
        artifacts: ArtifactStore | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        hook: Callable[[str], object] | None = None,
        **options: Any,
    ) -> None:
        config = BatchConfig().replace(**options)
        self._client_spec = client
        bound = None if client is None else bind_client(client)
        if bound is not None:
            named = client if isinstance(client, str) else None
            config = config.replace(client_name=named, local=bound.capabilities.local)
        is_async = bound is not None and bound.is_async
        self.executor = make_executor(executor, is_async=is_async)
        clock = clock or SystemClock()
        # Whatever can be wrong with the options is found before a file is made.
        folder = artifacts or output_folder(config, hook)
        self._owns_storage = isinstance(storage, (str, Path))
        opened = open_storage(storage)
        batch = opened.open_batch(name, clock.time())
        super().__init__(opened, batch, clock, config, bound)
        # Jitter needs no secrecy.
        self.rng, self.hook = rng or random.Random(), hook  # noqa: S311
        self.artifacts = folder
        self._engine: Engine | None = None
        self._started_at = 0.0
        self._last_run = (0.0, 0)
        self._stop_cause = ""
        self._limited = False
        self._repeated = (0, 0.0)
        self._on_change = self._nudge

    @classmethod
    def open(
        cls,
        storage: str | Path | Storage = DEFAULT_STORAGE,
        client: object = None,
        *,
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """A stored batch with the configuration that it was run with.

        Args:
            storage: where it is.
            client: needed to run it; not needed to look at it or to steer it.
            name: of the batch; not needed when the storage holds only one.
            options: what shall differ from the stored configuration.

        Raises:
            UsageError: there is no such file or batch, or several and no name.
        """
        opened, found = stored_batch(storage, name)
        kept = stored_options(found)
        place = {"executor", "artifacts", "clock", "rng", "hook"}
        extras = {key: options.pop(key) for key in place & options.keys()}
        runner = cls(client, name=found.name, storage=opened, **extras, **{**kept, **options})
        runner._owns_storage = isinstance(storage, (str, Path))
        return runner

    def __repr__(self) -> str:
        try:
            counts = ", ".join(f"{n} {status}" for status, n in self.counts().items()) or "empty"
        except StorageError as exc:
            # A repr stands in tracebacks: it must not raise one of its own.
            counts = str(exc)
        return f"<BatchRunner {self.name!r} {self.storage.location}: {counts}>"

    def _repr_html_(self) -> str:
        return f"<b>{self.name}</b> {self.progress()._repr_html_()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the storage, if this runner opened it; may be called twice."""
        self.bus.close()
        if self._client is not None:
            close_client(self._client)
            self._client = attrs.evolve(self._client, closers=())
        if self._owns_storage:
            self.storage.close()

    # -- watching ----------------------------------------------------------------------------

    def on(
        self, *events: type[Event], via: Via | None = None
    ) -> Callable[[_CallbackT], _CallbackT]:
        """Registers a callback; a decorator. Without *events*, it hears all of them.

        Callbacks run on one thread of their own, in order; async ones on a loop of theirs. One that
        raises is logged and counted, and changes nothing.

        Args:
            events: classes to hear.
            via: schedules the call on a screen's thread, as ``tkinter``'s ``root.after`` does:
                ``via(0, function)``.
        """

        def register(callback: _CallbackT) -> _CallbackT:
            self.bus.subscribe(Subscription(events or (Event,), callback, via))
            return callback

        return register

    def progress(self) -> Progress:
        """How far the batch is, now."""
        engine = self._engine
        batch = self.batch
        if engine is not None:
            self._last_run = (self.clock.monotonic() - self._started_at, engine.ended_jobs)
        elapsed, finished = self._last_run
        return Progress(
            counts=self.counts(),
            elapsed=elapsed,
            finished=finished,
            active=engine.dispatcher.active if engine else 0,
            paused=batch.control is Control.PAUSED,
            cost=self.storage.cost(batch.id),
            started=batch.started,
            local=self.config.local,
        )

    def active(self) -> list[Job]:
        """Jobs in flight now, with progress and poll errors that are not worth a save."""
        engine = self._engine
        if engine is None:
            return []
        tasks = list(engine.scheduler.tasks.values())
        jobs: list[Job] = [engine.live.get(t.key) or t.job for t in tasks if t.key > 0]
        return sorted(jobs, key=lambda job: job.index)

    def results(self) -> Iterator[Job]:
        """Completed jobs with their results, in order of index."""
        return self.storage.jobs(self._batch.id, {JobStatus.COMPLETED}, results=True)

    def why(self, job: Job | int, *, lang: str | None = None) -> str:
        """Why a job stands where it stands, in one line for people.

        Args:
            job: the job, or its id.
            lang: ``"pt"`` or ``"en"``; by default ``BATCHKIT_LANG``, else the locale's.
        """
        found, engine = self.job(job), self._engine
        if engine is None or found.status is not JobStatus.PENDING:
            return self._why(found, lang, local=self.config.local)
        key, wait = engine.dispatcher.waits_for(found)
        when = "" if wait is None else ", " + text("in_seconds", lang, wait)
        if key == "why_rate" and self.config.rate_limit is not None:
            when = f" {self.config.rate_limit}{when}"
        return f"{found.status.label(lang)}: {text(key, lang)}{when}"

    @property
    def max_concurrent(self) -> int:
        """Jobs in flight at once; can be set while the batch runs, here or in another process."""
        return self.batch.max_concurrent

    @max_concurrent.setter
    def max_concurrent(self, value: int) -> None:
        self.config = self.config.replace(max_concurrent=value)
        self.storage.update_batch(self._batch.id, max_concurrent=value)
        self._nudge()

    def _pass_on(self, job_id: int | None, handle_id: str | None) -> bool:
        engine = self._engine
        if engine is None:
            return super()._pass_on(job_id, handle_id)
        return engine.hint(job_id, handle_id)

    def attach_engine(self, engine: Engine) -> None:
        """For a :class:`~batchkit._session.Session`: the run that starts now."""
        self._engine, self._started_at = engine, self.clock.monotonic()
        self._stop_cause, self._limited, self._repeated = "", False, (0, 0.0)

    def detach_engine(self) -> None:
        """For a :class:`~batchkit._session.Session`: the run is over."""
        engine = self._engine
        if engine is not None:
            self._stop_cause = engine.dispatcher.stop_cause
            self._limited = engine.dispatcher.limited
            self._repeated = (engine.doubles.count, engine.doubles.cost)
            self._last_run = (self.clock.monotonic() - self._started_at, engine.ended_jobs)
        self._engine = None

    def _nudge(self) -> None:
        engine = self._engine
        if engine is not None:
            engine.nudge()

    # -- running -----------------------------------------------------------------------------

    def run(self, *, limit: int | None = None) -> Summary:
        """Runs the batch in this thread, until everything ended or waits for a person.

        Args:
            limit: submit at most this often: a sample, before the rest. A job that was refused
                and is tried again counts again.

        Raises:
            UsageError: there is no client, or the output folder cannot work; nothing was paid.
            BatchBusyError: another runner works on this batch.
            StorageError: the storage failed; what was in flight has been recorded.
            KeyboardInterrupt: the third Ctrl-C.
        """
        return self._run(limit, linger=False)

    async def run_async(self, *, limit: int | None = None) -> Summary:
        """The same within a running event loop, asyncio's or trio's.

        When it is cancelled, submissions on their way are still recorded before it leaves.
        """
        session = Session(self, self._client_spec, limit=limit, linger=False)
        with session as engine:
            await self.executor.run_async(engine)
        return self.summary()

    def start(self, *, limit: int | None = None) -> BatchHandle:
        """Runs the batch in a thread of its own, and returns at once.

        A batch that is paused meanwhile waits for its resume, instead of ending the run.
        """
        # Here, not in the thread: a stop that follows at once is meant for this run.
        lift(self.storage, self.batch)
        return BatchHandle(self, lambda: self._run(limit, linger=True))

    def _run(self, limit: int | None, *, linger: bool) -> Summary:
        session = Session(self, self._client_spec, limit=limit, linger=linger, lifted=linger)
        with session as engine, interrupts(engine):
            self.executor.run(engine)
        return self.summary()

    def summary(self) -> Summary:
        """How the last run ended, or how the batch stands."""
        batch = self.batch
        return Summary(
            batch=self.name,
            progress=self.progress(),
            failures=self.failures(),
            stopped=self._stop_cause,
            limited=self._limited,
            paused=batch.control_reason if batch.control is Control.PAUSED else None,
            callback_errors=self.bus.failed,
            repeated=self._repeated[0],
            repeated_cost=self._repeated[1],
            location=self.storage.location,
        )


def run(client: object, prompts: Iterable[Any], **options: Any) -> Summary:
    """Runs a batch in one line: adds what is new, resumes what is not finished.

    Args:
        client: as for :class:`BatchRunner`.
        prompts: texts, requests or mappings.
        options: as for :class:`BatchRunner`.
    """
    with BatchRunner(client, **options) as runner:
        runner.add_many(prompts)
        return runner.run()
