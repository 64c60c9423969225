"""The group of commands, and what becomes of everything that they raise."""

from __future__ import annotations

import logging
import traceback
from typing import IO, Any

import click

from batchkit import __version__
from batchkit._errors import BatchkitError, JobNotFoundError, UsageError
from batchkit._i18n import language, text
from batchkit._summary import ExitCode
from batchkit.cli import _look, _steer, _uncertain, _work
from batchkit.cli._help import Command, command, in_language
from batchkit.cli._language import keep_language, language_of, said
from batchkit.cli._options import talking, verbose
from batchkit.cli._plan import is_of_the_disk
from batchkit.cli._providers import clients
from batchkit.cli._speech import LogLines
from batchkit.cli._wording import worded

#: What a fault of batchkit or of a foreign client answers; Python itself answers the same.
_CRASH = 1

_EXAMPLES = """
\b
Examples:
  batchkit transcribe talks/                     texts and subtitles in transcripts/
  batchkit transcribe talks/*.mp4 --format srt --language en
  batchkit generate prompts.csv --output clips   a storyboard video for each prompt
  batchkit generate prompts.txt --client fal --model fal-ai/veo3.1/fast
  batchkit status
  batchkit retry-failed

Whatever stopped a run: the same command again goes on from there. What batchkit knows is in
batchkit.db in the current folder, unless --storage names another file.

\b
Exit codes:
    0  what was asked for is done, or the sample that --limit asked for
    1  some jobs failed, or could not be changed
    2  the call was wrong; nothing was changed
    3  jobs wait for a person, or are not finished
    4  the database or the output folder cannot be used
  130  interrupted
"""


class Commands(Command, click.Group):
    """A group whose commands end with one line and an exit code, never with a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the language from anywhere among the words first."""
        keep_language(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as exc:
            raise _refusal(ctx, exc) from exc

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(said(ctx, "interrupted"), err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        except click.UsageError as exc:
            raise _refusal(ctx, exc) from exc
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as exc:
            raise click.exceptions.Exit(_tell(ctx, exc)) from exc

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, by what they are for."""
        longest = max(len(name) for name in self.commands)
        for key, members in _GROUPS.items():
            with formatter.section(text(key, language_of(ctx))):
                formatter.write_dl(
                    [
                        (str(c.name), in_language(c, ctx).get_short_help_str(formatter.width))
                        for c in members
                    ],
                    col_max=longest,
                )


class Refusal(click.UsageError):
    """A call that was not understood, in the language of who made it."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Writes how the command is used, where its help is, and what is wrong."""
        if self.ctx is not None:
            click.echo(self.ctx.get_usage(), err=True)
            click.echo(said(self.ctx, "see_help", f"{self.ctx.command_path} --help"), err=True)
        lang = None if self.ctx is None else language_of(self.ctx)
        click.echo(f"{text('error', lang)}: {self.message}", err=True)


def _refusal(ctx: click.Context, exc: click.UsageError) -> click.UsageError:
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        return exc
    return Refusal(worded(exc.format_message(), language_of(ctx)), exc.ctx or ctx)


def _tell(ctx: click.Context, exc: Exception) -> int:
    """Says on one line what went wrong; returns the exit code for it."""
    lang = language_of(ctx)
    if verbose(ctx):
        click.echo("".join(traceback.format_exception(exc)), err=True)
    if isinstance(exc, BatchkitError):
        message = worded(str(exc), lang)
    else:
        message = f"{type(exc).__name__}: {exc}"
        message += "" if verbose(ctx) else f" ({text('unexpected', lang)})"
    click.echo(f"{text('error', lang)}: {' '.join(message.split())}", err=True)
    return _code(exc)


def _code(exc: Exception) -> int:
    if isinstance(exc, (UsageError, JobNotFoundError)):
        return ExitCode.USAGE
    if isinstance(exc, BatchkitError) and is_of_the_disk(exc):
        return ExitCode.STORAGE
    return _CRASH


@click.group(
    "batchkit",
    cls=Commands,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="batchkit-video")
@talking
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run batches of video jobs: never pay twice, never lose a job that was paid for."""
    handler = LogLines(ctx)
    logger = logging.getLogger("batchkit")
    logger.addHandler(handler)
    ctx.call_on_close(lambda: logger.removeHandler(handler))


@command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON; no progress.")
@talking
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this installation: versions, extras, models, database.

    Ends with 0 when batchkit can work here, with 1 when something has to be repaired.
    """
    # The other package starts this one; it is looked at only when somebody asks for it.
    from batchkit_video._doctor import examine

    ctx.exit(examine(language(language_of(ctx)), as_json=as_json))


_GROUPS = {
    "commands_run": _work.COMMANDS,
    "commands_look": (*_look.COMMANDS, clients, doctor),
    "commands_steer": (*_uncertain.COMMANDS, *_steer.COMMANDS),
}

for _members in _GROUPS.values():
    for _member in _members:
        cli.add_command(_member)
