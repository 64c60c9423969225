"""Runway's own SDK against the server that speaks its language."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from sdk_kit import KEY, slept_on

from batchkit.testing import FakeClock, content
from batchkit.testing.vendors import VendorServer

runwayml = pytest.importorskip("runwayml")


@pytest.fixture
def server(fake_clock: FakeClock) -> Iterator[VendorServer]:
    with VendorServer("runway", api_key=KEY, clock=fake_clock) as started:
        yield started


@pytest.fixture
def sdk(
    server: VendorServer, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    for name in ("runwayml.lib.polling", "runwayml._base_client"):
        monkeypatch.setattr(import_module(name), "time", slept_on(fake_clock))
    with runwayml.RunwayML(api_key=KEY, base_url=server.url) as made:
        yield made


def start(sdk: Any, prompt: str) -> Any:
    return sdk.text_to_video.create(
        model="gen4.5", prompt_text=prompt, ratio="1280:720", duration=5
    )


def test_a_video_at_the_pace_that_it_waits_itself(server: VendorServer, sdk: Any) -> None:
    task = start(sdk, "cat")
    assert task.estimated_cost.credits == 1.0
    found = task.wait_for_task_output()
    assert (found.status, found.cost.credits) == ("SUCCEEDED", 1)
    assert httpx.get(found.output[0]).content == content("cat")
    # It pauses at random, for 4.5 s too: then it is refused, and asks again.
    assert server.ledger.polls["cat"] >= 2


def test_a_query_that_comes_too_soon(sdk: Any) -> None:
    task = start(sdk, "cat")
    assert sdk.tasks.retrieve(task.id).status == "RUNNING"
    with pytest.raises(runwayml.RateLimitError) as raised:
        sdk.with_options(max_retries=0).tasks.retrieve(task.id)
    assert raised.value.response.headers["retry-after"] == "5"


def test_tasks_wait_for_the_others(sdk: Any) -> None:
    tasks = [start(sdk, f"cat {number}") for number in range(6)]
    assert [sdk.tasks.retrieve(task.id).status for task in tasks][-2:] == ["RUNNING", "THROTTLED"]


def test_an_upload(sdk: Any) -> None:
    uri = sdk.uploads.create_ephemeral(file=("a.png", b"\x89PNG")).uri
    task = sdk.image_to_video.create(
        model="gen4_turbo", prompt_text="cat", prompt_image=uri, ratio="1280:720", duration=5
    )
    assert task.wait_for_task_output().status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("script", "code"), [("fail", "SAFETY.INPUT.TEXT"), ("flaky", "INTERNAL.BAD_OUTPUT.CODE01")]
)
def test_a_task_that_fails(sdk: Any, script: str, code: str) -> None:
    with pytest.raises(runwayml.TaskFailedError) as raised:
        start(sdk, f"cat [{script}]").wait_for_task_output()
    assert raised.value.task_details.failure_code == code


def test_a_cancel(server: VendorServer, sdk: Any) -> None:
    task = start(sdk, "cat")
    sdk.tasks.delete(task.id)
    assert sdk.tasks.retrieve(task.id).status == "CANCELLED"
    assert dict(server.ledger.cancels) == {"cat": 1}


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("401", "AuthenticationError"),
        ("403", "PermissionDeniedError"),
        ("429", "RateLimitError"),
        ("500", "InternalServerError"),
    ],
)
def test_errors(server: VendorServer, sdk: Any, word: str, name: str) -> None:
    server.provider.script_next(word)
    with pytest.raises(getattr(runwayml, name)):
        start(sdk.with_options(max_retries=0), "cat")


def test_left_alone_it_pays_three_times(server: VendorServer, sdk: Any) -> None:
    # Why this library speaks HTTP itself: the SDK sends a lost submission again.
    server.provider.script("cat", "drop_after*3")
    with pytest.raises(runwayml.APIConnectionError):
        start(sdk, "cat")
    assert dict(server.ledger.charges) == {"cat": 3}
