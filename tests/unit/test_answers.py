"""What clients answer: numbers as providers send them, and words that nobody knows."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
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
    Output,
    RemoteState,
    RemoteStatus,
)
from batchkit.testing import FakeClock

NUMBERS = [("0.25", 0.25), (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25), (1, 1.0), (None, None)]


@pytest.mark.parametrize(("sent", "kept"), NUMBERS)
def test_numbers_become_floats(sent: Any, kept: float | None) -> None:
    status = RemoteStatus(state=RemoteState.RUNNING, progress=sent, cost=sent, poll_after=sent)
    found = [
        Accepted(handle=Handle(id="h"), poll_after=sent).poll_after,
        Finished(cost=sent).cost,
        status.progress,
        status.cost,
        status.poll_after,
    ]

    assert found == [kept] * 5
    assert {type(number) for number in found} == {type(kept)}


@pytest.mark.parametrize("make", [Finished, lambda cost: RemoteStatus(state="done", cost=cost)])
def test_what_is_no_number_is_the_clients_own_error(make: Any) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        make(cost="0.25 USD")


def test_a_handle_and_outputs_may_be_texts() -> None:
    assert Accepted(handle="h").handle == Handle(id="h")
    done = Finished(outputs=["https://x/1.mp4", Output(ref="r")])
    assert done.outputs == (Output(url="https://x/1.mp4"), Output(ref="r"))


def test_words_that_nobody_knows_are_running(caplog: pytest.LogCaptureFixture) -> None:
    assert RemoteStatus(state="succeeded").state is RemoteState.SUCCEEDED
    assert RemoteStatus(state="simmering").state is RemoteState.RUNNING
    assert "'simmering', which is taken for running" in caplog.text


def test_numbers_as_text_reach_the_record() -> None:
    class Texts:
        capabilities = Capabilities(inline=True)

        def submit(self, job: Job) -> Accepted:
            return Accepted(handle=Handle(id="h"), poll_after="3")  # type: ignore[arg-type]

        def poll(self, handle: Handle) -> RemoteStatus:
            polled.append(clock.ticks)
            return RemoteStatus(
                state=RemoteState.SUCCEEDED,
                cost=Decimal("0.10"),  # type: ignore[arg-type]
            )

    clock, polled = FakeClock(), list[float]()
    begin = clock.ticks
    with BatchRunner(Texts(), storage="memory", clock=clock, delay=0) as runner:
        job = runner.add("a")
        runner.run()
        assert runner.job(job).cost == 0.1
    assert polled[0] - begin >= 3.0


def test_an_answer_that_cannot_be_made_is_not_paid_for_again() -> None:
    class Sloppy:
        capabilities = Capabilities(inline=True, sync_result=True)
        submitted = 0

        def submit(self, job: Job) -> Finished:
            self.submitted += 1
            return Finished(text="done", cost="free")  # type: ignore[arg-type]

    client = Sloppy()
    with BatchRunner(client, storage="memory", clock=FakeClock(), delay=0) as runner:
        job = runner.add("a")
        runner.run()
        runner.run()
        assert runner.job(job).status is JobStatus.UNCERTAIN
    assert client.submitted == 1
