"""fal's client against a server that speaks fal's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import JobStatus
from telling_kit import Tell

MODEL = "fal-ai/veo3.1/fast"


def test_it_conforms() -> None:
    assert conforms("fal", model=MODEL) == ()


def test_accepted_and_dropped_is_sent_once() -> None:
    assert dropped_once("fal", model=MODEL) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_batch_that_is_killed_once(tmp_path: Path, tell: Tell) -> None:
    tell(killed_once("fal", tmp_path, model=MODEL))
