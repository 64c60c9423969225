"""The contract of an artifact store: the place where results are delivered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from batchkit._jobs import Job
from batchkit._results import Artifact, JobResult, Output

#: What a client's ``fetch`` may return.
Fetched = bytes | Path | Iterable[bytes]


class ArtifactStore(Protocol):
    """Where results are delivered. Methods block; they are called on threads meant for that.

    Nothing is visible under its final name before it is whole and verified.
    """

    def check(self, jobs: Iterable[Job]) -> None:
        """Refuses what cannot work, before anything is paid.

        Raises:
            TemplateError: an unknown field, an unsafe name, or two jobs with one file name.
            StorageFullError: the place cannot be written to.
        """
        ...

    def existing(self, job: Job) -> JobResult | None:
        """The verified result of an earlier run for the same request, or ``None``."""
        ...

    def write(self, job: Job, output: Output, data: Fetched | None) -> tuple[Artifact, ...]:
        """Delivers one output; *data* is what was fetched, ``None`` when the output holds it.

        Raises:
            StorageFullError: no space left; nothing partial stays under a final name.
            ResultExpiredError: the provider has deleted it.
        """
        ...

    def report(self, jobs: Iterable[Job]) -> None:
        """Rewrites the manifest from all jobs of the batch, atomically."""
        ...
