"""The command line on encrypted storages: the key comes from the environment."""

from __future__ import annotations

from pathlib import Path

import cli_kit
import pytest
from cli_kit import Cli, paint, refused

from batchkit.storage import generate_key

cli = cli_kit.cli


@pytest.mark.parametrize("name", ["videos.db", "session.json"])
def test_with_a_key_and_without(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY", generate_key())
    assert paint(cli, "--storage", name).exit_code == 1
    found = cli("status", "--storage", name)
    assert found.exit_code == 0
    assert "batchkit.encryption" not in found.output
    assert b"a bird" not in Path(name).read_bytes()
    assert "the prompt is bad" in found.output
    monkeypatch.delenv("BATCHKIT_ENCRYPTION_KEY")
    refused(cli("status", "--storage", name), 4, "is encrypted: set BATCHKIT_ENCRYPTION_KEY")
    monkeypatch.setenv("BATCHKIT_ENCRYPTION_KEY", generate_key())
    refused(cli("status", "--storage", name), 4, "encrypted with another key")
