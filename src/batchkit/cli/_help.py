"""Help in the language of whoever reads it: English stands at the commands, Portuguese here."""

from __future__ import annotations

import copy
import functools
from typing import TypeVar

import click

from batchkit._i18n import language, text
from batchkit.cli._help_pt import COMMANDS, OPTIONS
from batchkit.cli._language import language_of

_C = TypeVar("_C", bound=click.Command)
#: Words of click's own between the brackets behind an option.
_BRACKETS = (("[default: ", "[padrão: "), ("required]", "obrigatório]"))


class Command(click.Command):
    """A command whose help comes in two languages."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the usage line."""
        words = " ".join(self.collect_usage_pieces(ctx))
        prefix = f"{text('usage', language_of(ctx))}: "
        formatter.write_usage(ctx.command_path, words, prefix=prefix)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what the command does."""
        click.Command.format_help_text(in_language(self, ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what follows the options."""
        click.Command.format_epilog(in_language(self, ctx), ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, and the commands of a group."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = [_record(option, ctx) for option in options]
        with formatter.section(text("options", language_of(ctx))):
            formatter.write_dl([record for record in records if record is not None])
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


#: The decorator of every command here.
command = functools.partial(click.command, cls=Command)


def in_language(command: _C, ctx: click.Context) -> _C:
    """The command with its texts in the language to show."""
    if language(language_of(ctx)) != "pt" or command.name not in COMMANDS:
        return command
    shown = copy.copy(command)
    shown.help, shown.epilog = COMMANDS[command.name or ""], COMMANDS.get(f"{command.name}:epilog")
    # What click took from the English help.
    shown.short_help = None
    return shown


def _record(option: click.Option, ctx: click.Context) -> tuple[str, str] | None:
    if language(language_of(ctx)) != "pt":
        return option.get_help_record(ctx)
    shown = copy.copy(option)
    shown.help = OPTIONS.get(option.help or "", option.help)
    record = shown.get_help_record(ctx)
    if record is None:
        return None
    names, meaning = record
    for english, portuguese in _BRACKETS:
        meaning = meaning.replace(english, portuguese)
    return names, meaning
