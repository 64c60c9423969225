"""Which language the command line speaks, known before its options are understood."""

from __future__ import annotations

from collections.abc import Sequence

import click

from batchkit._i18n import text

LANGUAGES = ("pt", "en")
_LANG = "batchkit.lang"
_OPTION = "--lang"


def language_of(ctx: click.Context) -> str | None:
    """The language asked for with ``--lang``; ``None`` leaves it to the environment."""
    lang: str | None = ctx.meta.get(_LANG)
    return lang


def keep_language(ctx: click.Context, words: Sequence[str]) -> None:
    """Takes ``--lang`` from anywhere among *words*: help and refusals come before the rest.

    Args:
        ctx: of the group.
        words: the command line.
    """
    for word, following in zip(words, (*words[1:], ""), strict=True):
        name, _, value = word.partition("=")
        value = value or following
        if name == _OPTION and value in LANGUAGES:
            ctx.meta[_LANG] = value


def said(ctx: click.Context, key: str, *args: object) -> str:
    """A text in the language asked for."""
    return text(key, language_of(ctx), *args)
