"""Downloads from the fake provider: signed URLs, ranges, entity tags, and what breaks them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_kit import Caller, eventually, outcome

from batchkit import BatchRunner, JobStatus
from batchkit.storage import MemoryStorage
from batchkit.testing import FakeClock, FakeServer, content

SIZE = 100_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeServer]:
    with FakeServer(polls=1, size=SIZE, clock=clock) as made:
        yield made


@pytest.fixture
def call(server: FakeServer) -> Caller:
    return Caller(server)


@pytest.fixture
def output(call: Caller) -> dict[str, Any]:
    made: dict[str, Any] = call.finished()["output"]
    return made


def test_a_file_is_what_the_provider_declared(call: Caller, output: dict[str, Any]) -> None:
    answer = call.send("GET", output["url"])
    digest = hashlib.sha256(answer.content)

    assert answer.content == content("cat", SIZE)
    assert (len(answer.content), digest.hexdigest()) == (output["size"], output["sha256"])
    assert answer.headers["content-length"] == str(SIZE)
    sealed = base64.b64encode(digest.digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{sealed}:"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=10-", 10, SIZE), ("bytes=0-9", 0, 10), ("bytes=-5", SIZE - 5, SIZE)],
)
def test_a_part_of_a_file(
    server: FakeServer, call: Caller, output: dict[str, Any], asked: str, start: int, end: int
) -> None:
    answer = call.send("GET", output["url"], headers={"Range": asked})

    assert answer.status_code == 206
    assert answer.content == content("cat", SIZE)[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    to_its_end = end == SIZE
    assert server.ledger.downloads["cat"] == to_its_end
    assert server.ledger.partial["cat"] == (not to_its_end)


def test_a_part_after_the_end(call: Caller, output: dict[str, Any]) -> None:
    answer = call.send("GET", output["url"], headers={"Range": f"bytes={SIZE}-"})

    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize("asked", ["bytes=-", "lines=1-2", "bytes=1-2,5-6"])
def test_what_is_no_range_gets_the_whole_file(
    call: Caller, output: dict[str, Any], asked: str
) -> None:
    answer = call.send("GET", output["url"], headers={"Range": asked})

    assert (answer.status_code, len(answer.content)) == (200, SIZE)


def test_a_part_is_only_of_the_same_file(
    server: FakeServer, call: Caller, output: dict[str, Any]
) -> None:
    tag = call.send("GET", output["url"]).headers["etag"]
    part = {"Range": "bytes=10-", "If-Range": tag}
    assert call.send("GET", output["url"], headers=part).status_code == 206

    server.provider.script("cat", "fetch:new_etag")
    answer = call.send("GET", output["url"], headers=part)

    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
    assert call.send("GET", output["url"], headers=part).status_code == 200, "it stays changed"


def test_a_server_that_ignores_ranges(
    server: FakeServer, call: Caller, output: dict[str, Any]
) -> None:
    server.provider.script("cat", "fetch:no_range")
    answer = call.send("GET", output["url"], headers={"Range": "bytes=10-"})

    assert (answer.status_code, len(answer.content)) == (200, SIZE)


def test_one_byte_is_another(server: FakeServer, call: Caller, output: dict[str, Any]) -> None:
    server.provider.script("cat", "fetch:corrupt")
    found = call.send("GET", output["url"]).content

    assert sum(a != b for a, b in zip(found, content("cat", SIZE), strict=True)) == 1


def test_a_broken_download_is_partial_in_the_ledger(
    server: FakeServer, call: Caller, output: dict[str, Any]
) -> None:
    server.provider.script("cat", "fetch:cut")
    seen: list[bytes] = []
    with (
        httpx.Client(base_url=server.url, trust_env=False) as client,
        client.stream("GET", output["url"]) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(answer.iter_bytes())

    assert seen == [] or len(b"".join(seen)) < SIZE
    assert (server.ledger.partial, server.ledger.downloads) == ({"cat": 1}, {})


def test_a_client_that_goes_away_has_a_part(clock: FakeClock) -> None:
    with FakeServer(polls=1, size=30_000_000, clock=clock) as server:
        url = server.url + Caller(server).finished()["output"]["url"]
        with httpx.Client(trust_env=False) as client, client.stream("GET", url) as answer:
            next(answer.iter_raw(1000))

        assert eventually(lambda: server.ledger.partial["cat"])
        assert server.ledger.downloads == {}


def test_each_status_query_signs_a_fresh_url(call: Caller, output: dict[str, Any]) -> None:
    fresh = call.poll("remote-1").json()["output"]["url"]

    assert fresh != output["url"]
    assert outcome(lambda: call.send("GET", fresh)) == "200"


def test_a_url_is_good_for_a_while(call: Caller, output: dict[str, Any], clock: FakeClock) -> None:
    assert output["expires_at"] == pytest.approx(clock.time() + 3600)
    clock.advance(3601)

    answer = call.send("GET", output["url"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "expired_url")


def test_a_url_of_ones_own_making_is_not_good(call: Caller, output: dict[str, Any]) -> None:
    longer = output["url"].replace("expires=18", "expires=19")

    assert outcome(lambda: call.send("GET", longer)) == "403"
    assert outcome(lambda: call.send("GET", "/files/remote-1")) == "403"


def test_a_file_that_was_deleted(call: Caller) -> None:
    url = call.finished("dog [expire]", "k2")["output"]["url"]

    assert outcome(lambda: call.send("GET", url)) == "410"


# -- through a batch -----------------------------------------------------------------------------


def collected(server: FakeServer, clock: FakeClock, folder: Path, **options: Any) -> BatchRunner:
    runner = BatchRunner(
        server.client(**options),
        storage=MemoryStorage(),
        clock=clock,
        delay=0,
        output=str(folder),
        allow_private_downloads=True,
    )
    runner.add("cat")
    runner.run()
    return runner


@pytest.mark.parametrize("fetches", [True, False])
@pytest.mark.parametrize("word", ["cut", "corrupt", "reset", "500", "429:ms", "noise"])
def test_a_download_that_goes_wrong_is_repeated_until_it_is_whole(
    server: FakeServer, clock: FakeClock, tmp_path: Path, word: str, fetches: bool
) -> None:
    server.provider.script("cat", f"fetch:{word}*2")
    runner = collected(server, clock, tmp_path / "out", fetches=fetches)
    (job,) = runner.results()

    assert job.result is not None
    assert job.result.path is not None
    assert job.result.path.read_bytes() == content("cat", SIZE)
    assert server.ledger.charges == {"cat": 1}
    assert server.ledger.check(runner).ok


def test_a_client_that_fetches_gets_a_fresh_url(clock: FakeClock, tmp_path: Path) -> None:
    with FakeServer(polls=1, url_seconds=60, clock=clock) as server:
        # An hour passes between the end of the job and its download.
        server.provider.script("cat", "fetch:500")
        client = server.client()
        fetch, late = client.fetch, iter([0.0, 3600.0])

        def after_an_hour(job: Any, output: Any) -> Any:
            clock.advance(next(late, 0.0))
            return fetch(job, output)

        client.fetch = after_an_hour
        runner = BatchRunner(
            client, storage=MemoryStorage(), clock=clock, delay=0, output=str(tmp_path)
        )
        job = runner.add("cat")
        runner.run()

    assert runner.job(job).status is JobStatus.COMPLETED
