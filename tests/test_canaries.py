"""A canary in every input that can hold a secret; then every output is searched for it."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Event,
    Finished,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    Output,
    PollPolicy,
    RemoteState,
    RemoteStatus,
    TranscribeVideo,
)
from batchkit._redaction import remember
from batchkit.clients.http import Exchange, HttpClient, HttpRequest
from batchkit.testing import FakeProvider, FakeServer

SIGNED = "https://bucket.example.com/in.mp4?X-Amz-Signature=canary-in-the-source"
KEY = "canary-in-the-key"
#: What the provider must be told again after a crash: the request as it was given, the handle, and
#: addresses until they are collected. These stay in the storage, and nowhere else.
STORED = ("canary-in-the-source", "canary-in-params", "canary-in-the-handle")


class Leaky(HttpClient):
    """An API that says every secret back, in every place in which one can."""

    name = "leaky"
    default_url = "https://api.example.com"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "Cookie": "session=canary-in-the-cookie"}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        answer = yield HttpRequest("POST", "/v1?api_key=canary-in-the-query", json={"n": job.index})
        data = {"status_url": "https://api.example.com/s?token=canary-in-the-handle"}
        return Accepted(handle=Handle(id=answer.text("id"), data=data))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        answer = yield HttpRequest("GET", str(handle.data["status_url"]))
        if answer.get("failed"):
            raise ValueError(f"no: {self.headers()} at {handle.data['status_url']}")
        url = answer.text("url")
        return RemoteStatus(
            state=RemoteState.SUCCEEDED, finished=Finished(outputs=(Output(url=url),))
        )


class Wire:
    """Answers of all kinds, each with the secrets of its request in it."""

    def __init__(self, result: str) -> None:
        self.result, self.asked = result, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        said = f"{request.headers.get('authorization')} {request.url} {request.headers['cookie']}"
        if request.method == "POST":
            number = json.loads(request.content)["n"]
            statuses = {1: 400, 2: 500, 3: 429 if self.asked < 6 else 200}
            status = statuses.get(number, 200)
            body: dict[str, Any] = {"id": f"r{number}"} if status == 200 else {"error": said}
            return httpx.Response(status, json=body)
        if self.asked % 2:
            return httpx.Response(503, json={"error": said})
        return httpx.Response(200, json={"url": self.result, "failed": self.asked == 4})


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that is logged, by everybody, at the lowest level, with tracebacks."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture
def result() -> Iterator[str]:
    """A signed address whose file is really there."""
    with FakeServer(FakeProvider(polls=1)) as server:
        client = server.client()
        handle = server.provider.submit("cat", "key")
        while (status := client.poll(handle)).state is not RemoteState.SUCCEEDED:
            time.sleep(0.01)
        assert status.finished is not None
        url = status.finished.outputs[0].url
        client.close()
        assert url is not None
        assert "?" in url
        yield url


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_no_secret_is_written_anywhere_but_to_the_provider(
    executor: str,
    result: str,
    tmp_path: Path,
    everything_logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VENDOR_API_TOKEN", "canary-in-the-environment")
    wire = Wire(result)
    client = Leaky(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(wire)))
    told: list[Event] = []
    with BatchRunner(
        client,
        storage=tmp_path / "batch.db",
        executor=executor,
        output=str(tmp_path / "out"),
        delay=0,
        poll=PollPolicy(first=0.01, cap=0.05),
        max_retries=1,
        allow_private_downloads=True,
    ) as runner:
        runner.on()(told.append)
        runner.add_many(
            [
                GenerateVideo(prompt="a cat", params={"api_key": "canary-in-params"}),
                GenerateVideo(prompt="a dog"),
                GenerateVideo(prompt="an elk"),
                GenerateVideo(prompt="a fox"),
                TranscribeVideo(source=SIGNED),
            ]
        )
        summary = runner.run()
        counts = runner.counts()
        shown: list[object] = [runner, client, summary, runner.progress(), *told, *runner.events()]
        shown += [*runner.jobs(), *runner.results(), *runner.failures(), *runner.uncertain()]
        for job in runner.jobs():
            shown += [runner.why(job), *runner.attempts(job), runner.job(job).result]
        html = [runner._repr_html_(), summary._repr_html_(), summary.headline()]
        print(*shown)
    assert {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.UNCERTAIN} <= counts.keys()

    secrets = ["canary", result.partition("?")[2]]
    files = [path for path in (tmp_path / "out").rglob("*.jsonl") if path.name != "failed.jsonl"]
    assert files
    outputs = {
        "log": everything_logged.getvalue(),
        "repr": repr(shown),
        "html": repr(html),
        "printed": capsys.readouterr().out,
        **{path.name: path.read_text("utf-8") for path in files},
    }
    assert "HTTP Request" in outputs["log"] or "GET" in outputs["log"]
    for place, text in outputs.items():
        for secret in secrets:
            position = text.find(secret)
            assert position < 0, f"{place}: {text[max(0, position - 200) : position + 80]}"
    for path in tmp_path.glob("batch.db*"):
        stored = path.read_bytes()
        for allowed in STORED:
            stored = stored.replace(allowed.encode(), b"")
        for secret in secrets:
            position = stored.find(secret.encode())
            assert position < 0, f"{path.name}: {stored[max(0, position - 200) : position + 80]!r}"


def test_prompts_are_not_logged(everything_logged: io.StringIO) -> None:
    def work(request: object) -> str:
        raise ValueError("no")

    prompt = "a very confidential scene"
    remember([])
    with BatchRunner(work, storage="memory", delay=0) as runner:
        runner.add(prompt)
        runner.run()
    lines = everything_logged.getvalue()
    assert prompt not in lines
