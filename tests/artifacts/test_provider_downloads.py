"""URLs of a provider that fails in its own ways, collected by a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folder_kit import sha

from batchkit import BatchRunner, Job, JobStatus
from batchkit.testing import FakeClock, FakeServer

SIZE = 200_000

MakeRunner = Callable[..., BatchRunner]


def collected(make_runner: MakeRunner, server: FakeServer, out: Path, **options: Any) -> Job:
    """One job, whose URL is left to batchkit."""
    runner = make_runner(
        server.client(fetches=False), output=out, allow_private_downloads=True, **options
    )
    job = runner.add("cat")
    runner.run()
    assert server.ledger.charges == {"cat": 1}
    assert server.ledger.check(runner).ok
    return runner.job(job)


def is_whole(job: Job) -> bool:
    assert job.status is JobStatus.COMPLETED, job.error
    assert job.result is not None
    (artifact,) = job.result.artifacts
    data = artifact.path.read_bytes()
    return (len(data), sha(data)) == (SIZE, artifact.sha256)


@pytest.mark.parametrize(
    "words", ["cut*3", "corrupt", "cut no_range", "cut new_etag", "reset*2 cut*2", "503*4 cut"]
)
def test_faults_of_a_file_server_cost_nothing(
    make_runner: MakeRunner, clock: FakeClock, tmp_path: Path, words: str
) -> None:
    with FakeServer(polls=1, size=SIZE, clock=clock) as server:
        server.provider.script("cat", *(f"fetch:{word}" for word in words.split()))
        assert is_whole(collected(make_runner, server, tmp_path / "out"))


def test_an_url_that_expired_is_replaced(
    executor: str, make_runner: MakeRunner, clock: FakeClock, tmp_path: Path
) -> None:
    late = iter([7200.0])

    def hook(point: str) -> None:
        if point == "write:before":
            clock.advance(next(late, 0.0))

    with FakeServer(polls=1, size=SIZE, url_seconds=3600, clock=clock) as server:
        job = collected(make_runner, server, tmp_path / "out", hook=hook, executor=executor)

    assert is_whole(job)


def test_a_result_that_the_provider_deleted_is_expired(
    make_runner: MakeRunner, clock: FakeClock, tmp_path: Path
) -> None:
    with FakeServer(polls=1, size=SIZE, clock=clock) as server:
        server.provider.script("cat", "expire")
        job = collected(make_runner, server, tmp_path / "out")

    assert job.status is JobStatus.EXPIRED
    assert list((tmp_path / "out").glob(".*")) == []
