"""The fake provider as a program: one line of JSON, a ledger on disk, a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchkit import BatchRunner, JobStatus
from batchkit.clients.fal import FalClient
from batchkit.testing import FakeClock, HTTPFakeClient, Ledger
from batchkit.testing.server import main

COMMAND = [sys.executable, "-m", "batchkit.testing.server"]


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server, json.loads(server.stdout.readline())
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_cleanly(number: signal.Signals) -> None:
    with running("--port", "0") as (server, told):
        assert told["pid"] == server.pid
        assert httpx.get(f"{told['url']}/jobs", trust_env=False).json() == {
            "jobs": [],
            "more": False,
        }
        server.send_signal(number)

        assert server.wait(30) == 0
        assert server.stderr is not None
        assert server.stderr.read() == ""


@pytest.mark.parametrize("key", [None, "a-key"])
def test_it_speaks_like_a_provider(key: str | None) -> None:
    words = ["--vendor", "fal", "--polls", "1"] + (["--api-key", key] if key else [])
    with running(*words) as (_, told):
        client = FalClient("a-key", base_url=told["url"], model="fal-ai/veo3.1/fast")
        with BatchRunner(client, storage="memory", clock=FakeClock(), delay=0) as runner:
            job = runner.add("cat")
            runner.run()
            assert runner.job(job).status is JobStatus.COMPLETED


CHILD = """
import sys
from batchkit import BatchRunner, PollPolicy
from batchkit.testing import HTTPFakeClient
runner = BatchRunner(HTTPFakeClient(sys.argv[1]), storage=sys.argv[2], delay=0)
runner.add_many(["ant", "bee", "cat"])
runner.hook = lambda point: print(point, flush=True)
runner.run()
"""


def test_its_ledger_outlives_the_death_of_the_client(tmp_path: Path) -> None:
    path, storage = tmp_path / "ledger.jsonl", tmp_path / "batch.db"
    with running("--ledger", str(path), "--polls", "2", "--price", "0.25") as (_, told):
        command = [sys.executable, "-c", CHILD, told["url"], str(storage)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            # Killed when all three are at the provider.
            while "poll:before" not in child.stdout.readline():
                assert child.poll() is None
            child.kill()
        client = HTTPFakeClient(told["url"])
        with BatchRunner(client, storage=storage, delay=0) as runner:
            runner.run()
            report = Ledger.read(path).check(runner)
            live = Ledger.from_dict(client.http.get("/_ledger").json())
        client.close()

    report.raise_for_faults()
    assert Ledger.read(path).charges == live.charges == {"ant": 1, "bee": 1, "cat": 1}
    assert (report.cents, report.known_cents) == (75, 75)
    assert {line.statuses for line in report.items} == {(str(JobStatus.COMPLETED),)}


def test_faults_by_seed_rate_and_name() -> None:
    words = ["--seed", "x", "--rate", "poll=1", "--faults", "poll=503,404", "--duration", "0.1"]
    with running(*words, "--api-key", "sk-1", "--keys", "lookup") as (_, told):
        client = httpx.Client(
            base_url=told["url"], headers={"Authorization": "Bearer sk-1"}, trust_env=False
        )
        with client:
            job = client.post("/jobs", json={"prompt": "cat", "tag": "k"}).json()["id"]
            statuses = {client.get(f"/jobs/{job}").status_code for _ in range(30)}
            assert client.get("/jobs?tag=k").json()["jobs"][0]["id"] == job
        assert httpx.get(f"{told['url']}/jobs", trust_env=False).status_code == 401

    assert statuses == {503, 404}


def test_a_running_server_takes_scripts() -> None:
    with running() as (_, told):
        client = httpx.Client(base_url=told["url"], trust_env=False)
        with client:
            script = {"items": {"cat": ["busy"]}, "next": ["429"], "rates": {"list": 0.0}}
            assert client.post("/_script", json=script).status_code == 200
            seen = [
                client.post("/jobs", json={"prompt": prompt}).status_code
                for prompt in ("cat", "dog", "cat")
            ]
            assert client.post("/_script", json={"next": ["oops"]}).status_code == 400
            assert client.post("/_script", content=b"no").status_code == 400
            client.post("/_script", json={"refuse": 600})
        with pytest.raises(httpx.ConnectError):
            httpx.get(told["url"], trust_env=False)

    assert seen == [503, 429, 201]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--duration", "soon"], "'soon' is no number"),
        (["--duration", "gauss:1,2"], "is no distribution"),
        (["--price", "free"], "'free' is no number"),
        (["--rate", "poll"], "'poll' has no value: write it as poll=0.2"),
        (["--rate", "pool=0.2"], "there is no operation 'pool'"),
        (["--faults", "poll=reject"], "poll has no fault 'reject'"),
        (["--keys", "some"], "invalid choice"),
    ],
)
def test_what_cannot_work_says_why(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err
