"""OpenRouter's client against a server that speaks its language."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from vendor_batch import KEY
from vendor_kit import conforms, dropped_once, killed_once, runner_of

from batchkit import JobStatus
from batchkit.testing.vendors import VendorServer
from telling_kit import Tell

MODEL = "google/veo-3.1"


def test_it_conforms() -> None:
    assert conforms("openrouter", model=MODEL) == ()


def test_accepted_and_dropped_is_sent_once() -> None:
    assert dropped_once("openrouter", model=MODEL) == (JobStatus.UNCERTAIN, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_batch_that_is_killed_once(tmp_path: Path, tell: Tell) -> None:
    tell(killed_once("openrouter", tmp_path, model=MODEL))


def test_one_result_in_three_wants_the_key(tmp_path: Path) -> None:
    with VendorServer("openrouter", api_key=KEY, polls=1) as server:
        runner = runner_of(server, tmp_path, model=MODEL)
        for name in ("cat", "dog", "elk"):
            runner.add(name)
        runner.run()
        headers = {"Authorization": f"Bearer {KEY}"}
        where = [f"{server.url}/videos/{job.handle.id}" for job in runner.jobs() if job.handle]
        found = [httpx.get(url, headers=headers).json() for url in where]
        assert sorted("urls" in told for told in found) == [False, True, True]
        assert dict(server.ledger.downloads) == {"cat": 1, "dog": 1, "elk": 1}
        # What each cost is told in dollars.
        server.check(runner).raise_for_faults()
        assert {job.cost for job in runner.jobs()} == {1.0}
        runner.close()
