"""The core without any extra: it works, and asking for more says what to install."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import batchkit

EXTRAS = {"faster_whisper": "whisper", "av": "storyboard", "trio": "trio", "click": "cli"}


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
        ("av", "from batchkit.clients.storyboard import StoryboardClient as C; C()"),
        (
            "trio",
            "import batchkit as b; b.BatchRunner(print, storage='memory', executor='trio').run()",
        ),
        ("click", "import batchkit.cli"),
    ],
)
def test_a_missing_extra_says_which_one(module: str, ask: str) -> None:
    if not absent(module):
        # Runs in the session that installs the core alone.
        pytest.skip(f"{module} is installed here")

    with pytest.raises(batchkit.MissingExtraError, match=EXTRAS[module]):
        exec(ask, {})
