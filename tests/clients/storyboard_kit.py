"""Storyboards to ask for, and ways to look at their frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import av
import pytest

from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, Request
from batchkit.clients.base import Finished
from batchkit.clients.storyboard import StoryboardClient


@pytest.fixture
def client() -> Iterator[StoryboardClient]:
    client = StoryboardClient(height=90, default_duration=1.0)
    yield client
    client.close()


def job_for(request: Request) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="x", request=request)


def ask(prompt: str = "Pôr do sol", **fields: Any) -> GenerateVideo:
    return attrs.evolve(GenerateVideo(prompt=prompt), **fields)


def path_of(finished: Finished) -> Path:
    (output,) = finished.outputs
    assert output.path is not None
    return Path(output.path)


def render(client: StoryboardClient, prompt: str = "Pôr do sol", **fields: Any) -> Path:
    return path_of(client.submit(job_for(ask(prompt, **fields))))


def opened(path: Path) -> Any:
    # Any: PyAV's type hints differ from one version to the next.
    return av.open(str(path))


def frames_of(path: Path) -> list[bytes]:
    with opened(path) as container:
        return [b"".join(map(bytes, frame.planes)) for frame in container.decode(video=0)]


def size_of(path: Path) -> tuple[int, int]:
    with opened(path) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height
