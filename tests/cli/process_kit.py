"""The program as a process of its own, and a client that works until it is told to end."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

CLIENT = """
import threading
from pathlib import Path
from batchkit import Capabilities

def step(request):
    # Works until the test has done what it wanted to.
    while not Path("go").exists():
        threading.Event().wait(0.01)
    return request.title

step.capabilities = Capabilities(repeat="free", sync_result=True)

def stuck(request):
    threading.Event().wait()

stuck.capabilities = Capabilities(sync_result=True)
"""


GENERATE = ("generate", "prompts.txt", "--max-concurrent", "1", "--client")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "batchkit_video", *words]


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "BATCHKIT_LANG": "en"}
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "BATCHKIT_LANG": "en"}
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def journal(folder: Path, kind: str) -> Counter[int]:
    """How often each job had an event of that kind; nothing while there is no database."""
    database = folder / "batchkit.db"
    if not database.exists():
        return Counter()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        try:
            rows = db.execute("SELECT job FROM journal WHERE kind = ?", (kind,)).fetchall()
        except sqlite3.OperationalError:
            # Its tables are being made.
            return Counter()
    return Counter(row[0] for row in rows)


def until(process: subprocess.Popen[str], folder: Path, kind: str, count: int) -> None:
    """Waits until that many jobs of a living process had such an event."""
    deadline = time.monotonic() + 40
    while len(journal(folder, kind)) < count:
        assert time.monotonic() < deadline
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CLIENT)
    (tmp_path / "prompts.txt").write_text("a\nb\nc\n")
    return tmp_path


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


def read_terminal(file: int, awaited: bytes) -> bytes:
    seen = b""
    while awaited not in seen:
        seen += os.read(file, 4096)
    return seen
