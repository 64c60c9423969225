"""The clients over HTTP: good ones keep every rule, rude ones are found."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest

from batchkit import (
    AuthenticationError,
    BatchRunner,
    ClientError,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    Output,
    RateLimitedError,
    RejectedError,
    RemoteState,
    ResultExpiredError,
)
from batchkit._jobs import Handle
from batchkit.storage import MemoryStorage
from batchkit.testing import (
    FakeClock,
    FakeServer,
    HTTPFakeClient,
    RudeHTTPFakeClient,
    check_client,
)
from batchkit.testing._model import Keys

KEY = "sk-very-secret"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeServer]:
    with FakeServer(polls=1, clock=clock) as made:
        yield made


def runner_of(client: object, clock: FakeClock, **options: Any) -> BatchRunner:
    defaults = {"storage": MemoryStorage(), "clock": clock, "delay": 0}
    return BatchRunner(client, **{**defaults, **options})


def one_job(client: HTTPFakeClient, prompt: str = "cat") -> Any:
    """A job as the pipeline hands it to a client."""
    runner = BatchRunner(client, storage=MemoryStorage())
    return runner.add(prompt).evolve(submit_key="key-1")


# -- the rules -----------------------------------------------------------------------------------


# One of the rules stages a death, and a program that dies closes no connection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("keys", ["none", "replay", "reject", "lookup"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_good_clients_keep_every_rule(kind: str, keys: Keys) -> None:
    with FakeServer(keys=keys, api_key=KEY) as server:
        make = server.client if kind == "sync" else server.async_factory()
        left = check_client(make, server, secrets=[KEY])
    gc.collect()

    assert left == (), "a FakeServer lets every clause be tried"


@pytest.mark.parametrize(
    ("rudeness", "keys", "found"),
    [
        ("retries", "none", "something retries behind batchkit's back"),
        ("guesses", "none", "it raised an error which proves that nothing was started"),
        ("forgets", "lookup", "None is taken as proof that nothing was accepted"),
    ],
)
def test_rude_clients_are_found(
    rudeness: Literal["retries", "guesses", "forgets"], keys: Keys, found: str
) -> None:
    with FakeServer(keys=keys) as server, contextlib.ExitStack() as opened:

        def make() -> RudeHTTPFakeClient:
            client = RudeHTTPFakeClient(server.url, rudeness, keys=keys)
            opened.callback(client.close)
            return client

        with pytest.raises(AssertionError, match=found):
            check_client(make, server)


@pytest.mark.parametrize("rudeness", ["retries", "guesses", "forgets"])
def test_the_ledger_convicts_rude_clients(
    rudeness: Literal["retries", "guesses", "forgets"], clock: FakeClock
) -> None:
    with FakeServer(polls=1, clock=clock, keys="lookup") as server:
        client = RudeHTTPFakeClient(server.url, rudeness)
        runner = runner_of(client, clock)
        runner.add_many(["cat [reset_after]", "dog"])
        runner.run()
        client.close()

        assert server.ledger.check(runner).twice == ("cat",)


# -- what is raised ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("401", AuthenticationError),
        ("402", AuthenticationError),
        ("403", AuthenticationError),
        ("404", NotFoundError),
        ("reject", RejectedError),
        ("429:3", RateLimitedError),
        ("limit", RateLimitedError),
        ("busy", NotAcceptedError),
        *((status, OutcomeUnknownError) for status in ("408", "409", "425", "500", "503", "504")),
        ("503_after", OutcomeUnknownError),
        ("garbage", OutcomeUnknownError),
        ("wrong_json", OutcomeUnknownError),
        ("no_id", OutcomeUnknownError),
        ("reset", httpx.ReadError),
        ("cut", httpx.RemoteProtocolError),
        ("noise", httpx.RemoteProtocolError),
    ],
)
def test_a_submission_claims_no_more_than_is_proved(
    server: FakeServer, word: str, error: type[Exception]
) -> None:
    client = server.client()
    server.provider.script_next(word)

    with pytest.raises(error) as raised:
        client.submit(one_job(client))

    assert type(raised.value) is error
    assert server.ledger.submissions.total() == 1, "it was sent once"


def test_the_providers_patience_is_passed_on(server: FakeServer) -> None:
    client = server.client()
    server.provider.script_next("429:3", "busy:4")
    waits = []
    for _ in range(2):
        with pytest.raises(NotAcceptedError) as raised:
            client.submit(one_job(client))
        waits.append(raised.value.retry_after)

    assert waits == [3.0, 4.0]


def test_a_key_that_is_rejected_leaves_the_outcome_open(clock: FakeClock) -> None:
    with FakeServer(keys="reject", clock=clock) as server:
        client = server.client()
        client.submit(one_job(client))
        with pytest.raises(OutcomeUnknownError, match="a job with this key exists"):
            client.submit(one_job(client))


@pytest.mark.parametrize(
    ("word", "retryable"), [("500", True), ("409", True), ("garbage", True), ("wrong_json", True)]
)
def test_a_status_query_that_fails_says_nothing_of_the_job(
    server: FakeServer, word: str, retryable: bool
) -> None:
    client = server.client()
    handle = client.submit(one_job(client)).handle
    server.provider.script("cat", f"poll:{word}")

    with pytest.raises(ClientError) as raised:
        client.poll(handle)

    assert type(raised.value) is ClientError
    assert raised.value.retryable is retryable
    assert client.poll(handle).state is RemoteState.SUCCEEDED


def test_a_result_that_is_gone(server: FakeServer) -> None:
    client = server.client()
    job = one_job(client, "cat [expire]")
    status = client.poll(client.submit(job).handle)
    assert status.finished is not None

    with pytest.raises(ResultExpiredError):
        list(client.fetch(job, status.finished.outputs[0]))


def test_a_success_without_an_output_is_no_success(server: FakeServer) -> None:
    client = server.client()
    status = client.poll(client.submit(one_job(client, "cat [empty]")).handle)

    assert (status.state, status.cost) == (RemoteState.FAILED, 1.0)


def test_a_look_up_that_fails_is_no_answer(clock: FakeClock) -> None:
    with FakeServer(keys="lookup", clock=clock) as server:
        client = server.client()
        client.submit(one_job(client))
        server.provider.script("cat", "find:wrong_json", "find:500", "find:blind")
        for _ in range(2):
            with pytest.raises(ClientError):
                client.find(one_job(client), "key-1")

        assert client.find(one_job(client), "key-1") is None, "the provider broke its word"
        assert client.find(one_job(client), "key-1") == Handle(id="remote-1")


def test_the_key_travels_to_no_signed_url() -> None:
    with FakeServer(polls=1, api_key=KEY) as server:
        client = server.client()
        seen: list[httpx.Request] = []
        client.http.event_hooks = {"request": [seen.append]}
        job = one_job(client)
        status = client.poll(client.submit(job).handle)
        assert status.finished is not None
        list(client.fetch(job, status.finished.outputs[0]))

        assert [KEY in str(request.headers.raw) for request in seen] == [True, True, False]
        assert KEY not in repr(client)


def test_an_output_without_an_address_of_its_own(server: FakeServer) -> None:
    client = server.client()
    job = one_job(client).evolve(handle=Handle(id="remote-9"))
    old = Output(url=f"{server.url}/files/remote-9?sig=x")

    with pytest.raises(NotFoundError):
        list(client.fetch(job, old))
