"""The core without any extra: it works, and asking for more says what to install."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import batchkit

EXTRAS = {
    "faster_whisper": "whisper",
    "av": "storyboard",
    "trio": "trio",
    "psycopg": "postgres",
    "cryptography": "encryption",
    "httpx2": "httpx2",
    "aiohttp": "aiohttp",
}


def absent(module: str) -> bool:
    return importlib.util.find_spec(module) is None


def test_a_function_runs_with_the_core_alone(tmp_path: Path) -> None:
    summary = batchkit.run(
        lambda request: request.prompt.upper(), ["a", "b"], storage=tmp_path / "batch.db", delay=0
    )

    assert summary.ok


@pytest.mark.parametrize(
    ("module", "ask"),
    [
        ("faster_whisper", "from batchkit.clients.whisper import FasterWhisperClient as C; C()"),
        (
            "psycopg",
            "from batchkit.storage import open_storage as o; o('postgresql://localhost/x')",
        ),
        (
            "cryptography",
            "from batchkit.storage import EncryptedStorage as E; E('memory', key=bytes(32))",
        ),
        (
            "httpx2",
            "from batchkit.clients.fal import FalClient as C; C('k', transport='httpx2')",
        ),
        (
            "aiohttp",
            "from batchkit.clients.fal import FalClient as C; C('k', transport='aiohttp')",
        ),
        ("av", "from batchkit.clients.storyboard import StoryboardClient as C; C()"),
        (
            "trio",
            "import batchkit as b; b.BatchRunner(print, storage='memory', executor='trio').run()",
        ),
    ],
)
def test_a_missing_extra_says_which_one(module: str, ask: str) -> None:
    if not absent(module):
        # Runs in the session that installs the core alone.
        pytest.skip(f"{module} is installed here")

    with pytest.raises(batchkit.MissingExtraError, match=EXTRAS[module]):
        exec(ask, {})


def test_a_signature_of_fal_needs_an_extra_and_the_others_none() -> None:
    if not absent("cryptography"):
        # Runs in the session that installs the core alone.
        pytest.skip("cryptography is installed here")
    from batchkit.clients.webhooks import verify_webhook

    assert verify_webhook("luma", {}, b'{"id": "l1"}').handle_id == "l1"
    with pytest.raises(batchkit.MissingExtraError, match="webhooks"):
        verify_webhook("fal", {}, b"{}")


def test_the_command_says_what_it_needs() -> None:
    if not absent("click"):
        # Runs in the session that installs the core alone.
        pytest.skip("click is installed here")

    command = [sys.executable, "-m", "batchkit_video", "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert 'pip install "batchkit-video[cli]"' in done.stderr
