"""The pytest plugin: fixtures by name, and nothing imported before a test wants it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import batchkit

ROOT = Path(__file__).parents[2]
SOURCES = Path(batchkit.__file__).parents[1]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a program that has this package installed, entry points and all."""
    site = tmp_path / "site"
    info = site / "batchkit_video-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: batchkit-video\nVersion: 0\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    points = project["entry-points"]["pytest11"]
    lines = [f"{name} = {module}" for name, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{SOURCES}"}


def run_pytest(
    folder: Path, env: dict[str, str], tests: str, *words: str
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "test_mine.py").write_text(textwrap.dedent(tests))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(folder)]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


USES = """
    from batchkit import BatchRunner
    from batchkit.testing import FakeClient

    def test_in_process(fake_provider, fake_clock, assert_ledger):
        runner = BatchRunner(FakeClient(fake_provider), storage="memory", clock=fake_clock)
        runner.add_many(["cat [busy]", "dog [drop_after]"])
        runner.run()
        report = assert_ledger(runner)
        assert report.cents == 200

    def test_over_http(fake_server, fake_provider, fake_clock, assert_ledger):
        assert fake_server.provider is fake_provider
        runner = BatchRunner(fake_server.client(), storage="memory", clock=fake_clock)
        runner.add("cat [500_after]")
        runner.run()
        assert_ledger(runner)

    def test_each_test_has_its_own(fake_provider):
        assert not fake_provider.ledger.submissions
"""


def test_the_fixtures_work(tmp_path: Path, installed: dict[str, str]) -> None:
    done = run_pytest(tmp_path / "host", installed, USES)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_fixtures_explain_themselves(tmp_path: Path, installed: dict[str, str]) -> None:
    shown = run_pytest(tmp_path / "host", installed, "", "--fixtures").stdout

    for name in ("fake_clock", "fake_provider", "fake_server", "assert_ledger"):
        assert f"{name} -- " in shown


RUDE = """
    from batchkit import BatchRunner
    from batchkit.testing import FakeClient

    class Repeats(FakeClient):
        def submit(self, job):
            super().submit(job)
            return super().submit(job)

    def test_pays_twice(fake_provider, fake_clock, assert_ledger):
        runner = BatchRunner(Repeats(fake_provider), storage="memory", clock=fake_clock)
        runner.add("cat")
        runner.run()
        assert_ledger(runner)
"""


def test_a_ledger_that_disagrees_fails_the_test_with_a_report(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    done = run_pytest(tmp_path / "host", installed, RUDE)

    assert done.returncode == 1
    assert "paid twice: remote-1" in done.stdout
    assert "1 items: charged 2.00, known 1.00" in done.stdout


LOADED = """
    import json, sys

    found = [name for name in sys.modules if name.split(".")[0] == "batchkit"]
    print("LOADED", json.dumps(found))

    def test_nothing():
        assert [name for name in sys.modules if name.split(".")[0] == "batchkit"] == []

    def test_something(fake_clock):
        assert "batchkit.testing" in sys.modules
"""


def test_nothing_of_batchkit_is_imported_before_a_test_wants_it(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    done = run_pytest(tmp_path / "host", installed, LOADED, "-s")

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "LOADED" in line]
    assert json.loads(line.partition("LOADED")[2]) == []
