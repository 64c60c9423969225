"""The commands that look at batches and steer them: status, list, pause, stop, prune."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from batchkit._jobs import Job, JobStatus
from batchkit._runner import BatchRunner
from batchkit.cli._options import age, common, language_of, said, stored
from batchkit.cli._records import (
    batch_record,
    job_record,
    print_record,
    print_records,
    summary_record,
)
from batchkit.storage import Storage
from batchkit.ui._lines import clean, short
from batchkit.ui._report import command
from batchkit.ui.terminal import print_summary


@click.command()
@common
@click.pass_context
def status(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """Show how a batch stands. Works while it runs elsewhere, and changes nothing.

    Ends with 0 whatever the batch looks like; --json tells its exit_code.

    \b
    Examples:
      batchkit status
      batchkit status --name videos --json
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        summary = runner.summary()
        if as_json:
            print_record(summary_record(summary, runner))
        else:
            print_summary(summary, runner, lang=language_of(ctx))


@click.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([str(value) for value in JobStatus]),
    help="Only these; may be repeated.",
)
@click.option("--batches", is_flag=True, help="List the batches instead of jobs.")
@common
@click.pass_context
def list_jobs(
    ctx: click.Context,
    statuses: tuple[str, ...],
    batches: bool,
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """List the jobs of a batch, or the batches of a database.

    Columns: number, status, attempts, title, error.

    \b
    Examples:
      batchkit list
      batchkit list --status failed --status expired
      batchkit list --json | jq -r '.[].files[]'
      batchkit list --batches
    """
    with stored(storage) as opened:
        if batches:
            _list_batches(ctx, opened, as_json=as_json)
            return
        runner = BatchRunner.open(opened, name=name)
        wanted = {JobStatus(value) for value in statuses} or None
        # Results only for programs: reading them makes long lists slow.
        jobs = opened.jobs(runner.batch.id, wanted, results=as_json)
        if as_json:
            print_records(job_record(job) for job in jobs)
        else:
            _print_lines(_job_lines(ctx, jobs), said(ctx, "no_jobs"))


def _job_lines(ctx: click.Context, jobs: Iterator[Job]) -> Iterator[str]:
    lang = language_of(ctx)
    width = max(len(value.label(lang)) for value in JobStatus)
    for job in jobs:
        label = job.status.label(lang)
        error = f"  {clean(job.error.message)}" if job.error is not None else ""
        yield f"{job.id:>5}  {label:<{width}}  {job.attempt}  {short(job.title)}{error}"


def _list_batches(ctx: click.Context, storage: Storage, *, as_json: bool) -> None:
    found = [(batch, storage.counts(batch.id)) for batch in storage.batches()]
    if as_json:
        print_records(batch_record(batch, {str(s): n for s, n in c.items()}) for batch, c in found)
        return
    lang = language_of(ctx)
    lines = (
        f"{clean(batch.name)}: "
        + (", ".join(f"{n} {s.label(lang)}" for s, n in counts.items()) or said(ctx, "no_jobs"))
        for batch, counts in found
    )
    _print_lines(lines, said(ctx, "no_batches"))


def _print_lines(lines: Iterator[str], otherwise: str) -> None:
    empty = True
    for line in lines:
        empty = False
        click.echo(line)
    if empty:
        # No data: not on standard output, where a program would count it.
        click.echo(otherwise, err=True)


@click.command()
@common
@click.pass_context
def pause(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """Submit nothing new for now.

    What is in flight is brought to its end. Works from another terminal while the batch runs.
    `batchkit resume` lets it go on.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        runner.pause()
        several = len(opened.batches()) > 1
        again = command("resume", opened.location, runner.name if several else None)
        _told(as_json, runner, said(ctx, "pause_said", runner.name, again))


@click.command()
@click.option("--now", is_flag=True, help="Wait only for submissions that are on their way.")
@common
@click.pass_context
def stop(ctx: click.Context, now: bool, storage: str, name: str | None, as_json: bool) -> None:
    """End a run from another terminal.

    As Ctrl-C does there: what is in flight ends first. The command that started the batch goes on
    with it later.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        runner.stop(now=now)
        _told(as_json, runner, said(ctx, "stop_now_said" if now else "stop_said", runner.name))


def _told(as_json: bool, runner: BatchRunner, message: str) -> None:
    if as_json:
        print_record({"batch": runner.name, "control": str(runner.batch.control)})
    else:
        click.echo(message)


@click.command()
@click.option(
    "--older-than", required=True, metavar="AGE", help="As 30d, 12h, 45m: since the batch ended."
)
@common
@click.pass_context
def prune(
    ctx: click.Context, older_than: str, storage: str, name: str | None, as_json: bool
) -> None:
    """Delete the records of batches that ended long ago.

    Files stay where they are. Only whole batches go, and only those of which every job has ended;
    --name has no meaning here.

    \b
    Example:
      batchkit prune --older-than 30d
    """
    seconds = age(older_than)
    if name is not None:
        raise click.UsageError("prune looks at all batches: leave --name out", ctx)
    with stored(storage) as opened:
        gone = opened.prune(time.time() - seconds)
    if as_json:
        print_record({"pruned": gone})
    else:
        click.echo(said(ctx, "pruned", gone))


COMMANDS = (status, list_jobs, pause, stop, prune)
