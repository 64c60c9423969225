"""The commands that run a batch: transcribe, generate, resume, retry-failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from batchkit._adding import Added
from batchkit._codec import load_config
from batchkit._config import Batch, Control
from batchkit._errors import BatchBusyError, UsageError
from batchkit._jobs import JobStatus
from batchkit._runner import BatchRunner
from batchkit.cli._clients import TRANSCRIPTIONS, make_client, model_is_here
from batchkit.cli._help import command
from batchkit.cli._language import said
from batchkit.cli._options import common, delivering, numbered, providing, running, stored
from batchkit.cli._plan import Plan, found_in, run, work
from batchkit.cli._records import print_record
from batchkit.sources import find_media, read_prompts

#: What a run writes next to its results.
_FAILED, _LISTS = "failed.jsonl", ("failed.jsonl", "manifest.jsonl")

_ENDED_BADLY = frozenset({JobStatus.FAILED, JobStatus.EXPIRED})

_retrying = click.option(
    "--retry", is_flag=True, help="Try those again that failed earlier; they may be billed again."
)


@command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--language", metavar="TAG", help="Spoken language, as pt or en. [default: found out]"
)
@click.option(
    "--model", metavar="NAME", help="Whisper model: tiny, base, small …, or a folder with one."
)
@_retrying
@delivering
@running
@common
@click.pass_context
def transcribe(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    language: str | None,
    model: str | None,
    **rest: Any,
) -> None:
    """Write down what is said in recordings.

    PATHS are audio and video files, folders and patterns. All is done on this machine, free of
    charge. The texts go to the folder transcripts, or where --output says. Recordings that are
    done are not done again, and those that failed only with --retry. The exit code is about the
    recordings that are named now.

    \b
    Examples:
      batchkit transcribe talk.mp4
      batchkit transcribe talks/ --language en --format srt,txt
      batchkit transcribe 'talks/**/*.mp4' --model small --output texts
      batchkit transcribe talks/ --retry
    """
    plan = Plan.of(rest).with_defaults(output="transcripts", max_concurrent=TRANSCRIPTIONS)
    if lists := [path for path in paths if Path(path).name in _LISTS]:
        raise UsageError(
            f"{lists[0]} lists jobs and is no recording: try the failed ones again with batchkit "
            "retry-failed"
        )
    # Absolute, so that the batch can be resumed from anywhere.
    files = find_media(*(Path(path).expanduser().absolute() for path in paths))
    client = make_client("whisper", max_concurrent=plan.config["max_concurrent"])
    _fetch_model(ctx, plan, client, model)

    def add(runner: BatchRunner) -> Added:
        added = runner.add_files(*files, language=language, model=model)
        if added.new and model is None and not plan.as_json:
            _tell_default_model(ctx)
        return added

    work(ctx, plan, client, add)


def _fetch_model(ctx: click.Context, plan: Plan, client: Any, model: str | None) -> None:
    """Downloads a model before there is a batch whose every job would fail without it."""
    if model_is_here(model):
        return
    if not plan.as_json:
        click.echo(said(ctx, "fetching_model", model or "base"), err=True)
    client.load(model)


def _tell_default_model(ctx: click.Context) -> None:
    from batchkit.clients import whisper

    if whisper._bundled_model() is not None:
        click.echo(said(ctx, "english_model", whisper._BUNDLED), err=True)


@command()
@click.argument("prompts", metavar="PROMPTS_FILE")
@click.option(
    "--client",
    default="storyboard",
    show_default=True,
    metavar="CLIENT",
    help="storyboard draws title cards here, free; package.module:factory is your provider.",
)
@click.option("--language", metavar="TAG", help="Language of the prompts. [default: pt]")
@click.option("--model", metavar="NAME", help="The provider's own name for its model.")
@_retrying
@delivering
@running
@providing
@common
@click.pass_context
def generate(
    ctx: click.Context,
    /,
    prompts: str,
    client: str,
    language: str | None,
    model: str | None,
    **rest: Any,
) -> None:
    """Generate one video per prompt.

    PROMPTS_FILE is a .txt file with one prompt per line, a .csv file with a column "prompt", or a
    .jsonl file; failed.jsonl of an earlier run is one. Videos go to the folder videos, or where
    --output says. Prompts that are done are not sent again, and those that failed only with
    --retry. The exit code is about the prompts of this file.

    \b
    Examples:
      batchkit generate prompts.txt
      batchkit generate prompts.csv --limit 3 --output sample
      batchkit generate prompts.csv --client mypackage.clients:make --max-concurrent 5
      batchkit generate videos/failed.jsonl --retry
    """
    plan = Plan.of(rest)
    asked = plan.with_defaults(output="videos", language=language)
    # Read once to the end first: a bad line must be told before anything is sent.
    if not sum(1 for _ in read_prompts(prompts)):
        raise UsageError(f"{prompts} holds no prompt: write one per line")
    if Path(prompts).name == _FAILED and "output" not in plan.config and plan.name is None:
        _refuse_foreign_failures(plan, Path(prompts), asked.config["output"])
    made = make_client(client)
    work(ctx, asked, made, lambda runner: runner.add_prompts(prompts, model=model))


def _refuse_foreign_failures(plan: Plan, prompts: Path, output: str) -> None:
    """What failed in one batch would be paid for in another one, and nobody has said so."""
    folder = prompts.expanduser().absolute().parent
    if folder == Path(output):
        return
    for batch in _batches(plan.storage):
        if load_config(batch.config).output == str(folder):
            raise UsageError(
                f"{prompts} holds failed jobs of batch {batch.name!r}: try them again there "
                f"with --output {prompts.parent} --retry, or name another --output to pay for "
                "them in a batch of its own"
            )


def _batches(path: str) -> Sequence[Batch]:
    try:
        with stored(path) as storage:
            return storage.batches()
    except UsageError:
        # Nothing was ever run here.
        return ()


@command()
@click.option("--client", metavar="CLIENT", help="The client. [default: the one of last time]")
@delivering
@running
@providing
@common
@click.pass_context
def resume(ctx: click.Context, /, client: str | None, **rest: Any) -> None:
    """Go on with a stored batch, or with a paused one.

    What is in flight is taken up, what waits is started. Options that are not given stay as they
    were, the client too. The exit code is about the whole batch.

    \b
    Examples:
      batchkit resume
      batchkit resume --name videos --max-concurrent 10
      batchkit resume --client mypackage.clients:make
    """
    plan = Plan.of(rest)
    with stored(plan.storage) as storage:
        batch = found_in(storage, plan)
        was_paused = batch.batch.control is Control.PAUSED
        runner = plan.reopen(ctx, batch, client)
        if was_paused:
            batch.resume()
        try:
            run(ctx, plan, runner)
        except BatchBusyError:
            if not was_paused:
                raise
            click.echo(said(ctx, "runs_elsewhere"), err=plan.as_json)


@command("retry-failed")
@numbered
@click.option("--resubmit", is_flag=True, help="Submit these jobs anew; they may be billed again.")
@click.option("--no-run", is_flag=True, help="Only queue them; the next run takes them up.")
@click.option("--client", metavar="CLIENT", help="The client. [default: the one of last time]")
@delivering
@running
@providing
@common
@click.pass_context
def retry_failed(
    ctx: click.Context,
    /,
    jobs: tuple[int, ...],
    resubmit: bool,
    no_run: bool,
    client: str | None,
    **rest: Any,
) -> None:
    """Run failed and expired jobs again.

    All of them, or the JOBs that are named by their numbers. What was paid for and only could not
    be fetched is fetched again, what was given up is polled again; the rest is submitted again,
    and may be billed again.

    \b
    Examples:
      batchkit retry-failed
      batchkit retry-failed 3 7
      batchkit retry-failed --name videos --no-run
    """
    plan = Plan.of(rest)
    if resubmit and not jobs:
        raise UsageError("--resubmit may be billed again: name the jobs that it is for")
    with stored(plan.storage) as storage:
        batch = found_in(storage, plan)
        # Made first: without a client nothing shall have changed.
        runner = batch if no_run else plan.reopen(ctx, batch, client)
        chosen = [batch.job(number) for number in jobs] or list(batch.jobs(_ENDED_BADLY))
        count = sum(batch.retry(job, resubmit=resubmit) for job in chosen)
        if not plan.as_json:
            click.echo(said(ctx, "taken_up", count), err=not no_run)
        elif no_run:
            print_record({"batch": batch.name, "queued": count})
        if not no_run:
            run(ctx, plan, runner)


COMMANDS = (transcribe, generate, resume, retry_failed)
