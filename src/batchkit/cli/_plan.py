"""What a command that runs a batch was asked to do, and how it is done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import attrs
import click

from batchkit._adding import Adder
from batchkit._config import BatchConfig
from batchkit._errors import (
    BatchBusyError,
    BatchkitError,
    ClientError,
    StorageError,
    UsageError,
)
from batchkit._jobs import Job, JobStatus
from batchkit._runner import BatchRunner
from batchkit._summary import ExitCode, Summary
from batchkit.artifacts import LocalFolder
from batchkit.cli._clients import client_of, is_near, refuse_other_client
from batchkit.cli._language import language_of, said
from batchkit.cli._options import batch_name, chosen, stored
from batchkit.cli._paying import tell_purchase
from batchkit.cli._records import print_record, summary_record
from batchkit.cli._speech import watch
from batchkit.cli._wording import worded
from batchkit.clients.binding import bind_client, close_client
from batchkit.storage import Storage, open_storage
from batchkit.ui.terminal import print_summary, show_progress

_FAILED = frozenset({JobStatus.FAILED, JobStatus.EXPIRED})
_CONFIG = (
    "output", "template", "formats", "max_concurrent", "stop_on_error", "on_uncertain",
    "max_double_cost", "rate_limit", "delay", "request_timeout", "job_timeout", "max_retries",
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Plan:
    """What a command was asked to do, besides what to work on.

    Attributes:
        storage, name: where the batch is.
        as_json: answer a program, not a person.
        executor, limit: of the run.
        base_url: where the provider is, when it is not where it usually is.
        config: options of the batch that were given.
        retry: take failed jobs that were named up again.
    """

    storage: str
    name: str | None
    as_json: bool
    executor: str | None
    limit: int | None
    config: Mapping[str, Any]
    base_url: str | None = None
    retry: bool = False

    @classmethod
    def of(cls, options: dict[str, Any]) -> Plan:
        """Takes the shared options, and leaves the command's own."""
        names = ("storage", "name", "as_json", "executor", "limit")
        own = {name: options.pop(name) for name in names}
        retry = options.pop("retry", False)
        base_url = options.pop("base_url", None)
        config = chosen(**{key: options.pop(key) for key in _CONFIG if key in options})
        if base_url is not None and is_near(base_url):
            config["allow_private_downloads"] = True
        return cls(config=config, retry=retry, base_url=base_url, **own)

    def with_defaults(self, **defaults: Any) -> Plan:
        """With values for options that were not given."""
        return attrs.evolve(self, config={**chosen(**defaults), **self.config})

    def reopen(self, ctx: click.Context, found: BatchRunner, client: str | None) -> BatchRunner:
        """The stored batch with its client, and with what was asked for now."""
        limit = self.config.get("max_concurrent")
        made = client_of(found.batch, client, base_url=self.base_url, max_concurrent=limit)
        if isinstance(made, str) and client is None and not self.as_json:
            click.echo(said(ctx, "client_again", made), err=True)
        runner = BatchRunner.open(
            found.storage, made, name=found.name, executor=self.executor, **self.config
        )
        if runner.artifacts is not None:
            # Here too: a command that is refused has changed nothing.
            runner.artifacts.check(found.jobs())
        return runner


@attrs.frozen(kw_only=True)
class Items:
    """What a command was given to work on.

    Attributes:
        rows: reads them; more than once, so that a bad one is told before anything is stored.
        fields: of requests that lack them.
        prompts: the file that has to hold some.
        tell_new: called when some of them are new.
    """

    rows: Callable[[], Iterable[Any]]
    fields: Mapping[str, Any]
    prompts: str = ""
    tell_new: Callable[[], None] = lambda: None

    def check(self, client: object, config: BatchConfig) -> None:
        """Refuses what the client cannot do, without a database.

        Raises:
            UsageError: a row cannot work, or there is none.
        """
        bound = bind_client(client)
        try:
            with contextlib.closing(open_storage("memory")) as nowhere:
                count = Adder(nowhere, 0, config, bound).check(self.rows(), **self.fields)
        finally:
            close_client(bound)
        if self.prompts and not count:
            raise UsageError(f"{self.prompts} holds no prompt: write one per line")


def work(ctx: click.Context, plan: Plan, client: object, items: Items) -> None:
    """Checks everything that can be checked before a database exists, then adds and runs."""
    config = dict(plan.config)
    names = {key: config[key] for key in ("template", "formats") if key in config}
    items.check(client, BatchConfig().replace(**config))
    LocalFolder(config["output"], **names).check(())
    name = plan.name or batch_name(config["output"])
    with stored(plan.storage, create=True) as storage:
        refuse_other_client(storage, name, client)
        runner = BatchRunner(client, name=name, storage=storage, executor=plan.executor, **config)
        added = runner.add_many(items.rows(), **items.fields)
        if added.new:
            items.tell_new()
        if not plan.as_json:
            click.echo(said(ctx, "added", name, added.new, added.existing), err=True)
        named = frozenset(added.ids)
        _known_failures(ctx, plan, runner, named)
        run(ctx, plan, runner, named)


def _known_failures(
    ctx: click.Context, plan: Plan, runner: BatchRunner, named: Collection[int]
) -> None:
    """Jobs that were named and failed in an earlier run: retried only when that was asked for."""
    failed = [job for job in runner.jobs(_FAILED) if job.id in named]
    if plan.retry:
        failed = [job for job in failed if runner.retry(job)]
    if failed and not plan.as_json:
        key = "taken_up" if plan.retry else "not_retried"
        click.echo(said(ctx, key, len(failed)), err=True)


def run(
    ctx: click.Context, plan: Plan, runner: BatchRunner, named: Collection[int] | None = None
) -> None:
    """Runs the batch, shows how, and ends the command with the exit code.

    Args:
        ctx: of the command.
        plan: what was asked for.
        runner: with its client.
        named: jobs that the command named; ``None``: all of the batch. Of the others, only those
            that end in this run can make it fail.
    """
    lang, began = language_of(ctx), runner.clock.time()
    with contextlib.ExitStack() as stack:
        if not plan.as_json:
            if runner._client is not None:
                tell_purchase(ctx, runner, runner._client, plan.limit)
            screen = show_progress(runner, lang=lang, worded=worded)
            watch(ctx, stack.enter_context(screen))
        try:
            summary = runner.run(limit=plan.limit)
        except BatchBusyError:
            raise
        except BatchkitError as exc:
            stack.close()
            if is_of_the_disk(exc):
                _tell_what_is_left(plan, runner, exc, lang)
            raise
    if named is not None:
        summary = attrs.evolve(summary, earlier=_earlier(runner, named, began))
    _tell(plan, summary, runner, lang)
    if summary.exit_code is not ExitCode.DONE:
        ctx.exit(int(summary.exit_code))


def is_of_the_disk(exc: BatchkitError) -> bool:
    """Whether the database or the output folder is to blame."""
    return isinstance(exc, StorageError) or (isinstance(exc, ClientError) and exc.code == "path")


def _earlier(runner: BatchRunner, named: Collection[int], began: float) -> int:
    def is_old(job: Job) -> bool:
        return job.id not in named and (job.completed or began) < began

    return sum(is_old(job) for job in runner.jobs(_FAILED))


def _tell(plan: Plan, summary: Summary, runner: BatchRunner, lang: str | None) -> None:
    if plan.as_json:
        print_record(summary_record(summary, runner))
    else:
        print_summary(summary, runner, lang=lang, worded=worded)
    sys.stdout.flush()


def _tell_what_is_left(
    plan: Plan, runner: BatchRunner, exc: BatchkitError, lang: str | None
) -> None:
    """The summary of a run that the disk has ended, as far as the database still tells it."""
    try:
        summary = runner.summary()
    except StorageError:
        # It is the database that is gone; the error itself is all there is to tell.
        return
    summary = attrs.evolve(summary, stopped=summary.stopped or str(exc))
    if plan.as_json:
        record = summary_record(summary, runner)
        print_record({**record, "ok": False, "exit_code": int(ExitCode.STORAGE)})
        return
    print_summary(summary, runner, lang=lang, worded=worded)
    sys.stdout.flush()


def found_in(storage: Storage, plan: Plan) -> BatchRunner:
    """The stored batch that the command means."""
    return BatchRunner.open(storage, name=plan.name)
