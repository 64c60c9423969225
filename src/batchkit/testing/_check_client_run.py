"""The clauses for a client under a runner."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchkit._jobs import Job, JobStatus
from batchkit._results import Download, Output
from batchkit.clients.base import BoundClient
from batchkit.storage import MemoryStorage
from batchkit.testing._check_client_bench import Bench, one_submission, snapshot
from batchkit.testing._check_storage_base import require
from batchkit.testing._provider import Crash


def check_run(bench: Bench) -> None:
    client, before = bench.client(), bench.server.submissions()
    runner = bench.runner(MemoryStorage(), client)
    job = runner.add(bench.request)
    runner.run()
    done = runner.job(job)
    bench.shown.append(("the record of a job", str(snapshot(done))))
    require(
        done.status is JobStatus.COMPLETED,
        f"the job ended {done.status} ({done.error and done.error.message}): let the server finish "
        "it, and poll answer RemoteState.SUCCEEDED",
    )
    one_submission(bench, before, "one job of a batch")
    assert done.result is not None
    for output in done.result.outputs:
        if output.ref or output.url:
            _fetch(bench, client, done, output)


def _fetch(bench: Bench, client: BoundClient, job: Job, output: Output) -> None:
    if client.fetch is None:
        require(output.ref is None, "an output has a ref: give the client a fetch(job, output)")
        return
    data = bench.call(client.fetch, job, output)
    if isinstance(data, (bytes, Path, Download)):
        return
    pieces = isinstance(data, Iterable) and not isinstance(data, str)
    require(
        pieces and all(isinstance(piece, bytes) for piece in data),
        f"fetch returned {type(data).__name__}: return bytes, a Path, or pieces of bytes; or a"
        " batchkit.Download",
    )


def check_death(bench: Bench) -> None:
    client, storage, before = bench.client(), MemoryStorage(), bench.server.submissions()
    if client.poll is None or client.capabilities.sync_result:
        return
    runner = bench.runner(storage, client)
    runner.hook = _die
    runner.add(bench.request)
    try:
        runner.run()
    except Crash:
        runner = bench.runner(storage, client)
    require(runner.run().ok, "a job whose program died was not completed by the next run")
    one_submission(bench, before, "a job whose program died")


def _die(point: str) -> None:
    if point == "poll:before":
        raise Crash(point)


def check_run_dropped(bench: Bench) -> None:
    client = bench.client()
    replays = client.capabilities.idempotency == "replay"
    if client.free or client.is_function or replays:
        return
    before = bench.server.submissions()
    runner = bench.runner(MemoryStorage(), client)
    runner.add(bench.request)
    bench.prepare_server("drop_next")
    runner.run()
    one_submission(bench, before, "a job of a batch whose connection broke")
