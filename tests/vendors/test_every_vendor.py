"""What holds for the client of every provider, against the server that speaks its language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from vendor_kit import conforms, dropped_once, killed_once

from batchkit import JobStatus
from batchkit.testing.vendors import VENDORS
from telling_kit import Tell


@attrs.frozen
class Case:
    """One way to use a provider.

    Attributes:
        vendor: whose client and server.
        sends: ``"prompts"``, or recordings as ``"addresses"`` or ``"files"``.
        finds: a submission whose answer is lost is looked up, and the job completes.
        options: of the client.
    """

    vendor: str
    sends: str = "prompts"
    finds: bool = False
    options: dict[str, Any] = attrs.field(factory=dict)

    def told(self, folder: Path) -> dict[str, Any]:
        """How the kit is told of it."""
        files = str(folder) if self.sends == "files" else None
        return {"transcribes": self.sends != "prompts", "files": files, **self.options}


CASES = [
    Case("assemblyai", "addresses"),
    Case("assemblyai", "files", finds=True),
    Case("deepgram", "addresses"),
    Case("fal", options={"model": "fal-ai/veo3.1/fast"}),
    Case("gladia", "addresses", finds=True),
    Case("gladia", "files", finds=True),
    Case("google", options={"model": "gemini-omni-1.2-flash"}),
    Case("google", "files", options={"model": "gemini-3.5-transcribe"}),
    Case("groq", "addresses", options={"model": "whisper-large-v3"}),
    Case("openai-audio", "files", options={"model": "whisper-large-v3"}),
    Case("openai-videos", options={"model": "sora-2"}),
    Case("openrouter", options={"model": "google/veo-3.1"}),
    Case("replicate", options={"model": "kwaivgi/kling-v2.1"}),
    Case("replicate", "files", finds=True, options={"model": "kwaivgi/kling-v2.1"}),
    Case("runway", options={"model": "gen4.5"}),
    Case("speechmatics", "addresses", finds=True),
    Case("speechmatics", "files", finds=True),
]
#: What the suite can try every clause with: it looks a submission up where the client can, and
#: these two can only by the address of an upload.
CONFORMING = [
    case for case in CASES if case.finds or case.vendor not in ("assemblyai", "replicate")
]


def named(case: Case) -> str:
    return f"{case.vendor}-{case.sends}"


def test_no_vendor_is_left_out() -> None:
    assert {case.vendor for case in CONFORMING} == set(VENDORS)


@pytest.mark.parametrize("case", CONFORMING, ids=named)
def test_it_conforms(case: Case, tmp_path: Path) -> None:
    assert conforms(case.vendor, **case.told(tmp_path)) == ()


@pytest.mark.parametrize("case", CASES, ids=named)
def test_accepted_and_dropped_is_sent_once(case: Case, tmp_path: Path) -> None:
    ends = JobStatus.COMPLETED if case.finds else JobStatus.UNCERTAIN
    assert dropped_once(case.vendor, **case.told(tmp_path)) == (ends, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_batch_that_is_killed_once(case: Case, tmp_path: Path, tell: Tell) -> None:
    tell(f"{case.sends}: {killed_once(case.vendor, tmp_path, **case.told(tmp_path))}")
