"""The same client over every library that sends, against a server that speaks its language."""

from __future__ import annotations

import pytest
from vendor_kit import conforms, dropped_once

from batchkit import JobStatus

MODEL = "fal-ai/veo3.1/fast"


@pytest.fixture(params=["httpx", "httpx2", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def test_it_conforms(transport: str) -> None:
    assert conforms("fal", model=MODEL, transport=transport) == ()


def test_accepted_and_dropped_is_sent_once(transport: str) -> None:
    assert dropped_once("fal", model=MODEL, transport=transport) == (JobStatus.UNCERTAIN, 1)
