"""What the tests of the local folder share."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchkit._jobs import Job, JobStatus
from batchkit._requests import (
    GenerateVideo,
    Request,
    dump_request,
    identity_of,
)
from batchkit._results import Artifact, JobResult, Segment, Transcript

SPOKEN = Transcript(text="Olá.", segments=(Segment(start=0.0, end=1.0, text="Olá."),))


def a_job(index: int = 0, request: Request | str = "A cat", **changes: Any) -> Job:
    request = GenerateVideo(prompt=request) if isinstance(request, str) else request
    values = {"id": index + 1, "index": index, "identity": identity_of(dump_request(request))}
    return Job(**{"batch_id": 1, "request": request, **values, **changes})


def done(job: Job, *artifacts: Artifact) -> Job:
    return job.evolve(status=JobStatus.COMPLETED, result=JobResult(artifacts=artifacts))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def fails(error: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return fail


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
