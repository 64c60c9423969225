"""fal's client against a server that speaks fal's language."""

from __future__ import annotations

from vendor_batch import KEY
from vendor_kit import runner_of

from batchkit import JobStatus
from batchkit.testing.vendors import VendorServer

MODEL = "fal-ai/veo3.1/fast"


def test_a_failure_told_by_the_status_or_by_the_result_alone() -> None:
    with VendorServer("fal", api_key=KEY) as server:
        runner = runner_of(server, model=MODEL)
        # Jobs with an odd number say it early.
        jobs = [runner.add(f"{name} [fail]") for name in ("cat", "dog")]
        runner.run()
        found = [runner.job(job) for job in jobs]
        assert {job.status for job in found} == {JobStatus.FAILED}
        codes = {job.error.code for job in found if job.error is not None}
        assert codes == {"runner_server_error"}
        runner.close()
