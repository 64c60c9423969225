"""Each fault is what its name says, over real HTTP; and the ledger knows what was done."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from server_kit import BRIEFLY, Caller, eventually, outcome

from batchkit import UsageError, parse_retry_after
from batchkit.testing import FAULTS, FakeServer
from batchkit.testing._faults import _BY_OPERATION, OPERATIONS


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(keys="replay") as made:
        yield made


@pytest.fixture
def call(server: FakeServer) -> Caller:
    return Caller(server)


# -- every operation, every fault ----------------------------------------------------------------

#: What a caller sees, beside the statuses.
SEEN = {
    "reset": "ReadError",
    "reset_after": "ReadError",
    "drop_before": "ReadError",
    "drop_after": "ReadError",
    "hang": "ReadTimeout",
    "hang_after": "ReadTimeout",
    "late": "ReadTimeout",
    "stall": "ReadTimeout",
    "cut": "RemoteProtocolError",
    "noise": "RemoteProtocolError",
    "garbage": "200",
    "wrong_json": "200",
    "no_id": "200",
    "blind": "200",
    "confused": "200",
    "reject": "422",
    "busy": "503",
    "limit": "429",
    "corrupt": "200",
    "no_range": "200",
    "new_etag": "200",
}
SLOW = ("ReadTimeout",)
REQUESTS = [name for name in OPERATIONS if name != "webhook"]
EVERY = [
    (operation, fault)
    for operation in REQUESTS
    for fault in _BY_OPERATION[operation]
    if fault != "refuse"
]


def wanted(name: str) -> str:
    return SEEN.get(name) or name.removesuffix("_after")


def asker(call: Caller, operation: str, timeout: float) -> Callable[[], httpx.Response]:
    """A request of that operation that would work."""
    if operation == "submit":
        return lambda: call.submit("cat", "new", timeout)
    if operation == "prepare":
        path = "/uploads?prompt=cat"
        return lambda: call.send("POST", path, content=b"frame", timeout=timeout)
    told = call.finished() if operation == "fetch" else call.submit().json()
    job = str(told["id"])
    if operation == "replay":
        return lambda: call.submit(timeout=timeout)
    if operation == "poll":
        return lambda: call.poll(job, timeout)
    if operation == "cancel":
        return lambda: call.send("POST", f"/jobs/{job}/cancel", timeout=timeout)
    if operation == "fetch":
        return lambda: call.send("GET", told["output"]["url"], timeout=timeout)
    query = "?tag=k" if operation == "find" else ""
    return lambda: call.send("GET", f"/jobs{query}", timeout=timeout)


def effects(server: FakeServer) -> tuple[int, ...]:
    """What requests have done."""
    ledger = server.ledger
    polls = sum(job.polls for job in server.provider.jobs.values())
    sent = ledger.downloads.total() + ledger.partial.total()
    return ledger.charges.total(), polls, ledger.cancels.total(), ledger.uploads.total(), sent


@pytest.mark.parametrize(("operation", "name"), EVERY)
def test_a_fault_is_seen_and_does_what_it_says(operation: str, name: str) -> None:
    with FakeServer(keys="lookup" if operation == "find" else "replay") as server:
        timeout = BRIEFLY if wanted(name) in SLOW else 20.0
        ask = asker(Caller(server), operation, timeout)
        before = effects(server)
        arg = ":0.5" if name == "late" else ""
        server.provider.script_next(f"{operation}:{name}{arg}")

        found = outcome(ask)

        good = "201" if operation in ("submit", "replay") else "200"
        assert found == ("200" if wanted(name) == "200" else wanted(name)), good
        if operation in ("replay", "find"):
            return
        if _BY_OPERATION[operation][name].processed:
            assert eventually(lambda: effects(server) != before), "it should have had its effect"
        else:
            assert effects(server) == before, "it should have had none"


@pytest.mark.parametrize("operation", REQUESTS)
def test_without_a_fault_every_operation_works(operation: str) -> None:
    with FakeServer(keys="lookup" if operation == "find" else "replay") as server:
        assert outcome(asker(Caller(server), operation, 20.0)) in ("200", "201")


def test_every_fault_is_named_and_explained() -> None:
    assert {fault for _, fault in EVERY} <= set(FAULTS)
    assert all(fault.meaning for fault in FAULTS.values())


# -- the connection ------------------------------------------------------------------------------


def test_nobody_listens_for_a_while(server: FakeServer, call: Caller) -> None:
    server.refuse(3.0)

    assert outcome(call.submit) == "ConnectError"
    assert eventually(lambda: outcome(call.submit) == "201")


def test_a_refusal_can_be_scripted_and_comes_after_the_answer(
    server: FakeServer, call: Caller
) -> None:
    server.provider.script_next("submit:refuse:3.0")

    assert outcome(call.submit) == "201"
    assert outcome(call.submit) == "ConnectError"
    assert eventually(lambda: outcome(call.submit) == "201")


def test_a_reset_is_a_reset_and_not_an_end(server: FakeServer) -> None:
    server.provider.script_next("submit:reset")
    host, port = server.url.removeprefix("http://").split(":")
    body = b'{"prompt": "cat"}'
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(b"POST /jobs HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_garbage_bytes_are_no_http(server: FakeServer, call: Caller) -> None:
    server.provider.script_next("list:noise")

    assert b"HTTP" not in call.raw(b"GET /jobs HTTP/1.1\r\n\r\n").split(b",")[0]


def test_a_broken_answer_ends_before_its_length(server: FakeServer, call: Caller) -> None:
    server.provider.script_next("list:cut")
    head, _, body = call.raw(b"GET /jobs HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Content-Length" in line
    ]

    assert 0 < len(body) < length


def test_connections_are_kept(server: FakeServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        first = client.get("/jobs").extensions["network_stream"]
        again = client.get("/jobs").extensions["network_stream"]

    assert first is again


def test_what_is_no_http_ends_the_connection(call: Caller) -> None:
    assert call.raw(b"hello\r\n\r\n") == b""


def test_the_server_ends_with_connections_that_hang() -> None:
    with FakeServer() as server:
        server.provider.script_next("list:hang")
        host, port = server.url.removeprefix("http://").split(":")
        sock = socket.create_connection((host, int(port)), timeout=20)
        sock.sendall(b"GET /jobs HTTP/1.1\r\n\r\n")
    with sock, pytest.raises(ConnectionResetError):
        sock.recv(1)


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arg", "least", "most"), [(":7", 7, 7), (":date", 0, 3), (":ms", 0.05, 0.05), (":none", 0, 0)]
)
def test_the_ways_to_ask_for_patience(
    server: FakeServer, call: Caller, arg: str, least: float, most: float
) -> None:
    server.provider.script_next(f"submit:429{arg}")
    headers = call.submit().headers
    wait = parse_retry_after(headers, server.provider.clock.time())

    assert (wait is None) == (arg == ":none")
    assert least <= (wait or 0) <= most


def test_proof_is_only_in_the_answer_that_documents_it(server: FakeServer, call: Caller) -> None:
    server.provider.script_next("submit:busy", "submit:503")

    assert call.submit().json()["error"]["accepted"] is False
    assert "accepted" not in call.submit().json()["error"]


def test_a_key_that_was_seen(call: Caller) -> None:
    def ids(keys: str) -> list[str]:
        with FakeServer(keys=keys) as server:
            caller = Caller(server)
            answers = [caller.submit(key="one"), caller.submit(key="one")]
            return [str(answer.json().get("id", answer.status_code)) for answer in answers]

    assert ids("none") == ["remote-1", "remote-2"]
    assert ids("replay") == ["remote-1", "remote-1"]
    assert ids("lookup") == ["remote-1", "remote-2"]
    assert ids("reject") == ["remote-1", "409"]


def test_a_key_in_the_header_counts_too(server: FakeServer, call: Caller) -> None:
    send: dict[str, Any] = {"json": {"prompt": "cat"}, "headers": {"Idempotency-Key": "one"}}
    ids = {call.send("POST", "/jobs", **send).json()["id"] for _ in range(2)}

    assert ids == {"remote-1"}
    assert server.ledger.by_key == {"one": 2}


def test_only_a_provider_that_offers_it_looks_up(call: Caller) -> None:
    assert call.send("GET", "/jobs?tag=k").status_code == 501
    with FakeServer(keys="lookup") as server:
        found = Caller(server).send("GET", "/jobs?tag=unknown").json()
    assert found == {"jobs": [], "more": False}


def test_jobs_are_listed_in_pages_and_by_id(call: Caller) -> None:
    for number in range(5):
        call.submit("cat", f"k{number}")
    first = call.send("GET", "/jobs?limit=2").json()
    after = call.send("GET", "/jobs?limit=3&after=remote-2").json()
    named = call.send("GET", "/jobs?ids=remote-4,remote-9").json()

    assert [job["id"] for job in first["jobs"]] == ["remote-1", "remote-2"]
    assert (first["more"], after["more"]) == (True, False)
    assert [job["id"] for job in after["jobs"]] == ["remote-3", "remote-4", "remote-5"]
    assert [job["id"] for job in named["jobs"]] == ["remote-4"]


def test_a_key_is_asked_for_everywhere_but_at_signed_urls() -> None:
    with FakeServer(api_key="sk-1", polls=1) as server:
        caller = Caller(server)
        key = {"Authorization": "Bearer sk-1"}
        assert caller.submit().status_code == 401
        job = caller.send("POST", "/jobs", json={"prompt": "cat"}, headers=key).json()["id"]
        told = caller.send("GET", f"/jobs/{job}", headers=key).json()
        assert caller.send("GET", told["output"]["url"]).status_code == 200


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"prompt": 3}'])
def test_a_submission_without_a_prompt_is_refused(call: Caller, body: bytes) -> None:
    assert call.send("POST", "/jobs", content=body).status_code == 400


@pytest.mark.parametrize("path", ["/nothing", "/_nothing", "/jobs/remote-9", "/files/remote-9"])
def test_pages_that_are_not_there(call: Caller, path: str) -> None:
    assert call.send("GET", path).status_code == 404


# -- the server itself ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_where_it_was_started(server: FakeServer) -> None:
    port = int(server.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"), FakeServer(port=port):
        pass


def test_a_provider_or_options_but_not_both(server: FakeServer) -> None:
    with pytest.raises(UsageError, match="or the options of a new one"):
        FakeServer(server.provider, polls=3)


def test_a_fault_of_the_fake_itself_is_no_riddle(
    server: FakeServer, call: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    server.provider.size = -1.5  # type: ignore[assignment]
    job = call.submit().json()["id"]
    answers = [call.poll(job) for _ in range(2)]

    assert answers[-1].status_code == 500
    assert "the fake provider itself failed" in answers[-1].text
    assert "Traceback" in caplog.text


def test_what_it_is_shows() -> None:
    with FakeServer(price=0.5) as server:
        Caller(server).submit()
        shown = f"{server!r} {server.provider!r} {server.client()!r}"

        wanted = [f"<FakeServer {server.url}>", "<FakeProvider 1 jobs, 0.50 charged>"]
        assert shown == " ".join([*wanted, f"<HTTPFakeClient {server.url}>"])
