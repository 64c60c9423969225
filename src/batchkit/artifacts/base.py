"""The contract of an artifact store: the place where results are delivered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from batchkit._jobs import Job
from batchkit._results import Artifact, Download, JobResult, Output

#: What a client's ``fetch`` may return.
Fetched = bytes | Path | Iterable[bytes] | Download


class ArtifactStore(Protocol):
    """Where results are delivered. Methods block; they are called on threads meant for that.

    Nothing is visible under its final name before it is whole and verified.

    Two more methods are optional, and found by presence: ``holds(artifacts) -> bool``, whether
    files that were delivered in an earlier run are still there, byte for byte (without it, a job
    that died between its outputs is collected from the first again); and ``discard(job)``, called
    when a job has expired, to remove what was kept to be gone on with.
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
            NotFoundError: it is not there, or not yet.
            ResultExpiredError: the provider has deleted it.
            AuthenticationError: the credentials are refused; pauses the batch.
        """
        ...

    def report(self, jobs: Iterable[Job]) -> None:
        """Rewrites the manifest from all jobs of the batch, atomically."""
        ...
