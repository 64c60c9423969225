"""Clients by name."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from batchkit import UsageError
from batchkit.clients import _load, load, names
from batchkit.clients.fal import FalClient
from batchkit.clients.http import HttpClient


def test_what_is_shipped_can_be_made() -> None:
    assert {"fal", "openrouter", "runway", "assemblyai"} <= set(names())
    client = load("fal", key="k", model="fal-ai/veo3.1")
    assert isinstance(client, FalClient)
    assert client.model == "fal-ai/veo3.1"


def test_an_http_client_is_called_what_it_calls_itself() -> None:
    for name in names():
        cls = _load.class_of(name)
        if issubclass(cls, HttpClient):
            assert cls.name == name


def test_bad_names_and_options() -> None:
    with pytest.raises(UsageError, match=r"choose from .*fal.*runway"):
        load("sora")
    with pytest.raises(UsageError, match="cannot be made"):
        load("fal", key="k", speed="fast")


def test_other_packages_add_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = EntryPoint("mine", "batchkit.clients.fal:FalClient", _load.GROUP)
    monkeypatch.setattr(_load, "entry_points", lambda group: [mine])
    assert "mine" in names()
    assert isinstance(load("mine", key="k"), FalClient)


def test_looking_for_names_imports_no_client() -> None:
    code = "import sys, batchkit.clients as c; c.names(); print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
