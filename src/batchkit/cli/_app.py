"""The group of commands, and what becomes of everything that they raise."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import click

from batchkit import __version__
from batchkit._errors import BatchkitError, JobNotFoundError, StorageError, UsageError
from batchkit._summary import ExitCode
from batchkit.cli._options import said, verbose
from batchkit.cli._speech import LogLines

#: What a fault of batchkit or of a foreign client answers; Python itself answers the same.
_CRASH = 1

_EXAMPLES = """
\b
Examples:
  batchkit transcribe talks/                     texts and subtitles in transcripts/
  batchkit transcribe talks/*.mp4 --format srt --language en
  batchkit generate prompts.csv --output clips   a storyboard video for each prompt
  batchkit generate prompts.txt --client mypackage.clients:make
  batchkit status
  batchkit retry-failed

Whatever stopped a run: the same command again goes on from there. What batchkit knows is in
batchkit.db in the current folder, unless --storage names another file.

\b
Exit codes:
    0  every job is completed, or the sample that --limit asked for
    1  some jobs failed
    2  the call was wrong
    3  jobs wait for a person, or are not finished
    4  the database or the output folder cannot be used
  130  interrupted
"""


class Commands(click.Group):
    """A group whose commands end with one line and an exit code, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(said(ctx, "interrupted"), err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as exc:
            raise click.exceptions.Exit(_tell(ctx, exc)) from exc


def _tell(ctx: click.Context, exc: Exception) -> int:
    """Says on one line what went wrong; returns the exit code for it."""
    known = isinstance(exc, BatchkitError)
    message = str(exc) if known else f"{type(exc).__name__}: {exc}"
    if verbose(ctx):
        click.echo("".join(traceback.format_exception(exc)), err=True)
    elif not known:
        message += " (this should not happen; run again with --verbose to see where)"
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    return _code(exc)


def _code(exc: Exception) -> int:
    if isinstance(exc, (UsageError, JobNotFoundError)):
        return ExitCode.USAGE
    return ExitCode.STORAGE if isinstance(exc, StorageError) else _CRASH


@click.group(
    cls=Commands,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="batchkit-video")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run batches of video jobs: never pay twice, never lose a job that was paid for."""
    handler = LogLines(ctx)
    logger = logging.getLogger("batchkit")
    logger.addHandler(handler)
    ctx.call_on_close(lambda: logger.removeHandler(handler))


@cli.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check this installation: versions, extras, models, database.

    Ends with 0 when batchkit can work here, with 1 when something has to be repaired.
    """
    # The other package starts this one; it is looked at only when somebody asks for it.
    from batchkit_video.__main__ import doctor as examine

    ctx.exit(examine())


def _register() -> None:
    from batchkit.cli import _look, _work

    for command in (*_work.COMMANDS, *_look.COMMANDS):
        cli.add_command(command)


_register()
