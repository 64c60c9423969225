"""The bus between a run and its callbacks: order, coalescing, subscriptions taken back."""

from __future__ import annotations

import threading
import time
from typing import Any

from batchkit import (
    Event,
    Job,
    JobCompleted,
    JobProgress,
    JobStatus,
    JobSubmitted,
)
from batchkit._bus import Bus, Subscription
from batchkit._requests import GenerateVideo


def a_job(number: int = 1, status: JobStatus = JobStatus.PENDING, **fields: Any) -> Job:
    request = GenerateVideo(prompt="a")
    return Job(
        id=number,
        batch_id=1,
        index=number,
        identity="x",
        request=request,
        status=status,
        **fields,
    )


def progress(number: int, fraction: float) -> JobProgress:
    return JobProgress(at=0.0, batch_id=1, job=a_job(number, progress=fraction))


def test_progress_is_coalesced_while_a_callback_is_slow() -> None:
    bus, entered, leave = Bus(), threading.Event(), threading.Event()
    heard: list[tuple[int, float | None]] = []

    def slow(event: JobProgress) -> None:
        heard.append((event.job.id, event.job.progress))
        entered.set()
        assert leave.wait(10)

    bus.subscribe(Subscription((JobProgress,), slow))
    bus.tell(progress(1, 0.1))
    assert entered.wait(10)
    for fraction in (0.2, 0.3, 0.4):
        bus.tell(progress(1, fraction))
        bus.tell(progress(2, fraction))
    leave.set()
    bus.drain()
    bus.close()

    assert heard == [(1, 0.1), (1, 0.4), (2, 0.4)]


def test_state_events_are_never_coalesced() -> None:
    bus, leave = Bus(), threading.Event()
    heard: list[int] = []

    def slow(event: Event) -> None:
        assert leave.wait(10)
        heard.append(event.seq)

    bus.subscribe(Subscription((Event,), slow))
    for seq in range(1, 51):
        bus.tell(JobSubmitted(seq=seq, at=0.0, batch_id=1, job=a_job()))
    leave.set()
    bus.drain()
    bus.close()

    assert heard == list(range(1, 51))


def test_a_subscription_can_be_taken_back() -> None:
    bus, heard = Bus(), list[Event]()
    remove = bus.subscribe(Subscription((JobSubmitted,), heard.append))
    assert bus.listens(JobSubmitted)

    remove()
    remove()

    assert not bus.listens(JobSubmitted)


def test_a_subscription_to_one_job_can_be_taken_back_too() -> None:
    bus, heard = Bus(), list[Job]()
    remove = bus.subscribe(Subscription((JobCompleted,), heard.append, job_id=1))

    remove()
    done = a_job(1, JobStatus.COMPLETED)
    bus.tell(JobCompleted(at=0.0, batch_id=1, job=done))
    bus.drain()
    bus.close()

    assert heard == []


def test_waiting_for_callbacks_inside_a_callback_does_not_wait_for_itself() -> None:
    bus, times = Bus(), list[float]()

    def waits(event: Event) -> None:
        begin = time.monotonic()
        bus.drain()
        times.append(time.monotonic() - begin)

    bus.subscribe(Subscription((Event,), waits))
    bus.tell(JobSubmitted(at=0.0, batch_id=1, job=a_job()))
    bus.drain()
    bus.close()

    assert times[0] < 5


def test_taking_one_subscription_back_leaves_those_of_other_jobs() -> None:
    bus, heard = Bus(), list[Job]()
    keep = Subscription((JobCompleted,), heard.append, job_id=2)
    remove = bus.subscribe(Subscription((JobCompleted,), heard.append, job_id=1))
    bus.subscribe(keep)

    remove()
    for number in (1, 2):
        done = a_job(number, JobStatus.COMPLETED)
        bus.tell(JobCompleted(at=0.0, batch_id=1, job=done))
    bus.drain()
    bus.close()

    assert [job.id for job in heard] == [2]
