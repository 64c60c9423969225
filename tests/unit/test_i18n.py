"""Texts in two languages."""

from __future__ import annotations

import string

import pytest

from batchkit import JobStatus
from batchkit._i18n import _TEXTS, language, text


@pytest.mark.parametrize(
    ("asked", "environment", "found"),
    [
        ("pt", None, "pt"),
        ("pt-BR", "en", "pt"),
        ("PT_br.UTF-8", None, "pt"),
        ("en", "pt", "en"),
        ("de", None, "en"),
        (None, None, "pt"),
        (None, "", "pt"),
        (None, "en_US", "en"),
        ("", "en", "en"),
    ],
)
def test_language(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, environment: str | None, found: str
) -> None:
    monkeypatch.delenv("BATCHKIT_LANG", raising=False)
    if environment is not None:
        monkeypatch.setenv("BATCHKIT_LANG", environment)
    assert language(asked) == found


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"LANG": "pt_BR.UTF-8"}, "pt"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "pt"),
        ({"LANG": ""}, "pt"),
        ({"LANG": "pt_BR", "LC_MESSAGES": "en_US"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "de_DE", "LC_ALL": "pt_PT"}, "pt"),
        ({"LANG": "en_US", "LC_ALL": "POSIX"}, "pt"),
        ({"LANG": "en_US", "BATCHKIT_LANG": "pt"}, "pt"),
    ],
)
def test_the_locale_decides_when_nobody_does(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: str
) -> None:
    for name in ("BATCHKIT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == found


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_has_a_name(status: JobStatus) -> None:
    assert status.label("pt")
    assert status.label("en")


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("key", sorted(_TEXTS))
def test_both_languages_say_the_same(key: str) -> None:
    portuguese, english = _TEXTS[key]
    assert portuguese.strip() == portuguese
    assert english.strip() == english
    assert fields(portuguese) == fields(english)


def test_values_are_filled_in() -> None:
    assert text("in_seconds", "pt", 4.6) == "em cerca de 5 s"
    assert text("in_seconds", "en", 4.6) == "in about 5 s"
    with pytest.raises(KeyError):
        text("no such text")
