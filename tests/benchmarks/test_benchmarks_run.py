"""Every benchmark runs to its end; how fast is not tested here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

SMALL = {
    "overhead.py": ["--jobs", "30", "--rounds", "1", "--concurrency", "5", "--wait", "0"],
    "memory.py": ["--jobs", "200"],
    "fifty.py": ["--rounds", "1", "--seconds", "0.01", "--remote", "20", "--wait", "0"],
    "http_requests.py": ["--rounds", "1", "--requests", "20", "--levels", "2", "--wait", "0"],
    "polls.py": ["--jobs", "3", "--duration", "lognormal:5,0.5"],
}
SHOWN = {
    "overhead.py": ["batchkit asyncio, paid", "batchkit threads", "group commit FULL"],
    "memory.py": ["explicit keys", "by content"],
    "fifty.py": ["batchkit asyncio, SQLite", "20 remote jobs"],
    "http_requests.py": ["batchkit httpx", "bare httpx"],
    "polls.py": ["polls per job", "runway: batchkit", "fal: fal-client"],
}


def test_each_script_is_tried() -> None:
    assert set(SMALL) == {path.name for path in BENCHMARKS.glob("[!_]*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_runs_to_its_end(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / script), *SMALL[script], "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout + done.stderr
    assert [name for name in SHOWN[script] if name not in done.stdout] == []
    assert list(tmp_path.iterdir()) == []
