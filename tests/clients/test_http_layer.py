"""What every HTTP client gets for free: sending, the reading of errors, keys that stay at home."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    ClientError,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobStatus,
    PollPolicy,
    RejectedError,
    RemoteStatus,
    UsageError,
)
from batchkit.clients._http_message import MOST_BYTES
from batchkit.clients._http_session import open_transport
from batchkit.clients._http_transport import SHARE, Transport, media_type_of
from batchkit.clients.base import Capabilities
from batchkit.clients.http import (
    Exchange,
    FilePart,
    HttpClient,
    HttpRequest,
    HttpResponse,
)

Handler = Callable[[httpx.Request], httpx.Response]


class Toy(HttpClient):
    """The smallest client of an API."""

    name = "toy"
    key_env = ("TOY_KEY",)
    default_url = "https://api.example.com/v1"
    capabilities = Capabilities(not_accepted=frozenset({503}))

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        answer = yield HttpRequest("POST", "/videos", json={"prompt": job.title})
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        answer = yield HttpRequest("GET", f"/videos/{handle.id}")
        return RemoteStatus(state=answer.text("status"), finished=Finished())


def client_of(handler: Handler, cls: type[HttpClient] = Toy, **options: Any) -> HttpClient:
    http_client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return cls("canary-key", http_client=http_client, **options)


def run(client: object, executor: str) -> BatchRunner:
    runner = BatchRunner(
        client, storage="memory", executor=executor, delay=0, poll=PollPolicy(first=0.001)
    )
    runner.add("a cat")
    runner.run()
    return runner


def only(runner: BatchRunner) -> Job:
    (job,) = runner.jobs()
    return job


def test_the_same_code_runs_under_every_executor(executor: str) -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url} {request.headers['authorization']}")
        if request.method == "POST":
            assert json.loads(request.content) == {"prompt": "a cat"}
            return httpx.Response(200, json={"id": "v1"})
        return httpx.Response(200, json={"status": "succeeded"})

    assert only(run(client_of(handler), executor)).status is JobStatus.COMPLETED
    assert seen == [
        "POST https://api.example.com/v1/videos Bearer canary-key",
        "GET https://api.example.com/v1/videos/v1 Bearer canary-key",
    ]


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def answers(status: int, **options: Any) -> Handler:
    return lambda request: httpx.Response(status, **options)


#: What one submission comes to, by what the wire did.
OUTCOMES: list[tuple[str, Handler, JobStatus, ErrorKind]] = [
    ("accept, then nothing", breaks, JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("no id", answers(200, json={}), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("garbage", answers(200, content=b"<p>"), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("500", answers(500), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("409", answers(409), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("redirect", answers(307, headers={"Location": "/"}), JobStatus.UNCERTAIN, ErrorKind.UNCERTAIN),
    ("503", answers(503), JobStatus.FAILED, ErrorKind.NETWORK),
    ("400", answers(400), JobStatus.FAILED, ErrorKind.INVALID_INPUT),
    ("401", answers(401), JobStatus.PENDING, ErrorKind.AUTHENTICATION),
]


@pytest.mark.parametrize(
    ("handler", "status", "kind"), [o[1:] for o in OUTCOMES], ids=[o[0] for o in OUTCOMES]
)
def test_what_a_submission_comes_to(handler: Handler, status: JobStatus, kind: ErrorKind) -> None:
    posts: list[httpx.Request] = []

    def counting(request: httpx.Request) -> httpx.Response:
        posts.append(request)
        return handler(request)

    runner = BatchRunner(client_of(counting), storage="memory", delay=0, max_retries=0)
    runner.add("a cat")
    runner.run()
    job = only(runner)
    assert job.error is not None
    assert (job.status, job.error.kind, len(posts)) == (status, kind, 1)


def test_a_second_request_in_a_submission_is_never_sent() -> None:
    posts: list[str] = []

    class Twice(Toy):
        def http_submit(self, job: Job) -> Exchange[Accepted]:
            yield HttpRequest("POST", "/uploads")
            answer = yield HttpRequest("POST", "/videos")
            return Accepted(handle=answer.text("id"))

    def handler(request: httpx.Request) -> httpx.Response:
        posts.append(request.url.path)
        return httpx.Response(200, json={"id": "v1"})

    job = only(run(client_of(handler, Twice), "threads"))
    assert (job.status, posts) == (JobStatus.UNCERTAIN, ["/v1/uploads"])


def send(client: HttpClient, *requests: HttpRequest) -> list[HttpResponse]:
    async def main() -> list[HttpResponse]:
        transport = open_transport(client)
        try:
            return [await transport.send(request) for request in requests]
        finally:
            await transport.aclose()

    return anyio.run(main)


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.com/signed?sig=1",
        "http://api.example.com/v1/videos",
        "https://api.example.com:8443/v1/videos",
        "https://api.example.com.evil.example/v1",
    ],
)
def test_the_key_goes_to_no_other_host(url: str) -> None:
    seen: list[httpx.Headers] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200)

    send(client_of(handler), HttpRequest("GET", url), HttpRequest("GET", "/own"))
    assert "authorization" not in seen[0]
    assert seen[1]["authorization"] == "Bearer canary-key"


def test_bodies(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    file = tmp_path / "speech.wav"
    file.write_bytes(b"RIFF" * 100_000)

    def handler(request: httpx.Request) -> httpx.Response:
        request.read() if not hasattr(request, "_content") else None
        sent.append(request)
        return httpx.Response(200)

    part = FilePart(field="file", filename="speech.wav", data=b"RIFF", media_type="audio/wav")
    send(
        client_of(handler),
        HttpRequest("POST", "/a", form={"model": "m", "include[]": ["x", "y"]}),
        HttpRequest("POST", "/b", form={"model": "m"}, files=[part]),
        HttpRequest("POST", "/c", content=b"raw"),
        HttpRequest("GET", "/d", params={"limit": 5}),
    )
    form, upload, raw, query = sent
    assert form.headers["content-type"].startswith("multipart/form-data")
    assert form.content.count(b'name="include[]"') == 2
    assert b'filename="speech.wav"' in upload.content
    assert raw.content == b"raw"
    assert query.url.query == b"limit=5"
    assert media_type_of(str(file)).endswith("wav")


def test_a_file_that_is_gone_was_never_sent() -> None:
    request = HttpRequest("POST", "/a", path="/nowhere/at-all.wav")
    with pytest.raises(RejectedError, match="cannot be built"):
        send(client_of(answers(200)), request)


def test_an_answer_without_end_is_not_read() -> None:
    big = answers(200, content=b"x" * (MOST_BYTES + 1))
    with pytest.raises(ClientError, match="larger than"):
        send(client_of(big), HttpRequest("GET", "/big"))


def test_requests_are_spread_and_an_exhausted_pool_is_replaced() -> None:
    opened: list[Any] = []

    class Pool:
        """As much of an httpx client as is used here; its first call finds no connection."""

        def __init__(self) -> None:
            opened.append(self)
            self.closed = False

        def build_request(self, *args: Any, **options: Any) -> httpx.Request:
            return httpx.Request("GET", "https://api.example.com")

        async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            await anyio.lowlevel.checkpoint()
            if self is opened[0]:
                raise httpx.PoolTimeout("no connection is free")
            return httpx.Response(200)

        async def aclose(self) -> None:
            self.closed = True

    async def main() -> list[int]:
        transport = Transport(Toy("k"))
        transport._open = Pool  # type: ignore[method-assign]
        found: list[int] = []

        async def one() -> None:
            try:
                found.append((await transport.send(HttpRequest("GET", "/"))).status)
            except httpx.PoolTimeout:
                found.append(0)

        async with anyio.create_task_group() as group:
            for _ in range(SHARE + 5):
                group.start_soon(one)
        await one()
        await transport.aclose()
        return found

    found = anyio.run(main)
    assert (found.count(0), found.count(200)) == (SHARE, 6)
    assert len(opened) == 2
    assert all(pool.closed for pool in opened)


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOY_KEY", raising=False)
    with pytest.raises(UsageError, match="TOY_KEY"):
        Toy()
    monkeypatch.setenv("TOY_KEY", "from-the-environment")
    assert Toy().key == "from-the-environment"
    with pytest.raises(UsageError, match="base_url"):
        Toy(base_url="api.example.com")
    one, same, other = Toy("a"), Toy("a"), Toy("b")
    assert one.capabilities.quota == same.capabilities.quota != other.capabilities.quota
    assert "canary" not in repr(Toy("canary-key"))
    assert Toy("k", account="team").capabilities.account == "team"


def test_states_and_optional_methods_are_what_the_client_has() -> None:
    session = Toy("k").for_run()
    assert {name for name in ("cancel", "find", "prepare") if hasattr(session, name)} == set()

    class More(Toy):
        def http_cancel(self, handle: Handle) -> Exchange[bool]:
            yield HttpRequest("DELETE", f"/videos/{handle.id}")
            return True

        def http_find(self, job: Job, key: str) -> Exchange[Handle | None]:
            answer = yield HttpRequest("GET", "/videos", params={"tag": key})
            return Handle(id=answer.text("id"))

        def http_prepare(self, job: Job) -> Exchange[dict[str, str]]:
            answer = yield HttpRequest("POST", "/uploads")
            return {"url": answer.text("id")}

    session = client_of(answers(200, json={"id": "v1"}), More).for_run()
    job: Any = None
    assert anyio.run(session.cancel, Handle(id="v1")) is True  # type: ignore[attr-defined]
    assert anyio.run(session.find, job, "k") == Handle(id="v1")  # type: ignore[attr-defined]
    assert anyio.run(session.prepare, job) == {"url": "v1"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({}, "Toy"),
        ({"base_url": "https://toy.example.com/v1/"}, "Toy@toy.example.com"),
        ({"base_url": "http://localhost:4000/v1"}, "Toy@localhost:4000"),
        ({"base_url": "http://localhost:4000/v1", "account": "team"}, "Toy"),
    ],
)
def test_another_host_is_another_provider(options: dict[str, Any], end: str) -> None:
    assert Toy("k", **options).ref.endswith(end)
