"""Another vendor's package of our name is told from ours, before anything of it is used."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import pytest

from batchkit import BatchRunner
from batchkit_video import __main__ as entry
from batchkit_video._package import find_fault


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHKIT_LANG", "en")


@pytest.fixture
def foreign() -> Iterator[types.ModuleType]:
    """Another vendor's package in place of ours."""
    module = types.ModuleType("batchkit")
    module.__file__ = "/site-packages/batchkit/__init__.py"
    ours = sys.modules["batchkit"]
    sys.modules["batchkit"] = module
    yield module
    sys.modules["batchkit"] = ours


def test_the_doctor_tells_of_another_vendors_package(
    foreign: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["doctor"]) == 1
    assert "FAIL  package batchkit" in capsys.readouterr().out


def test_another_vendors_package_is_recognised(
    foreign: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: the batchkit at /site-packages/batchkit is another vendor's")
    assert "pip uninstall -y batchkit" in said
    assert "--force-reinstall --no-deps batchkit-video" in said


def test_a_package_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "batchkit", None)
    assert entry.main(["status"]) == 2
    assert "batchkit cannot be imported" in capsys.readouterr().err


def test_the_entry_point_is_ours() -> None:
    assert find_fault() is None
    assert BatchRunner.__module__.startswith("batchkit")


def test_it_is_said_in_portuguese_too(
    foreign: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["status", "--lang", "pt"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Erro: o batchkit em /site-packages/batchkit é um pacote de outro")
    assert entry.main(["--lang=pt", "doctor"]) == 1
    assert "ERRO  pacote batchkit" in capsys.readouterr().out
