"""The fake HTTP server: it counts what is really sent, misbehaves as told, and checks clients."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    NotAcceptedError,
    RemoteState,
    RemoteStatus,
    UsageError,
)
from batchkit.testing import Asked, FakeAPI, check_client

KEY = "sk-made-up"
STATES = {
    "queued": RemoteState.QUEUED,
    "running": RemoteState.RUNNING,
    "done": RemoteState.SUCCEEDED,
    "error": RemoteState.FAILED,
}


class API:
    """What the API does, without its faults."""

    def __init__(self) -> None:
        self.looks: dict[str, int] = {}

    def __call__(self, asked: Asked) -> tuple[int, object]:
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        if asked.method == "POST":
            number = str(len(self.looks))
            self.looks[number] = 0
            return 200, {"job": {"id": number}}
        number = asked.path.partition("?")[0].rpartition("/")[2]
        if number not in self.looks:
            return 404, {"error": "no such job"}
        self.looks[number] += 1
        return 200, {"job": {"status": "done" if self.looks[number] > 2 else "running"}}


class VideoAPI:
    """A client without a fault: it lets every HTTP error pass."""

    capabilities = Capabilities()

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id=self.post(job)["job"]["id"]))

    def post(self, job: Job) -> Any:
        body = {"prompt": job.title, "key": job.submit_key}
        return self.http.post("/jobs", json=body).raise_for_status().json()

    def poll(self, handle: Handle) -> RemoteStatus:
        answer = self.http.get(f"/jobs/{handle.id}").raise_for_status().json()
        state = STATES.get(answer["job"]["status"], RemoteState.RUNNING)
        return RemoteStatus(state=state, finished=Finished(text="done"))

    def close(self) -> None:
        self.http.close()


class AsyncVideoAPI:
    """The same, awaited."""

    capabilities = Capabilities()

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def submit(self, job: Job) -> Accepted:
        answer = await self.http.post("/jobs", json={"prompt": job.title})
        return Accepted(handle=Handle(id=answer.raise_for_status().json()["job"]["id"]))

    async def poll(self, handle: Handle) -> RemoteStatus:
        answer = await self.http.get(f"/jobs/{handle.id}")
        word = answer.raise_for_status().json()["job"]["status"]
        return RemoteStatus(state=STATES.get(word, RemoteState.RUNNING))

    async def aclose(self) -> None:
        await self.http.aclose()


HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def server() -> Iterator[FakeAPI]:
    with FakeAPI(API()) as made:
        yield made


def over_the_port(server: FakeAPI) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=HEADERS, trust_env=False)


def over_the_transport(server: FakeAPI) -> httpx.Client:
    url = "https://api.example"
    return httpx.Client(base_url=url, headers=HEADERS, transport=server.transport())


WAYS = pytest.mark.parametrize("connect", [over_the_port, over_the_transport])


def check(client: Any, server: FakeAPI) -> tuple[str, ...]:
    return check_client(client, server, secrets=[KEY])


@WAYS
def test_a_client_without_a_fault_passes(connect: Any, server: FakeAPI) -> None:
    assert check(lambda: VideoAPI(connect(server)), server) == ()


def test_an_async_client_without_a_fault_passes(server: FakeAPI) -> None:
    def make() -> AsyncVideoAPI:
        return AsyncVideoAPI(
            httpx.AsyncClient(base_url=server.url, headers=HEADERS, trust_env=False)
        )

    assert check(make, server) == ()


class Retrying(httpx.BaseTransport):
    """What many SDKs do, without being asked."""

    def __init__(self) -> None:
        self.http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(2):
            try:
                answer = self.http.handle_request(request)
            except httpx.TransportError:
                continue
            if answer.status_code < 429:
                return answer
            answer.close()
        return self.http.handle_request(request)

    def close(self) -> None:
        self.http.close()


def test_retries_below_the_client_are_counted(server: FakeAPI) -> None:
    def make() -> VideoAPI:
        return VideoAPI(httpx.Client(base_url=server.url, headers=HEADERS, transport=Retrying()))

    with pytest.raises(AssertionError) as raised:
        check(make, server)

    found = str(raised.value)
    assert "submit.dropped: a submission whose connection broke after it was accepted" in found
    assert "became 2 submissions" in found
    assert "submit.failed: a submission that the server failed to answer became 2" in found
    assert "submit.once" not in found, "while nothing fails there is nothing to see"


class ClaimsMuch(VideoAPI):
    def post(self, job: Job) -> Any:
        try:
            return super().post(job)
        except (httpx.TransportError, ValueError) as exc:
            raise NotAcceptedError("the API did not answer") from exc


class Lenient(VideoAPI):
    def submit(self, job: Job) -> Accepted:
        answer = self.http.post("/jobs", json={"prompt": job.title}).json() or {}
        return Accepted(handle=Handle(id=str(dict(answer).get("job", {}).get("id"))))

    def poll(self, handle: Handle) -> RemoteStatus:
        answer = self.http.get(f"/jobs/{handle.id}")
        if not answer.is_success:
            return RemoteStatus(state=RemoteState.FAILED)
        word = dict(answer.json() or {}).get("job", {}).get("status")
        return RemoteStatus(state=STATES.get(word, RemoteState.FAILED))


class KeyInTheAddress(VideoAPI):
    def poll(self, handle: Handle) -> RemoteStatus:
        self.http.params = self.http.params.set("key", KEY)
        return super().poll(handle)


@WAYS
@pytest.mark.parametrize(
    ("client", "clauses"),
    [
        (ClaimsMuch, {"submit.dropped", "submit.garbage", "run.dropped"}),
        (
            Lenient,
            {
                "submit.refused",
                "submit.failed",
                "submit.garbage",
                "poll.unknown_word",
                "poll.failure",
                "poll.garbage",
            },
        ),
        (KeyInTheAddress, {"secrets"}),
    ],
)
def test_clients_with_a_fault_are_found(
    connect: Any, client: type[VideoAPI], clauses: set[str], server: FakeAPI
) -> None:
    with pytest.raises(AssertionError) as raised:
        check(lambda: client(connect(server)), server)

    assert {line.partition(":")[0] for line in str(raised.value).splitlines()} == clauses


# -- the server itself -----------------------------------------------------------------------------


def echo(asked: Asked) -> tuple[int, object]:
    return 200, asked.body or [{"state": "running", "of": [asked.path]}]


def test_every_library_is_answered() -> None:
    with FakeAPI(echo) as server:
        request = urllib.request.Request(f"{server.url}/a?b=1", data=b"raw", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.read() == b"raw"
        assert [(asked.method, asked.path) for asked in server.asked] == [("PUT", "/a?b=1")]
        assert server.submissions() == 0


def test_a_body_in_pieces_is_put_together() -> None:
    with FakeAPI(echo) as server, httpx.Client(trust_env=False) as http:
        answer = http.post(server.url, content=iter([b"one ", b"two"]))
        assert answer.content == b"one two"
        answer = http.post(server.url, content=json.dumps({"n": 1}))
        assert (server.asked[1].json, server.submissions()) == ({"n": 1}, 2)


def test_what_submits_is_for_the_author_to_say() -> None:
    with (
        FakeAPI(echo, is_submission=lambda asked: asked.path == "/jobs") as server,
        httpx.Client(transport=server.transport(), base_url="https://api.example") as http,
    ):
        http.post("/uploads", content=b"x")
        http.post("/jobs", content=b"x")
        assert server.submissions() == 1


def test_what_it_is_told_waits_for_the_right_request() -> None:
    refusal = (400, {"error": "no"})
    with (
        FakeAPI(echo, state_key="state", refusal=refusal) as server,
        httpx.Client(transport=server.transport(), base_url="https://api.example") as http,
    ):
        server.refuse_next()
        assert http.get("/a").status_code == 200
        assert http.post("/a", content=b"x").status_code == 400
        server.confuse_next()
        assert http.post("/a", content=b"x").content == b"x"
        (confused,) = http.get("/a").json()
        assert confused["state"] not in STATES
        assert confused["of"] == ["/a"]
        assert http.get("/a").json()[0]["state"] == "running"


def test_failures_and_nonsense_come_in_turn() -> None:
    with (
        FakeAPI(echo) as server,
        httpx.Client(transport=server.transport(), base_url="https://api.example") as http,
    ):
        statuses: list[int] = []
        for _ in range(3):
            server.fail_next()
            statuses.append(http.get("/a").status_code)
        server.fail_next()
        with pytest.raises(httpx.ReadError):
            http.get("/a")
        bodies = set()
        for _ in range(6):
            server.garble_next()
            bodies.add(http.get("/a").content)

    assert statuses == [500, 503, 429]
    assert len(bodies) == 6


def test_an_answer_that_cannot_be_confused_is_told_to_the_author() -> None:
    with (
        FakeAPI(echo, state_key="status") as server,
        httpx.Client(transport=server.transport(), base_url="https://api.example") as http,
    ):
        server.confuse_next()
        with pytest.raises(UsageError, match=r"FakeAPI\(state_key="):
            http.get("/a")
        with pytest.raises(UsageError, match="the answer of the fake server failed"):
            server.submissions()


def test_closing_twice_is_harmless() -> None:
    server = FakeAPI(echo)
    server.close()
    assert server.url == server.url
    server.close()
    server.close()
