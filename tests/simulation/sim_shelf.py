"""Where results go: memory whose writes fail, or a real folder; and a look at what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from sim_world import Broken, World

from batchkit import Job, Output, StorageFullError
from batchkit._errors import ClientError
from batchkit._results import Artifact, JobResult
from batchkit.artifacts import ArtifactStore, LocalFolder
from batchkit.testing import content


class Shelf(Protocol):
    """A place for results that can be inspected."""

    store: ArtifactStore

    def inspect(self, job: Job) -> None:
        """Raises if what a COMPLETED job claims to have is not there."""


class MemoryShelf:
    """Bytes in memory, verified as the contract asks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[str, bytes] = {}
        self.store: ArtifactStore = self

    def check(self, jobs: Iterable[Job]) -> None:
        list(jobs)

    def existing(self, job: Job) -> JobResult | None:
        return None

    def write(self, job: Job, output: Output, data: Any) -> tuple[Artifact, ...]:
        if self._world.draw("write"):
            raise StorageFullError("the disk is full")
        if data is None or isinstance(data, int):
            raise ClientError("nothing was fetched")
        found = data if isinstance(data, bytes) else b"".join(data)
        if len(found) != output.size:
            raise ClientError("it is not whole", code="incomplete", retryable=True)
        path = f"{job.index}-{job.attempt}.mp4"
        self._kept[path] = found
        digest = hashlib.sha256(found).hexdigest()
        return (Artifact(path=Path(path), size=len(found), sha256=digest),)

    def report(self, jobs: Iterable[Job]) -> None:
        list(jobs)

    def inspect(self, job: Job) -> None:
        inspect(job, lambda path: self._kept.get(str(path)))


class FolderShelf:
    """A real folder; dying is possible at every point of a delivery."""

    def __init__(self, world: World) -> None:
        self.store: ArtifactStore = LocalFolder(world.folder / "out", hook=world.hook)

    def inspect(self, job: Job) -> None:
        inspect(job, lambda path: path.read_bytes() if path.exists() else None)


def make_shelf(world: World) -> Shelf | None:
    kind = world.plan.shelf
    if kind == "none":
        return None
    return MemoryShelf(world) if kind == "memory" else FolderShelf(world)


def inspect(job: Job, read: Any) -> None:
    artifacts = job.result.artifacts if job.result is not None else ()
    wanted = content(job.title.partition(" [")[0])
    found = [read(artifact.path) for artifact in artifacts]
    if found != [wanted]:
        raise Broken(f"{job!r} is completed, and has {len(found)} results: {found}")
