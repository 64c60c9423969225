"""The commands that run a batch: transcribe, generate, resume, retry-failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from batchkit._adding import Added
from batchkit._config import Control
from batchkit._errors import BatchBusyError, UsageError
from batchkit._runner import BatchRunner
from batchkit._summary import ExitCode
from batchkit.artifacts import LocalFolder
from batchkit.cli._clients import TRANSCRIPTIONS, client_of, make_client, refuse_other_client
from batchkit.cli._options import (
    batch_name,
    chosen,
    common,
    delivering,
    language_of,
    running,
    said,
    stored,
)
from batchkit.cli._records import print_record, summary_record
from batchkit.cli._speech import watch
from batchkit.sources import find_media, read_prompts
from batchkit.storage import Storage
from batchkit.ui.terminal import print_summary, show_progress


@attrs.frozen(kw_only=True)
class Plan:
    """What a command was asked to do, besides what to work on.

    Attributes:
        storage, name: where the batch is.
        as_json: answer a program, not a person.
        executor, limit: of the run.
        config: options of the batch that were given.
    """

    storage: str
    name: str | None
    as_json: bool
    executor: str | None
    limit: int | None
    config: Mapping[str, Any]

    @classmethod
    def of(cls, options: dict[str, Any]) -> Plan:
        """Takes the shared options, and leaves the command's own."""
        own = {name: options.pop(name) for name in ("storage", "as_json", "executor", "limit")}
        named = options.pop("name")
        names = ("output", "template", "formats", "max_concurrent", "stop_on_error")
        return cls(name=named, config=chosen(**{key: options.pop(key) for key in names}), **own)

    def with_defaults(self, **defaults: Any) -> Plan:
        """With values for options that were not given."""
        return attrs.evolve(self, config={**chosen(**defaults), **self.config})


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--language", metavar="TAG", help="Spoken language, as pt or en. [default: found out]"
)
@click.option(
    "--model", metavar="NAME", help="Whisper model: tiny, base, small …, or a folder with one."
)
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
    done are not done again.

    \b
    Examples:
      batchkit transcribe talk.mp4
      batchkit transcribe talks/ --language en --format srt,txt
      batchkit transcribe 'talks/**/*.mp4' --model small --output texts
    """
    plan = Plan.of(rest).with_defaults(output="transcripts", max_concurrent=TRANSCRIPTIONS)
    # Absolute, so that the batch can be resumed from anywhere.
    files = find_media(*(Path(path).expanduser().absolute() for path in paths))
    client = make_client("whisper", max_concurrent=plan.config["max_concurrent"])

    def add(runner: BatchRunner) -> Added:
        added = runner.add_files(*files, language=language, model=model)
        if added.new and model is None and not plan.as_json:
            _tell_default_model(ctx)
        return added

    _work(ctx, plan, client, add)


def _tell_default_model(ctx: click.Context) -> None:
    from batchkit.clients import whisper

    if whisper._bundled_model() is not None:
        click.echo(said(ctx, "english_model", whisper._BUNDLED), err=True)


@click.command()
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
@delivering
@running
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
    --output says. Prompts that are done are not sent again.

    \b
    Examples:
      batchkit generate prompts.txt
      batchkit generate prompts.csv --limit 3 --output sample
      batchkit generate prompts.csv --client mypackage.clients:make --max-concurrent 5
    """
    plan = Plan.of(rest).with_defaults(output="videos", language=language)
    # Read once to the end first: a bad line must be told before anything is sent.
    if not sum(1 for _ in read_prompts(prompts)):
        raise UsageError(f"{prompts} holds no prompt: write one per line")
    made = make_client(client)
    _work(ctx, plan, made, lambda runner: runner.add_prompts(prompts, model=model))


@click.command()
@click.option("--client", metavar="CLIENT", help="The client, where the batch does not tell it.")
@delivering
@running
@common
@click.pass_context
def resume(ctx: click.Context, /, client: str | None, **rest: Any) -> None:
    """Go on with a stored batch, or with a paused one.

    What is in flight is taken up, what waits is started. Options that are not given stay as they
    were.

    \b
    Examples:
      batchkit resume
      batchkit resume --name videos --max-concurrent 10
      batchkit resume --client mypackage.clients:make
    """
    plan = Plan.of(rest)
    with stored(plan.storage) as storage:
        batch = BatchRunner.open(storage, name=plan.name)
        was_paused = batch.batch.control is Control.PAUSED
        runner = _reopen(storage, batch, plan, client)
        if was_paused:
            batch.resume()
        try:
            _run(ctx, plan, runner)
        except BatchBusyError:
            if not was_paused:
                raise
            click.echo(said(ctx, "runs_elsewhere"), err=plan.as_json)


@click.command("retry-failed")
@click.option("--client", metavar="CLIENT", help="The client, where the batch does not tell it.")
@click.option("--no-run", is_flag=True, help="Only queue them; the next run takes them up.")
@delivering
@running
@common
@click.pass_context
def retry_failed(ctx: click.Context, /, client: str | None, no_run: bool, **rest: Any) -> None:
    """Run failed and expired jobs again.

    What was paid for and only could not be fetched is fetched again, not submitted again.

    \b
    Examples:
      batchkit retry-failed
      batchkit retry-failed --name videos --no-run
    """
    plan = Plan.of(rest)
    with stored(plan.storage) as storage:
        batch = BatchRunner.open(storage, name=plan.name)
        # Made first: without a client nothing shall have changed.
        runner = batch if no_run else _reopen(storage, batch, plan, client)
        count = batch.retry_failed()
        if not plan.as_json:
            click.echo(said(ctx, "taken_up", count), err=not no_run)
        elif no_run:
            print_record({"batch": batch.name, "queued": count})
        if not no_run:
            _run(ctx, plan, runner)


def _reopen(storage: Storage, found: BatchRunner, plan: Plan, client: str | None) -> BatchRunner:
    limit = plan.config.get("max_concurrent")
    made = client_of(found.batch, client, max_concurrent=limit)
    options = dict(plan.config)
    return BatchRunner.open(storage, made, name=found.name, executor=plan.executor, **options)


def _work(
    ctx: click.Context, plan: Plan, client: object, add: Callable[[BatchRunner], Added]
) -> None:
    """Checks everything that can be checked before a database exists, then adds and runs."""
    config = dict(plan.config)
    names = {key: config[key] for key in ("template", "formats") if key in config}
    LocalFolder(config["output"], **names).check(())
    name = plan.name or batch_name(config["output"])
    with stored(plan.storage, create=True) as storage:
        refuse_other_client(storage, name, client)
        runner = BatchRunner(client, name=name, storage=storage, executor=plan.executor, **config)
        added = add(runner)
        if not plan.as_json:
            click.echo(said(ctx, "added", name, added.new, added.existing), err=True)
        _run(ctx, plan, runner)


def _run(ctx: click.Context, plan: Plan, runner: BatchRunner) -> None:
    lang = language_of(ctx)
    with contextlib.ExitStack() as stack:
        if not plan.as_json:
            watch(ctx, stack.enter_context(show_progress(runner, lang=lang)))
        summary = runner.run(limit=plan.limit)
    if plan.as_json:
        print_record(summary_record(summary, runner))
    else:
        print_summary(summary, runner, lang=lang)
    sys.stdout.flush()
    if summary.exit_code is not ExitCode.DONE:
        ctx.exit(int(summary.exit_code))


COMMANDS = (transcribe, generate, resume, retry_failed)
