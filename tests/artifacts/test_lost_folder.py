"""The output folder is gone, and something else is in its place: that is no fault of one job."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batchkit import BatchRunner, Job, JobStatus, StorageFullError
from batchkit.testing import FakeClient, FakeClock, FakeProvider


def test_a_file_in_the_place_of_the_folder_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Replaces(FakeClient):
        def submit(self, job: Job) -> object:  # type: ignore[override]
            if out.is_dir():
                shutil.rmtree(out)
                out.write_text("in the way")
            return super().submit(job)

    provider = FakeProvider()
    options = {"storage": tmp_path / "batch.db", "clock": FakeClock(), "output": str(out)}
    with BatchRunner(Replaces(provider), delay=0, **options) as runner:  # type: ignore[arg-type]
        job = runner.add("a cat")
        with pytest.raises(StorageFullError, match="remove what is there"):
            runner.run()
        assert runner.job(job).status is JobStatus.COLLECTING
    out.unlink()
    with BatchRunner(Replaces(provider), delay=0, **options) as runner:  # type: ignore[arg-type]
        assert runner.run().ok
    assert provider.ledger.charges["a cat"] == 1
