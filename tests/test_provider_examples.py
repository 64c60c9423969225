"""The examples for real providers, against servers that speak their languages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchRunner, JobStatus
from batchkit.clients import names
from batchkit.clients._load import class_of
from batchkit.testing.vendors import VENDORS, VendorServer

PROVIDERS = Path(__file__).parents[1] / "examples" / "providers"
SCRIPTS = sorted(PROVIDERS.glob("*_*.py"))
KEY = "key-of-a-fake"

#: Which client each script uses.
GENERATE = {
    "generate_fal.py": "fal",
    "generate_gateway.py": "openai-videos",
    "generate_google.py": "google",
    "generate_openrouter.py": "openrouter",
    "generate_replicate.py": "replicate",
    "generate_runway.py": "runway",
}
TRANSCRIBE = {
    "transcribe_assemblyai.py": "assemblyai",
    "transcribe_deepgram.py": "deepgram",
    "transcribe_gladia.py": "gladia",
    "transcribe_groq.py": "groq",
    "transcribe_openai.py": "openai-audio",
    "transcribe_speechmatics.py": "speechmatics",
}
ALL = {script.name: (GENERATE | TRANSCRIBE).get(script.name) for script in SCRIPTS}
WITH_CLIENT = sorted(name for name, client in ALL.items() if client is not None)


def run(name: str, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs an example in *folder*, with no key but those that are given."""
    keys = {key for client in names() for key in getattr(class_of(client), "key_env", ())}
    kept = {key: value for key, value in os.environ.items() if key not in keys}
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(PROVIDERS / name), *words],
        cwd=folder,
        env={**kept, "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_every_client_of_a_provider_has_an_example() -> None:
    local = {"storyboard", "whisper"}

    assert {client for client in ALL.values() if client} == set(names()) - local


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_example_says_how_to_run_it(script: Path) -> None:
    said = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""

    assert re.search(
        rf"^    python examples/providers/{re.escape(script.name)}", said, re.MULTILINE
    )
    client = ALL[script.name]
    if client is not None:
        assert f"export {class_of(client).key_env[0]}=" in said


@pytest.mark.parametrize("name", [n for n in WITH_CLIENT if ALL[n] != "openai-videos"])
def test_without_a_key_it_says_which_one_is_missing(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path, "something")

    assert done.returncode == 2
    assert f"set {class_of(str(ALL[name])).key_env[0]}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_needs_an_address(tmp_path: Path) -> None:
    done = run("generate_gateway.py", tmp_path, "something")

    assert done.returncode == 2
    assert "--base-url" in done.stderr


def served(vendor: str) -> VendorServer:
    # OpenAI's key, and Groq's, are not sent to servers of others.
    keyless = vendor in ("groq", "openai-audio")
    options: dict[str, Any] = {"api_key": None if keyless else KEY}
    return VendorServer(vendor, polls=1, **options)


def key_of(vendor: str) -> dict[str, str]:
    return {class_of(vendor).key_env[0]: KEY}


def offered(scripts: dict[str, str]) -> list[str]:
    return sorted(name for name, vendor in scripts.items() if vendor in VENDORS)


@pytest.mark.slow
@pytest.mark.parametrize("name", offered(GENERATE))
def test_videos_are_generated_once(name: str, tmp_path: Path) -> None:
    with served(GENERATE[name]) as server:
        words = ("um gato", "um trem", "--base-url", server.url)
        first, second = (run(name, tmp_path, *words, **key_of(server.vendor)) for _ in range(2))

        assert (first.returncode, second.returncode) == (0, 0), first.stderr + first.stdout
        assert "All done: 2 Completed" in second.stdout
        assert server.submissions() == 2
    assert len([p for p in (tmp_path / "videos").iterdir() if p.suffix == ".mp4"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", offered(TRANSCRIBE))
def test_recordings_are_transcribed_once(name: str, tmp_path: Path) -> None:
    for talk in ("one.wav", "two.wav"):
        (tmp_path / talk).write_text(talk)
    with served(TRANSCRIBE[name]) as server:
        words = ("one.wav", "two.wav", "--base-url", server.url)
        first, second = (run(name, tmp_path, *words, **key_of(server.vendor)) for _ in range(2))

        assert (first.returncode, second.returncode) == (0, 0), first.stderr + first.stdout
        assert "All done: 2 Completed" in second.stdout
        assert server.submissions() == 2
    assert len(list((tmp_path / "transcripts").glob("*.srt"))) == 2


# -- from one provider to another --------------------------------------------------------------

#: Two providers in the folder of the script's user.
SHOPS = """
from batchkit import Accepted, Capabilities, ErrorKind, Finished, Handle, JobError, Output
from batchkit import OutcomeUnknownError, RejectedError, RemoteState, RemoteStatus

class Strict:
    capabilities = Capabilities()

    def submit(self, job):
        if "bad" in job.title:
            raise RejectedError("not here")
        if "lost" in job.title:
            raise OutcomeUnknownError("no answer")
        if "gone" in job.title:
            return Finished(outputs=(Output(url="http://127.0.0.1:9/video.mp4"),))
        return Finished(outputs=(Output(data=b"strict"),))

    def poll(self, handle):
        raise AssertionError("nothing was accepted")

class Kind:
    def submit(self, job):
        with open("paid.txt", "a") as bill:
            print(job.request.prompt, job.request.model, dict(job.request.params), file=bill)
        return Accepted(handle=Handle(id=job.title), poll_after=0)

    def poll(self, handle):
        done = Finished(outputs=(Output(data=handle.id.encode()),))
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done)
"""


def test_failed_items_move_to_another_provider_and_are_paid_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shops.py").write_text(SHOPS)
    with BatchRunner(
        "shops:Strict", storage="b.db", output="first", delay=0, max_retries=0
    ) as runner:
        runner.add_many(["a cat", "bad dog", "bad bird", "lost cow", "gone fox"], model="s-1")
        runner.run()
        # A person gives up looking for the lost one, and it counts as failed.
        before = {job.title: job.status for job in runner.jobs()}
    assert before["lost cow"] is JobStatus.UNCERTAIN
    assert before["gone fox"] is JobStatus.FAILED
    place = ("--storage", "b.db", "--batch", "default")
    words = (*place, "--to", "shops:Kind", "--model", "k-2", "--params", '{"seed": 7}')

    first, second = (
        run("move_failed.py", tmp_path, *words, PYTHONPATH=os.pathsep.join(sys.path))
        for _ in range(2)
    )

    assert first.returncode == 0, first.stderr
    assert "moved: 2" in first.stdout
    assert "stays: gone fox" in first.stdout
    assert "moved: 0" in second.stdout
    paid = sorted((tmp_path / "paid.txt").read_text().splitlines())
    assert paid == ["bad bird k-2 {'seed': 7}", "bad dog k-2 {'seed': 7}"]
    with BatchRunner.open("b.db", name="default") as old:
        after = {job.title: job.status for job in old.jobs()}
        assert old.retry_failed() == 1  # what was paid for there, and only could not be fetched
    assert after == before | {"bad dog": JobStatus.CANCELED, "bad bird": JobStatus.CANCELED}
    assert len(list((tmp_path / "moved").glob("*.mp4"))) == 2


def test_a_bad_call_of_it_pays_nothing(tmp_path: Path) -> None:
    done = run("move_failed.py", tmp_path, "--storage", "none.db", "--to", "fal")

    assert done.returncode == 2
    assert "there is no batch storage at none.db" in done.stderr
    assert list(tmp_path.iterdir()) == []
