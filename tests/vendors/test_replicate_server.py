"""Replicate's client against a server that speaks Replicate's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import dropped_once

from batchkit import JobStatus

MODEL = "kwaivgi/kling-v2.1"


def test_an_upload_finds_its_submission_again(tmp_path: Path) -> None:
    found = dropped_once("replicate", transcribes=True, files=str(tmp_path), model="5c7d")
    assert found == (JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}:5c7d", "deployments/me/mine"])
def test_a_prompt_does_not(model: str) -> None:
    assert dropped_once("replicate", model=model) == (JobStatus.UNCERTAIN, 1)
