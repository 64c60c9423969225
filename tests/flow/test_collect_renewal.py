"""Results whose server refuses to hand them out: fresh addresses, and when a result has expired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from flow_kit import HANDLE, INLINE, Scripted, Shelf, ends, error_of, kinds, run_one

from batchkit import (
    AuthenticationError,
    BatchRunner,
    Capabilities,
    ClientError,
    ErrorKind,
    Finished,
    Job,
    JobStatus,
    NotFoundError,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
    ResultExpiredError,
    StorageFullError,
)
from batchkit._collect import COLLECT_TRIES
from batchkit._follow import GONE_AFTER_SECONDS
from batchkit._renewal import MOST_RENEWALS
from batchkit.testing import FakeClock

MakeRunner = Callable[..., BatchRunner]

REFUSED = ClientError("the server answers 403", code="403")
GONE = ResultExpiredError("the server answers 410", code="410")
NOT_THERE = NotFoundError("the server answers 404", code="404", retryable=True)


def at(*urls: str, **fields: Any) -> RemoteStatus:
    outputs = tuple(Output(url=url, **fields) for url in urls)
    return ends(RemoteState.SUCCEEDED, finished=Finished(outputs=outputs), cost=1.0)


OLD, NEW = at("https://x/v?sig=old"), at("https://x/v?sig=new")


class Site(Shelf):
    """A store whose downloads are refused as told, URL by URL."""

    def __init__(self, **refusals: Exception) -> None:
        super().__init__()
        self.refusals = refusals
        self.tried: list[str] = []
        self.discarded: list[int] = []

    def write(self, job: Job, output: Output, data: Any) -> Any:
        sig = str(output.url).rpartition("=")[2]
        self.tried.append(sig)
        if sig in self.refusals:
            raise self.refusals[sig]
        return super().write(job, output, data)

    def discard(self, job: Job) -> None:
        self.discarded.append(job.id)


def polls(*answers: Any, **options: Any) -> Scripted:
    return Scripted(poll=list(answers), **options)


@pytest.mark.parametrize("refusal", [REFUSED, GONE, NOT_THERE], ids=["403", "410", "404"])
def test_an_expired_address_is_replaced_by_asking_again(
    executor: str, make_runner: MakeRunner, refusal: Exception
) -> None:
    client, site = polls(OLD, NEW), Site(old=refusal)
    runner = make_runner(client, artifacts=site, executor=executor)

    job = run_one(runner)

    assert job.status is JobStatus.COMPLETED
    assert site.tried == ["old", "new"]
    assert client.calls == {"submit": 1, "poll": 2}
    assert job.cost == 1.0
    assert kinds(runner) == ["submitting", "submitted", "collecting", "completed"]


def test_a_fresh_address_is_recorded(make_runner: MakeRunner, storage: Any) -> None:
    site = Site(old=REFUSED, new=StorageFullError("full"))
    runner = make_runner(polls(OLD, NEW), artifacts=site, storage=storage)
    job = runner.add("a")
    with pytest.raises(StorageFullError):
        runner.run()

    result = storage.result(job.id)

    assert runner.counts() == {JobStatus.COLLECTING: 1}
    assert result.url == "https://x/v?sig=new"


def test_asking_for_fresh_addresses_has_an_end(make_runner: MakeRunner) -> None:
    answers = [at(f"https://x/v?sig=n{n}") for n in range(20)]
    client = polls(*answers)
    site = Site(**{f"n{n}": REFUSED for n in range(20)})

    job = run_one(make_runner(client, artifacts=site))

    assert (job.status, error_of(job).code) == (JobStatus.FAILED, "403")
    assert client.calls["poll"] == 1 + MOST_RENEWALS
    assert len(site.tried) == 1 + MOST_RENEWALS


# -- EXPIRED, and what is not


@pytest.mark.parametrize(
    "answer",
    [
        ends(RemoteState.EXPIRED),
        ends(RemoteState.FAILED),
        ends(RemoteState.SUCCEEDED),
        NotFoundError("no such job"),
        OLD,
    ],
    ids=["expired", "failed", "nothing", "unknown", "the same"],
)
def test_what_the_provider_has_no_more_is_expired(make_runner: MakeRunner, answer: Any) -> None:
    client, site = polls(OLD, answer), Site(old=GONE)

    job = run_one(make_runner(client, artifacts=site))

    assert (job.status, error_of(job).kind) == (JobStatus.EXPIRED, ErrorKind.EXPIRED)
    assert error_of(job).remedy == "collect results sooner, or raise the provider's retention"
    assert job.result is not None
    assert job.result.outputs == ()
    assert site.discarded == [job.id]
    assert client.calls["submit"] == 1


def test_a_refused_address_that_is_the_same_again_is_not_expired(make_runner: MakeRunner) -> None:
    """The result may still be there, and an expired job could only be paid for again."""
    site = Site(old=REFUSED)
    runner = make_runner(polls(OLD), artifacts=site)

    job = run_one(runner)

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.COLLECT)
    site.refusals.clear()
    assert runner.retry(job)
    assert run_one(runner).status is JobStatus.COMPLETED
    assert site.discarded == []


@pytest.mark.parametrize(("keeps", "status"), [(3600.0, "failed"), (0.0, "expired")])
def test_a_refused_address_is_expired_when_its_time_is_over(
    make_runner: MakeRunner, keeps: float, status: str
) -> None:
    capabilities = Capabilities(inline=True, result_ttl_seconds=keeps)
    client = Scripted(capabilities=capabilities, poll=OLD)

    assert run_one(make_runner(client, artifacts=Site(old=REFUSED))).status == status


def test_what_is_not_there_yet_is_waited_for(make_runner: MakeRunner, clock: FakeClock) -> None:
    class Late(Site):
        def write(self, job: Job, output: Output, data: Any) -> Any:
            if clock.time() > began + GONE_AFTER_SECONDS - 30:
                self.refusals.clear()
            return super().write(job, output, data)

    began = clock.time()
    assert run_one(make_runner(polls(OLD), artifacts=Late(old=NOT_THERE))).status == "completed"


@pytest.mark.parametrize(("expires", "status"), [(None, "expired"), (1e12, "failed")])
def test_what_is_not_there_for_minutes_is_believed_gone_unless_it_is_kept(
    make_runner: MakeRunner, clock: FakeClock, expires: float | None, status: str
) -> None:
    answer = at("https://x/v?sig=old", expires=expires)
    began = clock.time()

    job = run_one(make_runner(polls(answer), artifacts=Site(old=NOT_THERE)))

    assert job.status == status
    assert clock.time() - began >= GONE_AFTER_SECONDS


def test_a_finished_job_without_a_handle_cannot_be_asked_about(make_runner: MakeRunner) -> None:
    works = Capabilities(inline=True, sync_result=True)
    client = Scripted(capabilities=works, submit=Finished(outputs=("https://x/v?sig=old",)))

    assert run_one(make_runner(client, artifacts=Site(old=GONE))).status is JobStatus.EXPIRED
    assert client.calls["poll"] == 0


# -- when asking fails


def test_a_provider_that_cannot_be_asked_is_asked_later(make_runner: MakeRunner) -> None:
    broken = ConnectionResetError("broke")
    client = polls(OLD, broken, broken, ends(RemoteState.RUNNING), broken, broken, broken, NEW)
    site = Site(old=GONE)

    assert run_one(make_runner(client, artifacts=site)).status is JobStatus.COMPLETED
    assert site.tried == ["old"] * 7 + ["new"]


def test_asking_later_ends_at_the_deadline(make_runner: MakeRunner) -> None:
    client = polls(OLD, ends(RemoteState.RUNNING))

    job = run_one(make_runner(client, artifacts=Site(old=GONE), job_timeout=600))

    assert (job.status, error_of(job).kind) == (JobStatus.FAILED, ErrorKind.COLLECT)


def test_a_wrong_key_pauses_the_batch_and_keeps_the_job(make_runner: MakeRunner) -> None:
    client = polls(OLD, AuthenticationError("wrong key"), NEW)
    runner = make_runner(client, artifacts=Site(old=REFUSED))
    runner.add("a")

    summary = runner.run()

    assert (summary.paused, summary.counts) == ("wrong key", {JobStatus.COLLECTING: 1})
    assert runner.run().ok
    assert client.calls["submit"] == 1


def test_a_fetch_with_a_wrong_key_pauses_the_batch_too(make_runner: MakeRunner) -> None:
    client = polls(OLD, fetch=[AuthenticationError("wrong key"), b"bytes"])
    runner = make_runner(client, artifacts=Shelf())
    runner.add("a")

    assert runner.run().paused == "wrong key"
    assert runner.run().ok
    assert client.calls == {"submit": 1, "poll": 1, "fetch": 2}


def answer_of(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "https://x/v?sig=SECRET")
    response = httpx.Response(status, request=request)
    return httpx.HTTPStatusError(f"{status} for {request.url}", request=request, response=response)


def test_an_http_answer_that_fetch_lets_through_is_a_refusal(make_runner: MakeRunner) -> None:
    client = polls(OLD, NEW, fetch=[answer_of(403), b"bytes"])
    runner = make_runner(client, artifacts=Shelf())

    assert run_one(runner).status is JobStatus.COMPLETED
    assert client.calls == {"submit": 1, "poll": 2, "fetch": 2}


def test_no_secret_of_an_address_is_recorded(make_runner: MakeRunner) -> None:
    broken = RejectedError("GET https://x/v?sig=SECRET said no")
    job = run_one(make_runner(polls(OLD, fetch=broken), artifacts=Shelf()))

    assert "https://x/v said no" in error_of(job).message


# -- late, and one after the other


def test_a_late_result_has_several_tries(make_runner: MakeRunner, clock: FakeClock) -> None:
    """What ended while nobody looked is collected, however late."""

    def late(_: Any) -> RemoteStatus:
        clock.advance(100_000)
        return OLD

    broken = [ConnectionResetError("broke")] * (COLLECT_TRIES - 1)
    client = Scripted(poll=late, fetch=[*broken, b"bytes"])

    assert run_one(make_runner(client, artifacts=Shelf())).status is JobStatus.COMPLETED


def test_the_wait_that_a_server_asks_for_is_kept(make_runner: MakeRunner, clock: FakeClock) -> None:
    busy = ClientError("busy", code="503", retryable=True, retry_after=5000.0)
    began = clock.time()

    run_one(make_runner(polls(OLD, fetch=[busy, b"bytes"]), artifacts=Shelf()))

    assert clock.time() - began >= 5000


def test_what_is_incomplete_is_not_fetched_for_hours(make_runner: MakeRunner) -> None:
    wrong = ClientError("has other bytes", code="incomplete", retryable=True)
    client = polls(OLD, fetch=wrong)

    assert run_one(make_runner(client, artifacts=Shelf())).status is JobStatus.FAILED
    assert client.calls["fetch"] == COLLECT_TRIES


def test_outputs_that_are_there_are_not_collected_again(
    executor: str, make_runner: MakeRunner
) -> None:
    client, site = polls(at(*(f"https://x/{n}?sig=s{n}" for n in range(3)))), Site()
    broken, more = ConnectionResetError("broke"), iter([None, 1, None, 1, None])
    real = site.write

    def write(job: Job, output: Output, data: Any) -> Any:
        if next(more):
            site.tried.append("broke")
            raise broken
        return real(job, output, data)

    site.write = write  # type: ignore[method-assign]
    job = run_one(make_runner(client, artifacts=site, executor=executor))

    assert site.tried == ["s0", "broke", "s1", "broke", "s2"]
    assert job.result is not None
    assert len(job.result.artifacts) == 3


def test_fresh_addresses_keep_what_is_there(make_runner: MakeRunner) -> None:
    fresh = at(*(f"https://x/{n}?sig=f{n}" for n in range(2)))
    client = polls(at("https://x/0?sig=s0", "https://x/1?sig=s1"), fresh)
    site = Site(s1=REFUSED)

    assert run_one(make_runner(client, artifacts=site)).status is JobStatus.COMPLETED
    assert site.tried == ["s0", "s1", "f1"]


def test_another_number_of_outputs_begins_anew(make_runner: MakeRunner) -> None:
    client = polls(at("https://x/0?sig=s0", "https://x/1?sig=s1"), at("https://x/0?sig=f0"))
    site = Site(s1=REFUSED)

    job = run_one(make_runner(client, artifacts=site))

    assert site.tried == ["s0", "s1", "f0"]
    assert job.result is not None
    assert len(job.result.artifacts) == 1


def test_handles_are_what_is_asked_about(make_runner: MakeRunner) -> None:
    asked: list[Any] = []

    def poll(handle: Any) -> RemoteStatus:
        asked.append(handle)
        return NEW if len(asked) > 1 else OLD

    client = Scripted(capabilities=INLINE, poll=poll)
    run_one(make_runner(client, artifacts=Site(old=REFUSED)))

    assert asked == [HANDLE, HANDLE]
