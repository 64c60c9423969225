"""Batches over HTTP: what clients offer is used, and the ledger balances."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchRunner, Capabilities, JobStatus, PollPolicy
from batchkit._jobs import HELD, TERMINAL
from batchkit.storage import MemoryStorage
from batchkit.testing import SEEDED, FakeClock, FakeServer, HTTPFakeClient, content
from batchkit.testing._model import Keys


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeServer]:
    with FakeServer(polls=1, clock=clock) as made:
        yield made


def runner_of(client: object, clock: FakeClock, **options: Any) -> BatchRunner:
    defaults = {"storage": MemoryStorage(), "clock": clock, "delay": 0}
    return BatchRunner(client, **{**defaults, **options})


# -- what is offered -----------------------------------------------------------------------------


def test_methods_are_there_when_the_provider_offers_them(server: FakeServer) -> None:
    plain, looks = server.client(), server.client(keys="lookup", uploads=True, fetches=False)

    assert [hasattr(plain, name) for name in ("find", "fetch", "prepare")] == [False, True, False]
    assert [hasattr(looks, name) for name in ("find", "fetch", "prepare")] == [True, False, True]
    assert server.client(keys="replay").capabilities.idempotency == "replay"
    assert server.client(keys="reject").capabilities.idempotency == "none"
    free = Capabilities(repeat="free")
    assert server.client(capabilities=free).capabilities is free


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_uploads_come_before_the_submission(
    server: FakeServer, clock: FakeClock, kind: str
) -> None:
    make = server.client(uploads=True) if kind == "sync" else server.async_factory(uploads=True)
    runner = runner_of(make, clock)
    job = runner.add("cat [prepare:500 busy]")
    runner.run()

    assert runner.job(job).status is JobStatus.COMPLETED
    assert server.ledger.uploads == {"cat": 2}
    assert server.ledger.submissions == {"cat": 2}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("word", ["ok", "fetch:403", "fetch:500"])
def test_results_are_fetched(
    server: FakeServer, clock: FakeClock, kind: str, word: str, tmp_path: Path
) -> None:
    client = server.client() if kind == "sync" else server.async_factory()
    runner = runner_of(client, clock, output=str(tmp_path))
    runner.add(f"cat [{word}]")
    runner.run()
    (job,) = runner.results()

    assert job.result is not None
    assert job.result.path is not None
    assert job.result.path.read_bytes() == content("cat")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_running_job_is_cancelled(clock: FakeClock, kind: str) -> None:
    with FakeServer(polls=1000, clock=clock) as server:
        client = server.client() if kind == "sync" else server.async_factory()
        runner = runner_of(client, clock)
        job = runner.add("cat")

        def hook(point: str) -> None:
            if point == "poll:before":
                runner.cancel(job)

        runner.hook = hook
        runner.run()

        assert runner.job(job).status is JobStatus.CANCELED
        assert server.ledger.cancels == {"cat": 1}


@pytest.mark.parametrize(("keys", "ends"), [("replay", 1), ("lookup", 1), ("none", 0)])
@pytest.mark.parametrize("word", ["reset_after", "500_after", "no_id"])
def test_what_is_uncertain_is_settled_where_the_provider_can(
    clock: FakeClock, keys: Keys, ends: int, word: str
) -> None:
    with FakeServer(polls=1, clock=clock, keys=keys) as server:
        runner = runner_of(server.client(), clock)
        runner.add(f"cat [{word}]")
        runner.run()

        assert runner.counts().get(JobStatus.COMPLETED, 0) == ends
        assert server.ledger.charges == {"cat": 1}
        assert server.ledger.check(runner).ok


# -- a batch, and chance -------------------------------------------------------------------------


#: A submission that is accepted after it was looked up is beyond what a look-up can prove.
IN_TIME = [word for word in SEEDED["submit"] if word != "late"]


@pytest.mark.parametrize(
    ("executor", "keys"), [("threads", "none"), ("asyncio", "none"), ("threads", "lookup")]
)
def test_fifty_jobs_with_every_fifth_request_going_wrong(
    executor: str, keys: Keys, clock: FakeClock, tmp_path: Path
) -> None:
    with FakeServer(
        seed=3,
        fault_rate=0.2,
        faults={"submit": IN_TIME} if keys == "lookup" else None,
        keys=keys,
        price="uniform:0.05,2",
        duration="lognormal:60,0.5",
        clock=clock,
    ) as server:
        sync = executor == "threads"
        client = server.client(timeout=0.3) if sync else server.async_factory(timeout=0.3)
        runner = runner_of(
            client,
            clock,
            executor=executor,
            output=str(tmp_path),
            max_concurrent=10,
            poll=PollPolicy(cap=60),
        )
        runner.add_many(f"item {number}" for number in range(50))
        runner.run()
        report = server.ledger.check(runner)
        jobs = list(runner.jobs())

    report.raise_for_faults()
    assert all(job.status in TERMINAL | HELD for job in jobs)
    assert all(job.error for job in jobs if job.status is not JobStatus.COMPLETED)
    assert sum(job.status is JobStatus.COMPLETED for job in jobs) > 25
    assert server.ledger.submissions.total() > server.ledger.charges.total() > 30
    assert report.cents == report.known_cents + report.unaccounted_cents


def test_a_client_can_be_made_from_its_class_alone(server: FakeServer, clock: FakeClock) -> None:
    runner = runner_of(functools.partial(HTTPFakeClient, server.url), clock)
    runner.add("cat")

    assert runner.run().ok
