"""The commands that steer a batch, also while it runs elsewhere: pause, stop, cancel, hold, …"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs
import click

from batchkit._errors import UsageError
from batchkit._jobs import Job, JobStatus
from batchkit._runner import BatchRunner
from batchkit._summary import ExitCode
from batchkit.cli._help import command
from batchkit.cli._language import language_of, said
from batchkit.cli._options import age, by_status, common, numbered, stored
from batchkit.cli._records import print_record
from batchkit.ui import _report

#: What takes effect, or goes on, in a run.
_GO_ON = ("cancel_asked", "released_said", "resolved_found", "resolved_absent")


@attrs.frozen
class Steered:
    """What became of the jobs that a person named.

    Attributes:
        changed: as they are now.
        unchanged: those of which it could not be done.
    """

    changed: list[Job]
    unchanged: list[Job]


def steer(
    runner: BatchRunner,
    numbers: Iterable[int],
    statuses: Iterable[str],
    act: Callable[[BatchRunner, Job], bool],
) -> Steered:
    """Does something to jobs that are named by their numbers, or by their status.

    Args:
        runner: of the batch.
        numbers: as ``batchkit list`` shows them.
        statuses: of jobs, instead of numbers.
        act: says whether it could be done.

    Raises:
        UsageError: neither was given.
        JobNotFoundError: there is no such job; nothing was changed.
    """
    wanted = {JobStatus(value) for value in statuses}
    named = [runner.job(number) for number in numbers]
    if not named and not wanted:
        raise UsageError("say which jobs: their numbers, as batchkit list shows them, or --status")
    found = {job.id: job for job in (*named, *(runner.jobs(wanted) if wanted else ()))}
    done = {number: act(runner, job) for number, job in found.items()}
    now = {n: runner.storage.get(n) or found[n] for n in found}
    return Steered(
        [now[n] for n, changed in done.items() if changed],
        [now[n] for n, changed in done.items() if not changed],
    )


def report(
    ctx: click.Context,
    runner: BatchRunner,
    done: Steered,
    key: Callable[[Job], str],
    *,
    as_json: bool,
) -> None:
    """Tells what was done, and what goes on from there; ends with 1 when a job was not changed.

    Args:
        ctx: of the command.
        runner: of the batch.
        done: the outcome.
        key: of the text for what was done to a job.
        as_json: answer a program.
    """
    if as_json:
        changed = [{"id": job.id, "status": str(job.status)} for job in done.changed]
        unchanged = [{"id": job.id, "status": str(job.status)} for job in done.unchanged]
        print_record({"batch": runner.name, "changed": changed, "unchanged": unchanged})
    else:
        _tell(ctx, runner, done, key)
    if done.unchanged:
        ctx.exit(int(ExitCode.FAILED))


def _tell(
    ctx: click.Context, runner: BatchRunner, done: Steered, key: Callable[[Job], str]
) -> None:
    by_key: dict[str, list[str]] = {}
    for job in done.changed:
        by_key.setdefault(key(job), []).append(str(job.id))
    for said_so, numbers in by_key.items():
        after = f" · {commands_of(runner)('resume')}" if said_so in _GO_ON else ""
        click.echo(f"{said(ctx, said_so, ', '.join(numbers))}{after}")
    for job in done.unchanged:
        label = job.status.label(language_of(ctx), local=runner.config.local)
        click.echo(said(ctx, "not_changed", job.id, label), err=True)
    if not done.changed and not done.unchanged:
        click.echo(said(ctx, "no_jobs"), err=True)


def commands_of(runner: BatchRunner) -> Callable[[str], str]:
    """Makes command lines for this batch that can be pasted."""
    several = len(runner.storage.batches()) > 1
    name = runner.name if several else None
    return lambda words: _report.command(words, runner.storage.location, name)


@command()
@common
@click.pass_context
def pause(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """Submit nothing new for now.

    What is in flight is brought to its end. Works from another terminal while the batch runs.
    `batchkit unpause` lets it go on there, `batchkit resume` runs it here.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        runner.pause()
        _told(ctx, as_json, runner, "pause_said", commands_of(runner)("unpause"))


@command()
@common
@click.pass_context
def unpause(ctx: click.Context, storage: str, name: str | None, as_json: bool) -> None:
    """Let a paused batch go on, without running it here.

    Whoever runs it goes on at once. When nobody does, the next run starts with it; `batchkit
    resume` does both.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        runner.resume()
        _told(ctx, as_json, runner, "unpause_said", commands_of(runner)("resume"))


@command()
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
        _told(ctx, as_json, runner, "stop_now_said" if now else "stop_said")


def _told(ctx: click.Context, as_json: bool, runner: BatchRunner, key: str, line: str = "") -> None:
    if as_json:
        print_record({"batch": runner.name, "control": str(runner.batch.control)})
    else:
        click.echo(said(ctx, key, runner.name, line))


@command()
@numbered
@by_status
@common
@click.pass_context
def hold(
    ctx: click.Context,
    jobs: tuple[int, ...],
    statuses: tuple[str, ...],
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Hold pending jobs back, and only these.

    JOBS are numbers, as batchkit list shows them. Ends with 1 when one of them was not pending.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        done = steer(runner, jobs, statuses, BatchRunner.hold)
        report(ctx, runner, done, lambda _: "held_said", as_json=as_json)


@command()
@numbered
@by_status
@common
@click.pass_context
def release(
    ctx: click.Context,
    jobs: tuple[int, ...],
    statuses: tuple[str, ...],
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Let held jobs go.

    JOBS are numbers, as batchkit list shows them. Ends with 1 when one of them was not held.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        done = steer(runner, jobs, statuses, BatchRunner.release)
        report(ctx, runner, done, lambda _: "released_said", as_json=as_json)


@command()
@numbered
@by_status
@common
@click.pass_context
def cancel(
    ctx: click.Context,
    jobs: tuple[int, ...],
    statuses: tuple[str, ...],
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """End jobs, or give up on failed ones.

    Jobs that wait, are uncertain or have failed are off the list at once, and the batch can be done
    without them; at the provider that cancels nothing. Jobs in flight are cancelled at the provider
    by whoever runs the batch. Ends with 1 when one of them had ended already.

    \b
    Examples:
      batchkit cancel 3 7
      batchkit cancel --status failed
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        done = steer(runner, jobs, statuses, BatchRunner.cancel)

        def key(job: Job) -> str:
            return "canceled_said" if job.done else "cancel_asked"

        report(ctx, runner, done, key, as_json=as_json)


@command()
@numbered
@by_status
@common
@click.pass_context
def remove(
    ctx: click.Context,
    jobs: tuple[int, ...],
    statuses: tuple[str, ...],
    storage: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Take jobs off the list that were never submitted.

    It is as if they had not been added. The record of what may have been paid for stays: such a job
    is not removed, see batchkit cancel. Ends with 1 when one of them was submitted.
    """
    with stored(storage) as opened:
        runner = BatchRunner.open(opened, name=name)
        done = steer(runner, jobs, statuses, BatchRunner.remove)
        report(ctx, runner, done, lambda _: "removed_said", as_json=as_json)


@command()
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


COMMANDS = (pause, unpause, stop, hold, release, cancel, remove, prune)
