"""Runway's client against a server that speaks its language."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import JobStatus

MODEL = "gen4.5"


def test_it_conforms() -> None:
    assert conforms("runway", model=MODEL) == ()


def test_accepted_and_dropped_is_sent_once() -> None:
    assert dropped_once("runway", model=MODEL) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_batch_that_is_killed_once(tmp_path: Path) -> None:
    print(killed_once("runway", tmp_path, model=MODEL))
