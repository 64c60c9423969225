"""Moments of a batch, and a runner that goes through them."""

from __future__ import annotations

import io
from typing import Any

from batchkit import Capabilities, GenerateVideo, Job, JobStatus, Progress
from batchkit.storage import Failures

S = JobStatus

CAUSE = Failures("provider", "no credit\x1b[2J", "pay the bill", 2, 1)


def job(index: int, title: str = "", **fields: Any) -> Job:
    defaults: dict[str, Any] = {"status": S.PROCESSING, "identity": str(index)}
    request = GenerateVideo(prompt=title or f"item {index}")
    return Job(id=index + 1, batch_id=1, index=index, request=request, **{**defaults, **fields})


def progress(**counts: int) -> Progress:
    elapsed, finished = counts.pop("elapsed", 10), counts.pop("finished", 0)
    by_status = {S(name): n for name, n in counts.items()}
    return Progress(counts=by_status, elapsed=elapsed, finished=finished)


class FakeRunner:
    """Goes through the given moments, and stays at the last."""

    name = "films"

    def __init__(self, *moments: Progress, active: list[Job] | None = None) -> None:
        self.moments, self.jobs = list(moments), active or []
        self.looks = 0
        self.grouped = 0

    def progress(self) -> Progress:
        self.looks += 1
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]

    def active(self) -> list[Job]:
        return self.jobs

    def failures(self) -> list[Failures]:
        self.grouped += 1
        return [CAUSE]


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def free(request: GenerateVideo) -> str:
    if "bad" in request.prompt:
        raise ValueError("the prompt is bad")
    return request.prompt


free.capabilities = Capabilities(repeat="free", sync_result=True, local=True)  # type: ignore[attr-defined]
