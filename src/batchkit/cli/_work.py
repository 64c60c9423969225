"""The commands that run a batch: transcribe, generate, resume, retry-failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from batchkit._codec import load_config
from batchkit._config import Batch, Control
from batchkit._errors import BatchBusyError, UsageError
from batchkit._jobs import JobStatus
from batchkit.cli._clients import TRANSCRIPTIONS, make_client, model_is_here
from batchkit.cli._help import command
from batchkit.cli._language import said
from batchkit.cli._options import (
    asking,
    common,
    delivering,
    numbered,
    params,
    providing,
    running,
    stored,
)
from batchkit.cli._plan import Items, Plan, found_in, run, work
from batchkit.cli._records import print_record
from batchkit.sources import Row, find_media, read_prompts

#: What a run writes next to its results.
_FAILED, _LISTS = "failed.jsonl", ("failed.jsonl", "manifest.jsonl")

#: The client that works on this machine, whose model may have to be downloaded.
_WHISPER = "whisper"

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
    "--model",
    metavar="NAME",
    help="Model: of whisper tiny, base, small …, or a folder with one; else the provider's name.",
)
@click.option(
    "--client",
    default="whisper",
    show_default=True,
    metavar="CLIENT",
    help="whisper works here, free; batchkit clients lists the providers.",
)
@asking
@params
@_retrying
@delivering
@running
@providing
@common
@click.pass_context
def transcribe(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    language: str | None,
    model: str | None,
    client: str,
    params: dict[str, Any],
    **rest: Any,
) -> None:
    """Write down what is said in recordings.

    PATHS are audio and video files, folders and patterns; of providers addresses too. All is done
    on this machine, free of charge, unless --client names a provider. The texts go to the folder
    transcripts, or where --output says. Recordings that are done are not done again, and those
    that failed only with --retry. The exit code is about the recordings that are named now.

    \b
    Examples:
      batchkit transcribe talk.mp4
      batchkit transcribe talks/ --language en --format srt,txt
      batchkit transcribe 'talks/**/*.mp4' --model small --output texts
      batchkit transcribe talks/ --client assemblyai --param speaker_labels=true
      batchkit transcribe talks/ --retry
    """
    plan = Plan.of(rest).with_defaults(output="transcripts")
    if lists := [path for path in paths if Path(path).name in _LISTS]:
        raise UsageError(
            f"{lists[0]} lists jobs and is no recording: try the failed ones again with batchkit "
            "retry-failed"
        )
    sources = _sources(paths)
    if client == _WHISPER:
        plan = plan.with_defaults(max_concurrent=TRANSCRIPTIONS)
    made = make_client(
        client, base_url=plan.base_url, max_concurrent=plan.config.get("max_concurrent")
    )
    if client == _WHISPER:
        _fetch_model(ctx, plan, made, model)
    rows = [{"kind": "transcribe", "source": source} for source in sources]
    fields = {"language": language, "model": model, "params": params or None}
    items = Items(rows=lambda: rows, fields=fields)
    if client == _WHISPER and model is None and not plan.as_json:
        items = attrs.evolve(items, tell_new=lambda: _tell_default_model(ctx))
    work(ctx, plan, made, items)


def _sources(paths: Sequence[str]) -> list[str]:
    """Addresses as they are; files absolute, so that the batch can be resumed from anywhere."""
    files = [Path(path).expanduser().absolute() for path in paths if "://" not in path]
    addresses = [path for path in paths if "://" in path]
    return [*map(str, find_media(*files) if files else ()), *dict.fromkeys(addresses)]


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
    help="storyboard draws title cards here, free; batchkit clients lists the providers, and "
    "package.module:factory is one of yours.",
)
@asking
@params
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
    params: dict[str, Any],
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
      batchkit generate prompts.csv --client fal --model fal-ai/veo3.1/fast --param duration=8s
      batchkit generate prompts.csv --client mypackage.clients:make --max-concurrent 5
      batchkit generate videos/failed.jsonl --retry
    """
    plan = Plan.of(rest)
    asked = plan.with_defaults(output="videos", language=language)
    items = Items(
        rows=lambda: (_with_params(row, params) for row in read_prompts(prompts)),
        fields={"model": model},
        prompts=prompts,
    )
    if Path(prompts).name == _FAILED and "output" not in plan.config and plan.name is None:
        _refuse_foreign_failures(plan, Path(prompts), asked.config["output"])
    work(ctx, asked, make_client(client, base_url=plan.base_url), items)


def _with_params(row: Row, params: Mapping[str, Any]) -> Row:
    """What the file says of a row wins."""
    if not params:
        return row
    merged = {**params, **row.fields.get("params", {})}
    return attrs.evolve(row, fields={**row.fields, "params": merged})


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
@asking
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
@asking
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
