"""A client of an HTTP API, over a real port: the conformance suite, and all ways to pass it on."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobStatus,
    RemoteState,
    RemoteStatus,
)
from batchkit.clients.http import Exchange, HttpClient, HttpRequest
from batchkit.testing import Asked, FakeAPI, FakeClock, check_client

KEY = "sk-made-up-key"
STATES = {"done": RemoteState.SUCCEEDED, "error": RemoteState.FAILED}


class API:
    """What the API does, without its faults."""

    def __init__(self) -> None:
        self.looks: dict[str, int] = {}
        self.by_key: dict[str, str] = {}

    def __call__(self, asked: Asked) -> tuple[int, object]:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"error": "no key"}
        if asked.method == "POST":
            number = self.by_key.setdefault(asked.headers["idempotency-key"], str(len(self.looks)))
            self.looks.setdefault(number, 0)
            return 200, {"id": number}
        number = asked.path.rpartition("/")[2]
        if number not in self.looks:
            return 404, {"error": "no such job"}
        if asked.method == "DELETE":
            return 200, {"state": "running"}
        self.looks[number] += 1
        return 200, {"state": "done" if self.looks[number] > 2 else "running"}


class ExampleClient(HttpClient):
    name = "example"
    key_env = ("EXAMPLE_KEY",)
    default_url = "https://api.example.com"
    capabilities = Capabilities(cancel="running", idempotency="replay", min_poll_seconds=2.0)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        headers = {"Idempotency-Key": job.submit_key}
        answer = yield HttpRequest("POST", "/jobs", json={"prompt": job.title}, headers=headers)
        return Accepted(handle=Handle(id=answer.text("id")))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        answer = yield HttpRequest("GET", f"/jobs/{handle.id}")
        state = STATES.get(answer.text("state"), RemoteState.RUNNING)
        return RemoteStatus(state=state, finished=Finished(text="done"))

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        answer = yield HttpRequest("DELETE", f"/jobs/{handle.id}")
        return answer.text("state") == "canceled"


@pytest.fixture
def server() -> Iterator[FakeAPI]:
    with FakeAPI(API(), state_key="state") as made:
        yield made


def test_it_passes_the_conformance_suite(server: FakeAPI) -> None:
    make = partial(ExampleClient, KEY, base_url=server.url)

    assert check_client(make, server, secrets=[KEY]) == ()


class Local(ExampleClient):
    """As a user writes it: everything it needs is in the class and in the environment."""


@pytest.mark.parametrize(
    "spec",
    [lambda: Local(), lambda: Local, lambda: lambda: Local(), lambda: "example_module:Local"],
    ids=["object", "class", "function", "name"],
)
def test_it_is_passed_on_in_any_way(
    spec: Callable[[], Any], executor: str, server: FakeAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", KEY)
    monkeypatch.setattr(Local, "default_url", server.url)
    module = types.ModuleType("example_module")
    module.Local = Local  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "example_module", module)
    options: dict[str, Any] = {"storage": "memory", "clock": FakeClock(), "delay": 0}

    with BatchRunner(spec(), executor=executor, **options) as runner:
        runner.add_many(["a", "b"])
        assert runner.run().counts == {JobStatus.COMPLETED: 2}
        runner.add("c")
        assert runner.run().ok

    assert server.submissions() == 3
