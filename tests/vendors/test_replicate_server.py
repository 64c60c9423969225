"""Replicate's client against a server that speaks Replicate's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import JobStatus
from telling_kit import Tell

MODEL = "kwaivgi/kling-v2.1"


def test_it_conforms(tmp_path: Path) -> None:
    # With an upload, whose address is what its look-up goes by.
    assert conforms("replicate", transcribes=True, files=str(tmp_path), model=MODEL) == ()


def test_an_upload_finds_its_submission_again(tmp_path: Path) -> None:
    found = dropped_once("replicate", transcribes=True, files=str(tmp_path), model="5c7d")
    assert found == (JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}:5c7d", "deployments/me/mine"])
def test_a_prompt_does_not(model: str) -> None:
    assert dropped_once("replicate", model=model) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sent", ["prompts", "files"])
def test_a_batch_that_is_killed_once(sent: str, tmp_path: Path, tell: Tell) -> None:
    by_file = sent == "files"
    files = str(tmp_path) if by_file else None
    tell(killed_once("replicate", tmp_path, transcribes=by_file, files=files, model=MODEL))
