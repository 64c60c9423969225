"""How the program starts and ends, and the package that is not ours."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from batchkit import cli
from batchkit_video import __main__ as entry


def code_of(raised: pytest.ExceptionInfo[SystemExit]) -> object:
    return raised.value.code


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", 'Error: the command line needs the extra "cli": pip install "batchkit-video[cli]"'),
        (
            "pt",
            'Erro: a linha de comando precisa do extra "cli": pip install "batchkit-video[cli]"',
        ),
    ],
)
def test_without_click_it_says_which_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lang: str, said: str
) -> None:
    monkeypatch.setenv("BATCHKIT_LANG", lang)
    for name in [n for n in sys.modules if n.startswith("batchkit.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as raised:
        cli.main(["status"])
    assert code_of(raised) == 2
    assert capsys.readouterr().err == f"{said}\n"


def test_the_answer_of_a_command_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, code in ((["--version"], 0), (["status"], 2), (["nope"], 2)):
        with pytest.raises(SystemExit) as raised:
            entry.main(words)
        assert code_of(raised) == code


def test_a_thread_that_is_stuck_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(cli, "_FAREWELL", 0.01)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(SystemExit):
            cli.leave(130)
    finally:
        over.set()
        thread.join()
    assert codes == [130]
