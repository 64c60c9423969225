"""The doctor works when batchkit does not, and says what to repair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchkit import cli
from batchkit_video import __main__ as entry
from batchkit_video import _doctor


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHKIT_LANG", "en")


def test_the_doctor_finds_a_healthy_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for what in ("batchkit-video", "Python", "SQLite", "extra cli", "speech models", "database"):
        assert f"  {what}" in said
    assert "FAIL" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_is_a_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as raised:
        cli.main(["doctor"])
    assert raised.value.code == 0
    assert "batchkit can work here" in capsys.readouterr().out


def test_the_doctor_misses_extras_but_can_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_doctor, "_EXTRAS", {"magic": ("no_such_module",)})
    monkeypatch.setattr(_doctor, "_bundled_models", list)
    monkeypatch.setattr(_doctor, "_downloaded_models", list)
    assert entry.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert '--  extra magic: missing no_such_module: pip install "batchkit-video[magic]"' in said
    assert "--  speech models: none here" in said


def test_the_doctor_finds_the_other_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_doctor, "_version", lambda name: "1.0")
    assert entry.main(["doctor"]) == 1
    assert (
        "FAIL  other packages of that name: the distribution batchkit 1.0"
        in capsys.readouterr().out
    )


def test_the_doctor_finds_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setattr(Path, "cwd", lambda: missing)
    assert entry.main(["doctor"]) == 1
    assert "FAIL  database in this folder" in capsys.readouterr().out


def test_downloaded_models_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "hub" / "models--Systran--faster-whisper-small" / "snapshots" / "abc"
    place.mkdir(parents=True)
    (place / "model.bin").touch()
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert _doctor._downloaded_models() == ["small"]


def test_the_doctor_speaks_the_language_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["doctor", "--lang", "pt"], ["--lang=pt", "doctor"]):
        assert entry.main(words) == 0
        assert capsys.readouterr().out.endswith("o batchkit pode trabalhar aqui\n")
    monkeypatch.delenv("BATCHKIT_LANG")
    for locale, end in (("pt_BR.UTF-8", "trabalhar aqui"), ("de_DE.UTF-8", "can work here")):
        monkeypatch.setenv("LANG", locale)
        assert entry.main(["doctor"]) == 0
        assert capsys.readouterr().out.endswith(f"{end}\n")


def test_the_doctor_answers_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert {"ok", "what", "detail", "serious"} == set(told["findings"][0])


def test_the_doctor_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        entry.main(["doctor", "--help", "--lang", "pt"])
    assert raised.value.code == 0
    assert "Examina esta instalação" in capsys.readouterr().out
