"""The commands that look at batches, and change nothing: status, list, why, events, verify."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import click

from batchkit._codec import load_config
from batchkit._events import Event, JobEvent
from batchkit._jobs import Job, JobStatus
from batchkit._progress import Progress
from batchkit._runner import BatchRunner
from batchkit._summary import ExitCode
from batchkit.artifacts._files import same_bytes
from batchkit.cli._help import command
from batchkit.cli._language import language_of, said
from batchkit.cli._options import common, numbered, stored
from batchkit.cli._records import (
    batch_record,
    event_record,
    job_record,
    print_record,
    print_records,
    summary_record,
)
from batchkit.cli._wording import worded
from batchkit.storage import Storage
from batchkit.ui._lines import clean, short
from batchkit.ui.terminal import print_summary


@command()
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
            print_summary(summary, runner, lang=language_of(ctx), worded=worded)


@command("list")
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

    Columns: number, status, attempts, title, error. The number is what other commands call JOB.

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
            lines = _job_lines(jobs, language_of(ctx), local=runner.config.local)
            _print_lines(lines, said(ctx, "no_jobs"))


def _job_lines(jobs: Iterator[Job], lang: str | None, *, local: bool) -> Iterator[str]:
    width = max(len(value.label(lang)) for value in JobStatus)
    for job in jobs:
        label = job.status.label(lang, local=local)
        error = f"  {clean(worded(job.error.message, lang))}" if job.error is not None else ""
        yield f"{job.id:>5}  {label:<{width}}  {job.attempt}  {short(job.title)}{error}"


def _list_batches(ctx: click.Context, storage: Storage, *, as_json: bool) -> None:
    found = [(batch, storage.counts(batch.id)) for batch in storage.batches()]
    if as_json:
        print_records(batch_record(batch, {str(s): n for s, n in c.items()}) for batch, c in found)
        return
    lines = []
    for batch, counts in found:
        by_label = Progress(counts=counts, local=load_config(batch.config).local).by_label(
            language_of(ctx)
        )
        told = ", ".join(f"{n} {label}" for label, n in by_label.items())
        lines.append(f"{clean(batch.name)}: {told or said(ctx, 'no_jobs')}")
    _print_lines(iter(lines), said(ctx, "no_batches"))


def _print_lines(lines: Iterator[str], otherwise: str) -> None:
    empty = True
    for line in lines:
        empty = False
        click.echo(line)
    if empty:
        # No data: not on standard output, where a program would count it.
        click.echo(otherwise, err=True)


@command()
@numbered
@common
@click.pass_context
def why(
    ctx: click.Context, jobs: tuple[int, ...], storage: str, name: str | None, as_json: bool
) -> None:
    """Say why jobs stand where they stand, and what can be done.

    JOBS are numbers, as batchkit list shows them; without any, every job that is not completed.

    \b
    Examples:
      batchkit why 3
      batchkit why
    """
    lang = language_of(ctx)
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        found = map(runner.job, jobs) if jobs else runner.jobs(set(JobStatus) - _COMPLETED)
        reasons = ((job, runner.why(job, lang=lang)) for job in found)
        if as_json:
            print_records({"id": j.id, "status": str(j.status), "why": why} for j, why in reasons)
            return
        lines = (f"{job.id:>5}  {short(job.title)}\n       {clean(why)}" for job, why in reasons)
        _print_lines(lines, said(ctx, "no_jobs"))


_COMPLETED = {JobStatus.COMPLETED}


@command()
@click.option("--since", type=click.IntRange(min=0), default=0, help="Only after this number.")
@click.option("--job", "number", type=int, metavar="JOB", help="Only of this job.")
@common
@click.pass_context
def events(
    ctx: click.Context,
    since: int,
    number: int | None,
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Show the journal: everything that happened, in order.

    Columns: number, time, event, job, title, error. Works while the batch runs; ask again with the
    last number as --since for what is new.

    \b
    Examples:
      batchkit events --job 3
      batchkit events --since 120 --json
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        job_id = None if number is None else runner.job(number).id
        found = (e for e in runner.events(since) if job_id is None or _is_of(e, job_id))
        if as_json:
            print_records(event_record(event) for event in found)
        else:
            lang = language_of(ctx)
            _print_lines((_event_line(event, lang) for event in found), said(ctx, "no_events"))


def _is_of(event: Event, job_id: int) -> bool:
    return isinstance(event, JobEvent) and event.job.id == job_id


def _event_line(event: Event, lang: str | None) -> str:
    when = dt.datetime.fromtimestamp(event.at, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    line = f"{event.seq:>6}  {when}  {event.kind:<14}"
    if isinstance(event, JobEvent):
        line += f"  {event.job.id:>5}  {short(event.job.title)}"
    error = event.data.get("error")
    return f"{line}  {clean(worded(error['message'], lang))}" if error else line.rstrip()


@command()
@common
@click.pass_context
def verify(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """Check that the files of completed jobs are still there, byte for byte.

    Changes nothing. Ends with 1 when a file is missing or changed. To have such results made anew,
    give the same command another --name: what is whole is taken from the folder, the rest is done
    again, and is paid again.

    \b
    Example:
      batchkit verify --name videos
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        files = [
            (job, file)
            for job in runner.results()
            for file in (job.result.artifacts if job.result is not None else ())
        ]
        bad = [(job, f) for job, f in files if not same_bytes(f.path, f.size, f.sha256)]
    if as_json:
        broken = [{"id": job.id, "path": str(file.path)} for job, file in bad]
        print_record({"batch": runner.name, "files": len(files), "bad": broken})
    else:
        click.echo(said(ctx, "verified", len(files), len(bad)))
        for job, file in bad:
            click.echo(f"{job.id:>5}  {file.path}")
    if bad:
        ctx.exit(int(ExitCode.FAILED))


COMMANDS = (status, list_jobs, why, events, verify)
