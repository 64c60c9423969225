"""A process that is killed in the middle of a download, and the next one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from file_server import Answer, FileServer, serving

from batchkit import BatchRunner, JobStatus
from waiting_kit import until

SIZE, HALF = 24_000_000, 17_000_000

RUN = """
import sys
from batchkit import *

class Client:
    def submit(self, job):
        print("paid", flush=True)
        return Accepted(handle=Handle(id="remote-1"))

    def poll(self, handle):
        output = Output(url=sys.argv[2])
        return RemoteStatus(state="succeeded", finished=Finished(outputs=(output,)))

folder = sys.argv[1]
with BatchRunner(
    Client(), storage=folder + "/batch.db", output=folder + "/out", delay=0, executor=sys.argv[3],
    allow_private_downloads=True,
) as runner:
    runner.add("a cat")
    print(runner.run().counts, flush=True)
"""


def started(tmp_path: Path, server: FileServer, executor: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", RUN, str(tmp_path), server.url, executor]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize(
    ("executor", "deaths"), [("sequential", 1), ("threads", 2), ("asyncio", 1), ("trio", 1)]
)
def test_kill_9_in_a_download_costs_no_byte(tmp_path: Path, executor: str, deaths: int) -> None:
    part = tmp_path / "out" / ".0001-a-cat.mp4.part"
    with serving(random.Random(4).randbytes(SIZE)) as server:
        for death in range(1, deaths + 1):
            there = HALF * death // deaths
            server.answers.append(Answer(stall=there - size_of(part)))
            with started(tmp_path, server, executor) as process:
                until(lambda there=there: size_of(part) == there, 30)  # type: ignore[misc]
                process.send_signal(signal.SIGKILL)
        with started(tmp_path, server, executor) as last:
            told, _ = last.communicate(timeout=60)
        assert last.returncode == 0
        assert "completed" in told
        assert "paid" not in told
        assert server.sent == SIZE
        assert server.ranges[-1] == f"bytes={HALF}-"
        whole = tmp_path / "out" / "0001-a-cat.mp4"
        assert whole.read_bytes() == server.body
        with BatchRunner.open(tmp_path / "batch.db") as runner:
            (job,) = runner.results()
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert [(each.path, each.sha256) for each in job.result.artifacts] == [(whole, server.sha256)]
    assert job.result.url is None
    left = {each.name for each in (tmp_path / "out").iterdir()}
    assert left == {whole.name, "manifest.jsonl"}
