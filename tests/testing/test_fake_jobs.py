"""The life of a job at the fake provider, as status queries over HTTP tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_kit import Caller, outcome

from batchkit.testing import FakeClock, FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(polls=4) as made:
        yield made


@pytest.fixture
def call(server: FakeServer) -> Caller:
    return Caller(server)


def told(call: Caller, word: str, polls: int = 4) -> list[dict[str, Any]]:
    """What the provider says of a job, query by query."""
    job = call.submit(f"{word} cat [{word}]", word).json()["id"]
    return [call.poll(job).json() for _ in range(polls)]


def states(answers: list[dict[str, Any]]) -> list[str]:
    return [str(answer.get("state")) for answer in answers]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ok", ["running", "running", "running", "succeeded"]),
        ("slow", ["running", "running", "running", "running"]),
        ("fail", ["running", "running", "running", "failed"]),
        ("flaky", ["running", "running", "running", "failed"]),
        ("unknown", ["simmering", "simmering", "simmering", "succeeded"]),
        ("flap", ["running", "simmering", "queued", "succeeded"]),
        ("empty", ["running", "running", "running", "succeeded"]),
        ("expire", ["running", "running", "running", "succeeded"]),
    ],
)
def test_what_is_said_of_a_job(call: Caller, word: str, said: list[str]) -> None:
    assert states(told(call, word)) == said


def test_progress_goes_on_or_back(call: Caller) -> None:
    going, back = (
        [answer["progress"] for answer in told(call, word, 3)] for word in ("ok", "backwards")
    )

    assert going == [0.25, 0.5, 0.75]
    assert back == [0.75, 0.5, 0.25]


def test_only_a_success_has_an_output_and_not_every_one(call: Caller) -> None:
    has = {word: "output" in told(call, word)[-1] for word in ("ok", "fail", "empty", "expire")}

    assert has == {"ok": True, "fail": False, "empty": False, "expire": True}


def test_every_end_tells_what_it_cost() -> None:
    with FakeServer(polls=1, price=0.07) as server:
        call = Caller(server)
        job = call.submit("elk", "k9").json()["id"]
        call.send("POST", f"/jobs/{job}/cancel")
        ends = [*told(call, "ok", 1), *told(call, "fail", 1), call.poll(job).json()]

    assert [end["cost_cents"] for end in ends] == [7, 7, 7]


def test_a_job_is_unknown_at_first(call: Caller) -> None:
    job = call.submit("cat [unseen:3]").json()["id"]
    found = [outcome(lambda: call.poll(job)) for _ in range(4)]

    assert found == ["404", "404", "404", "200"]


def test_a_job_is_unknown_for_ever(call: Caller) -> None:
    job = call.submit("cat [lost]").json()["id"]

    assert {outcome(lambda: call.poll(job)) for _ in range(5)} == {"404"}
    assert call.send("GET", "/jobs").json()["jobs"] == []


def test_three_queries_break(call: Caller) -> None:
    job = call.submit("cat [blips]").json()["id"]

    assert [outcome(lambda: call.poll(job)) for _ in range(4)] == ["ReadError"] * 3 + ["200"]


def test_a_key_that_is_refused_in_the_middle(call: Caller) -> None:
    job = call.submit("cat [poll:401]").json()["id"]

    assert [outcome(lambda: call.poll(job)) for _ in range(2)] == ["401", "200"]


@pytest.mark.parametrize(("word", "seconds"), [("ok", 60), ("slow", 600)])
def test_time_ends_a_job_where_it_has_a_duration(word: str, seconds: float) -> None:
    clock = FakeClock()
    with FakeServer(duration=60, clock=clock) as server:
        call = Caller(server)
        job = call.submit(f"{word} cat [{word}]", word).json()["id"]
        answers = [call.poll(job).json()]
        for _ in range(2):
            clock.advance(seconds / 2)
            answers.append(call.poll(job).json())

    assert states(answers) == ["queued", "running", "succeeded"]
    assert answers[1]["progress"] == pytest.approx(0.5, abs=0.01)


def test_an_ended_job_cannot_be_cancelled(call: Caller, server: FakeServer) -> None:
    job = call.finished()["id"]

    assert call.send("POST", f"/jobs/{job}/cancel").json()["state"] == "succeeded"
    assert server.ledger.cancels == {}
