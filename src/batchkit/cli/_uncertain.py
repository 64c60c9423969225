"""The way out of uncertain submissions: what to look for at the provider, and what to say then."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from batchkit._doubt import Doubt
from batchkit._errors import UsageError
from batchkit._jobs import Attempt, Handle, Job, JobStatus
from batchkit._runner import BatchRunner
from batchkit.cli._help import command
from batchkit.cli._language import language_of, said
from batchkit.cli._options import common, numbered, stored
from batchkit.cli._records import doubt_record, print_records
from batchkit.cli._steer import commands_of, report, steer
from batchkit.cli._wording import worded
from batchkit.ui._lines import clean, short

#: Numbers that a command line is made of; of more jobs, a person picks.
_MOST_NUMBERS = 20


@command()
@common
@click.pass_context
def uncertain(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """List uncertain submissions by cause, and what to do about them.

    They may have been accepted, or not. They are not sent again by themselves, because they may be
    billed already. Look at the provider's own list of jobs, then say what you found with batchkit
    resolve. Ends with 0 whether or not there are any.

    \b
    Examples:
      batchkit uncertain
      batchkit uncertain --json
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        doubts = runner.uncertain()
        last = {job.id: _last(runner, job) for doubt in doubts for job in doubt.jobs}
        if as_json:
            print_records(doubt_record(doubt, last) for doubt in doubts)
            return
        for doubt in doubts:
            for line in _lines(ctx, runner, doubt, last):
                click.echo(line)
        if not doubts:
            click.echo(said(ctx, "no_uncertain"), err=True)


def _last(runner: BatchRunner, job: Job) -> Attempt | None:
    return next(reversed(runner.attempts(job)), None)


def _lines(
    ctx: click.Context, runner: BatchRunner, doubt: Doubt, last: Mapping[int, Attempt | None]
) -> Iterator[str]:
    yield f"{len(doubt.jobs)} × {clean(worded(doubt.message, language_of(ctx)))}"
    for job in doubt.jobs:
        attempt = last[job.id]
        sent = "" if attempt is None else said(ctx, "sent_at", _time(attempt.started))
        key = "" if attempt is None else f"  {attempt.submit_key}"
        yield f"{job.id:>5}  {short(job.title)}  {sent}{key}"
    few = len(doubt.jobs) <= _MOST_NUMBERS
    numbers = " ".join(str(job.id) for job in doubt.jobs) if few else "JOB..."
    line = commands_of(runner)
    yield f"  {said(ctx, 'look_there')}"
    yield f"  {said(ctx, 'was_accepted')}: {line(f'resolve {doubt.jobs[0].id} --handle ID')}"
    yield f"  {said(ctx, 'not_accepted')}: {line(f'resolve {numbers} --not-accepted')}"
    yield f"  {said(ctx, 'give_up')}: {line(f'cancel {numbers}')}"


def _time(when: float) -> str:
    return dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@command()
@numbered
@click.option("--handle", metavar="ID", help="It was accepted: its id at the provider.")
@click.option("--data", metavar="JSON", help="What polling needs besides the id, as an object.")
@click.option("--not-accepted", is_flag=True, help="The provider has no such job: submit it again.")
@click.option("--all", "everything", is_flag=True, help="All uncertain jobs of the batch.")
@common
@click.pass_context
def resolve(
    ctx: click.Context,
    /,
    jobs: tuple[int, ...],
    handle: str | None,
    data: str | None,
    not_accepted: bool,
    everything: bool,
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Say what became of uncertain submissions.

    With --handle the job is polled on under the id that you found; nothing is paid again. With
    --not-accepted it is submitted again by the next run. Ends with 1 when a job was not uncertain.

    \b
    Examples:
      batchkit resolve 3 --handle vid_8f31
      batchkit resolve 3 7 --not-accepted
      batchkit resolve --all --not-accepted
    """
    if (handle is None) is not not_accepted:
        raise UsageError("say one of them: --handle with the id at the provider, or --not-accepted")
    if bool(jobs) is everything:
        raise UsageError(
            "say which jobs: their numbers, as batchkit uncertain shows them, or --all"
        )
    if handle is not None and len(jobs) != 1:
        raise UsageError("--handle is of one job: name just that one")
    found = None if handle is None else Handle(id=handle, data=_object(data))
    if handle is None and data is not None:
        raise UsageError("--data goes with --handle")

    def say(runner: BatchRunner, job: Job) -> bool:
        if found is not None:
            return runner.resolve(job, handle=found)
        return runner.resolve(job, "not accepted")

    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        done = steer(runner, jobs, (JobStatus.UNCERTAIN,) if everything else (), say)
        key = "resolved_found" if found is not None else "resolved_absent"
        report(ctx, runner, done, lambda _: key, as_json=as_json)


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if text is not None else {}
    except ValueError as exc:
        raise UsageError(f"--data is no JSON object ({exc})") from exc
    if not isinstance(value, dict):
        raise UsageError(f"--data is no JSON object ({text})")
    return value


COMMANDS = (uncertain, resolve)
