"""Many processes on one batch: lines in commit order, and never two runners of one job."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from batchkit import JobStatus
from batchkit.storage import Entry
from batchkit.testing._check_storage_base import begin, counts_hold
from postgres_server import Make, Server

pytest_plugins = ["postgres_fixtures"]
_S = JobStatus
PROCESSES = 4


def start(script: str, server: Server, schema: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, server.dsn(schema=schema), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Lets them begin together."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


# -- the journal -------------------------------------------------------------------------------

WRITER = """
import sys
from batchkit import GenerateVideo
from batchkit._requests import dump_request
from batchkit.storage import Entry, NewJob, PostgresStorage
storage = PostgresStorage(sys.argv[1])
me = int(sys.argv[2])
batch = storage.open_batch("conformance", 1.0).id
print("ready", flush=True)
sys.stdin.readline()
for turn in range(100):
    storage.append(batch, [Entry("progress", 1.0, me, turn, {"n": n}) for n in range(1 + me)])
"""


@pytest.mark.slow
def test_a_viewer_misses_no_line(make: Make, server: Server, schema: str) -> None:
    """Whatever it has seen, nothing comes later with a lower number."""
    storage = make()
    batch, _ = begin(storage, "a")
    writers = [start(WRITER, server, schema, n) for n in range(PROCESSES)]
    go(writers)
    seen, since = list[Entry](), 0
    while any(writer.poll() is None for writer in writers) or storage.journal(batch, since):
        page = storage.journal(batch, since, 7)
        seen += page
        since = page[-1].seq if page else since
    assert [writer.wait() for writer in writers] == [0] * PROCESSES
    for writer in writers:
        writer.communicate()
    whole = storage.journal(batch, limit=10**6)
    assert seen == whole
    assert [line.seq for line in whole] == list(range(1, len(whole) + 1))
    assert len(whole) == 100 * sum(range(1, PROCESSES + 1))
    # Each writer's lines are in its own order, and those of one save side by side.
    for me in range(PROCESSES):
        own = [(line.attempt, line.data["n"], line.seq) for line in whole if line.job_id == me
            and line.data]  # fmt: skip
        assert own == sorted(own)
        firsts = own[:: 1 + me]
        assert [seq + me for _, _, seq in firsts] == [seq for _, _, seq in own[me :: 1 + me]]


# -- claims ------------------------------------------------------------------------------------

RUNNER = """
import json, sys, time
from batchkit import BatchBusyError, JobStatus as S
from batchkit.storage import Change, Entry, PostgresStorage
storage = PostgresStorage(sys.argv[1], lease_seconds=3600)
batch = storage.open_batch("conformance", 1.0).id
print("ready", flush=True)
sys.stdin.readline()

def save(jobs, status, **changes):
    after = [job.to(status, **changes) for job in jobs]
    lines = [[Entry(status, 1.0, job.id, after.attempt, {"epoch": job.epoch})]
             for job, after in zip(jobs, after)]
    saved = storage.save([Change(a, b, c) for a, b, c in zip(after, jobs, lines)])
    for n, job in enumerate(after):
        print(json.dumps([status, job.id, job.epoch, saved.first_seq + n, n in saved.fenced]))
    return [job for n, job in enumerate(after) if n not in saved.fenced]

def work(epoch):
    # From here on, nothing of an older epoch may be written; time for those who would.
    first = storage.append(batch, [Entry("began", 1.0, data={"epoch": epoch})])
    print(json.dumps(["began", 0, epoch, first, False]))
    time.sleep(0.01)
    for job in storage.in_flight(batch, epoch):
        if job.status is S.SUBMITTING:
            save([job], S.FAILED, completed=1.0)
    while True:
        jobs = storage.claim(batch, epoch, 3, 2e9)
        if not jobs:
            return
        save(save(jobs, S.SUBMITTING, attempt=1), S.FAILED, completed=1.0)

while set(storage.counts(batch)) != {S.FAILED}:
    try:
        epoch = storage.acquire(batch)
        work(epoch)
    except BatchBusyError:
        time.sleep(0.002)
    storage.release(batch)
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_never_two_runners_of_one_job(make: Make, server: Server, schema: str) -> None:
    """Leases are taken away again and again; what counts is the order of commits."""
    storage = make()
    batch, epoch = begin(storage, *(f"job {n}" for n in range(400)))
    storage.release(batch)
    runners = [start(RUNNER, server, schema) for _ in range(PROCESSES)]
    answers: list[list[Any]] = []

    def listen(runner: subprocess.Popen[str]) -> None:
        assert runner.stdout is not None
        answers.extend(json.loads(line) for line in runner.stdout)

    go(runners)
    listeners = [threading.Thread(target=listen, args=(runner,)) for runner in runners]
    for listener in listeners:
        listener.start()
    # Each gets a little further, however slow this machine is.
    over = f"UPDATE {schema}.leases SET expires_at = clock_timestamp() - interval '1 second'"
    lines = f"SELECT seq FROM {schema}.heads"
    with server.connect() as chaos:
        last = 0
        while any(runner.poll() is None for runner in runners):
            if (written := chaos.execute(lines.encode()).fetchall()[0][0]) > last + 8:
                chaos.execute(over.encode())
                last = written
            threading.Event().wait(0.002)
    for runner, listener in zip(runners, listeners, strict=True):
        listener.join()
        assert runner.wait() == 0
        assert runner.stdin
        runner.stdin.close()
        assert runner.stdout
        runner.stdout.close()

    jobs = list(storage.jobs(batch))
    done = [each for each in answers if not each[4]]
    intents = [each for each in done if each[0] == "submitting"]
    ends = [each for each in done if each[0] == "failed"]
    fenced = len(answers) - len(done)
    takeovers = storage.acquire(batch) - epoch
    print(f"{takeovers} epochs, {len(intents)} intents, {fenced} fenced saves")
    # Every job was begun once and ended once.
    assert Counter(each[1] for each in intents) == Counter(job.id for job in jobs)
    assert Counter(each[1] for each in ends) == Counter(job.id for job in jobs)
    latest = 0
    for kind, _, of_runner, _, _ in sorted(done, key=lambda each: each[3]):
        # Lines of the journal are never fenced; the state of a job is.
        assert of_runner >= latest or kind == "began", "a runner wrote after a later one had begun"
        latest = max(latest, of_runner)
    assert {job.status for job in jobs} == {_S.FAILED}
    counts_hold(storage, batch, "many runners")
    # The journal holds what was fenced too.
    assert len(storage.journal(batch, limit=10**6)) == len(answers)
    assert takeovers > PROCESSES
    assert fenced > 0
