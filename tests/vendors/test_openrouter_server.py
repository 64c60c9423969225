"""OpenRouter's client against a server that speaks its language."""

from __future__ import annotations

from pathlib import Path

import httpx
from vendor_batch import KEY
from vendor_kit import runner_of

from batchkit.testing.vendors import VendorServer

MODEL = "google/veo-3.1"


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
