"""What every provider's client has to show against a server that speaks its language."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vendor_batch import KEY, make_runner, recording

from batchkit import BatchRunner, GenerateVideo, Job, JobStatus
from batchkit.testing import SEEDED, FakeClock, check_client
from batchkit.testing._misbehaviour import LATE
from batchkit.testing.vendors import VendorServer

_SCRIPT = Path(__file__).with_name("vendor_batch.py")
#: Of each batch that is killed; ``nox -s vendors`` asks for 200.
JOBS = int(os.environ.get("BATCHKIT_VENDOR_JOBS", "60"))
#: Share of requests that go wrong, of every kind.
FAULTS = 0.15
#: What is not drawn, since it is given up after a minute or two only: a download that stalls, a
#: result that is gone, and one that never was, where only its download tells so.
_SLOW = {"stall", "expire"}
_SLOW_OF = {"openai-videos": _SLOW | {"empty"}}
#: Seconds that a batch that is killed may take until then.
_PATIENCE = 60.0
#: Seconds until absence is proof: longer than what comes late takes.
FIND_AFTER = LATE + 2.0
_HELD = (JobStatus.UNCERTAIN, JobStatus.SUBMITTING)


def conforms(
    vendor: str, *, transcribes: bool = False, files: str | None = None, **options: Any
) -> tuple[str, ...]:
    """The clauses of :func:`check_client` that could not be tried; it fails at a broken one.

    With *transcribes* it is given addresses, or files that are written into the folder *files*.
    """
    request = recording(files, "check.wav") if transcribes else None
    clock = FakeClock()
    with VendorServer(vendor, api_key=KEY, clock=clock, poll_seconds=0) as server:
        return check_client(
            lambda: server.client(**options),
            server,
            request=request or GenerateVideo(prompt="a cat"),
            secrets=[KEY],
            clock=clock,
        )


def dropped_once(
    vendor: str,
    *,
    transcribes: bool = False,
    files: str | None = None,
    keeps_keys: bool = False,
    **options: Any,
) -> tuple[JobStatus, int]:
    """A submission whose connection breaks after the acceptance: what becomes of it, and how
    often it was sent."""
    with VendorServer(vendor, api_key=KEY, keeps_keys=keeps_keys, poll_seconds=0) as server:
        server.drop_next()
        runner = runner_of(server, **options)
        job = runner.add(recording(files, "cat.wav") if transcribes else "cat")
        runner.run()
        assert server.check(runner).ok
        return runner.job(job).status, server.submissions()


def runner_of(server: VendorServer, output: Path | None = None, **options: Any) -> BatchRunner:
    """A batch in memory against a server; the options are those of its client."""
    asked: dict[str, Any] = {"url": server.url, "vendor": server.vendor, "options": options}
    where = None if output is None else str(output)
    return make_runner(asked | {"storage": "memory", "output": where, "find_after": FIND_AFTER})


def killed_once(
    vendor: str,
    folder: Path,
    *,
    transcribes: bool = False,
    files: str | None = None,
    jobs: int = JOBS,
    keeps_keys: bool = False,
    **options: Any,
) -> str:
    """Runs a batch in a process that is killed in its middle, then to its end; how it went, in
    numbers.

    The ledger has to balance, and every job has ended or is listed.
    """
    with VendorServer(
        vendor,
        api_key=KEY,
        seed=vendor,
        fault_rate=FAULTS,
        faults=_drawn(vendor),
        keeps_keys=keeps_keys,
        poll_seconds=0,
    ) as server:
        asked: dict[str, Any] = {
            "url": server.url,
            "vendor": vendor,
            "options": options,
            "storage": str(folder / "batch.db"),
            "output": str(folder / "out"),
            "jobs": jobs,
            "transcribes": transcribes,
            "files": files,
            "find_after": FIND_AFTER,
        }
        _kill_in_the_middle(server, asked)
        assert subprocess.run(_command(asked), check=False).returncode == 0
        runner = make_runner(asked)
        try:
            report = server.check(runner)
            report.raise_for_faults()
            found = list(runner.jobs())
            assert len(found) == jobs
            assert not [job for job in found if not (job.done or job.status in _HELD)]
            return f"{vendor}: {_counted(found, server)}"
        finally:
            runner.close()


def _drawn(vendor: str) -> dict[str, list[str]]:
    slow = _SLOW_OF.get(vendor, _SLOW)
    return {kind: [word for word in SEEDED[kind] if word not in slow] for kind in ("fetch", "job")}


def _command(asked: Mapping[str, Any]) -> list[str]:
    return [sys.executable, str(_SCRIPT), json.dumps(asked)]


def _kill_in_the_middle(server: VendorServer, asked: Mapping[str, Any]) -> None:
    process = subprocess.Popen(_command(asked))
    give_up = time.monotonic() + _PATIENCE
    while server.submissions() < int(asked["jobs"]) // 2:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < give_up, f"only {server.submissions()} were submitted"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _counted(found: list[Job], server: VendorServer) -> dict[str, int]:
    counts = {str(status): 0 for status in JobStatus}
    for job in found:
        counts[str(job.status)] += 1
    return {
        **{name: count for name, count in counts.items() if count},
        "submissions": server.submissions(),
        "charges": server.ledger.charges.total(),
    }
