"""Messages of errors in Portuguese: recognised by their text, and left alone otherwise."""

from __future__ import annotations

import string

import pytest

from batchkit._messages import MESSAGES, Said
from batchkit._verdicts import _PERHAPS_BILLED, _REMEDY, deadline_error, uncertain_error
from batchkit._wording import fields_of, translated
from batchkit.cli._wording import HERE, ONLY_HERE, worded
from batchkit.cli._wording_clients import CLIENTS

PAIRS = [
    *MESSAGES,
    *ONLY_HERE,
    *(Said(here.english, here.portuguese) for here in (*HERE, *CLIENTS)),
]


def names_in(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("said", PAIRS, ids=lambda said: said.english[:40])
def test_both_languages_say_the_same(said: Said) -> None:
    assert names_in(said.portuguese) <= names_in(said.english)
    assert said.portuguese.strip() == said.portuguese
    assert "- " not in said.portuguese.replace(" - ", "")


@pytest.mark.parametrize("here", HERE, ids=lambda here: here.raised[:40])
def test_the_command_line_names_its_own_options(here: tuple[str, str, str]) -> None:
    raised, english, portuguese = here
    assert names_in(english) | names_in(portuguese) <= names_in(raised)
    for words in (english, portuguese):
        assert "=" not in words.replace('"', "")


def test_a_message_is_recognised_and_its_values_are_kept() -> None:
    message = "there is no file /a b/c.mp4: check the path"
    assert translated(message, "pt") == "não existe o arquivo /a b/c.mp4: confira o caminho"
    assert translated(message, "en") == message
    assert fields_of("{1} of {0}", "a of b") == ["b", "a"]


def test_a_reason_inside_is_translated_too() -> None:
    error = uncertain_error(deadline_error(60))
    assert translated(error.message, "pt") == "o envio pode ter sido aceito (não terminou em 60 s)"


def test_what_nobody_knows_is_shown_as_it_is() -> None:
    assert translated("quota exceeded {0}", "pt") == "quota exceeded {0}"
    assert worded("quota exceeded", "pt") == "quota exceeded"


@pytest.mark.parametrize("remedy", [*_REMEDY.values(), _PERHAPS_BILLED])
def test_every_remedy_is_known(remedy: str) -> None:
    assert worded(remedy, "pt") != remedy
    assert "max_concurrent" not in worded(remedy, "en").replace("--max-concurrent", "")
