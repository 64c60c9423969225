"""What the storyboard client refuses, and what it declares."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storyboard_kit import ask, job_for

from batchkit._errors import MissingExtraError, RejectedError, UsageError
from batchkit._requests import Request, TranscribeVideo
from batchkit.clients import storyboard
from batchkit.clients.storyboard import StoryboardClient


@pytest.fixture
def client() -> Iterator[StoryboardClient]:
    client = StoryboardClient(height=90, default_duration=1.0)
    yield client
    client.close()


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """The files in any temporary folder that clients make during the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: list(tmp_path.rglob("*.mp4"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TranscribeVideo(source="a.mp4"), "not TranscribeVideo: use another client"),
        (ask(aspect_ratio="16x9"), 'as "16:9"'),
        (ask(aspect_ratio="0:9"), 'as "16:9"'),
        (ask(aspect_ratio="16:0.0"), 'as "16:9"'),
        (ask(aspect_ratio="-16:9"), 'as "16:9"'),
        (ask(aspect_ratio="1:100"), "choose a ratio"),
        (ask(aspect_ratio="9" * 400 + ":1"), "choose a ratio"),
        (ask(aspect_ratio=f"{'9' * 400}:{'9' * 400}"), "choose a ratio"),
        (ask(duration=0), "give seconds above 0 and up to 60"),
        (ask(duration=-1.0), "give seconds above 0"),
        (ask(duration=60.1), "or raise StoryboardClient"),
        (ask(duration=float("nan")), "give seconds above 0"),
        (ask(params={"fps": 0}), "whole number from 1 to 60"),
        (ask(params={"fps": 23.976}), "whole number from 1 to 60"),
        (ask(params={"fps": True}), "whole number from 1 to 60"),
        (ask(params={"height": "720p"}), "whole number from 64 to 2160"),
        (ask(params={"height": 4320}), "whole number from 64 to 2160"),
    ],
)
def test_bad_requests_are_refused_with_a_remedy(
    client: StoryboardClient, videos: Callable[[], list[Path]], request_: Request, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        client.check(request_)
    with pytest.raises(RejectedError, match=message):
        client.submit(job_for(request_))
    assert videos() == []


def test_good_requests_pass(client: StoryboardClient) -> None:
    client.check(ask(duration=60, aspect_ratio="21:9", params={"fps": 60, "height": 720}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"height": 10},
        {"fps": 61},
        {"default_duration": 0},
        {"max_duration": 3.0},
        {"max_duration": float("inf")},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give"):
        StoryboardClient(**arguments)


@pytest.mark.parametrize("module", ["av", "PIL.Image"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"batchkit-video\[storyboard\]"):
        StoryboardClient()


def test_a_pyav_without_the_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storyboard, "_CODEC", "libnothing")
    with pytest.raises(UsageError, match="install PyAV's wheel"):
        StoryboardClient()


def test_importing_the_module_imports_neither_library() -> None:
    code = (
        "import sys, batchkit.clients.storyboard as s; "
        "assert not {'av', 'PIL'} & set(sys.modules); assert s.StoryboardClient"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_it_declares() -> None:
    capabilities = StoryboardClient.capabilities
    assert capabilities.repeat == "free"
    assert capabilities.sync_result
    assert capabilities.local
