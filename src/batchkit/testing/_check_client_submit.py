"""The rules for ``submit``: once, and an error claims only what it proves."""

from __future__ import annotations

from batchkit._jobs import Job
from batchkit._verdicts import Proof, judge
from batchkit.clients.base import (
    Accepted,
    BoundClient,
    Finished,
)
from batchkit.testing._check_client_bench import Bench, one_submission
from batchkit.testing._check_storage_base import require


def check_submit(bench: Bench) -> None:
    """submit: answers Accepted or Finished, and sends one submission"""
    client = bench.client()
    before = bench.submissions()
    answer = bench.call(client.submit, bench.job(client))
    require(
        isinstance(answer, (Accepted, Finished)),
        f"it returned {type(answer).__name__}: return batchkit.Accepted(handle=...) when the "
        "provider took the job, batchkit.Finished(...) when it is done",
    )
    one_submission(bench, before, "one call of submit")


def check_drop(bench: Bench) -> None:
    """submit, when the connection breaks after acceptance: is sent once, and claims nothing"""
    if bench.drop_next is None:
        return
    client = bench.client()
    job, before = bench.job(client), bench.submissions()
    bench.drop_next()
    proof = _proof_of(bench, client, job)
    one_submission(bench, before, "a submission whose connection broke")
    require(
        client.free or client.is_function or proof in (None, Proof.NOTHING),
        "it raised an error which proves that nothing was started, but the job runs and would be "
        "paid for twice: raise batchkit.OutcomeUnknownError, or let the exception pass",
    )


def _proof_of(bench: Bench, client: BoundClient, job: Job) -> Proof | None:
    """What a failing submission proves; ``None`` when it answered."""
    try:
        bench.call(client.submit, job)
    except Exception as exc:  # noqa: BLE001 - a client may raise anything
        bench.shown.append(("an error of submit", f"{exc!r} {exc}"))
        return judge(exc, is_function=client.is_function).proof
    return None


def check_refuse(bench: Bench) -> None:
    """submit, when it is refused: raises an error which proves that nothing was started"""
    if bench.refuse_next is None:
        return
    client = bench.client()
    job, before = bench.job(client), bench.submissions()
    bench.refuse_next()
    proof = _proof_of(bench, client, job)
    require(proof is not None, "it answered as if it had been accepted: raise what the server said")
    require(
        client.free or proof is not Proof.NOTHING,
        "its error leaves open whether the job runs, so that a person has to decide: raise "
        "RejectedError, NotAcceptedError, RateLimitedError or AuthenticationError",
    )
    if bench.submissions() > before:
        one_submission(bench, before, "a submission that was refused")
