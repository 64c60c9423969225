"""The clauses for ``prepare`` and ``submit``: once, and an error claims only what it proves."""

from __future__ import annotations

import json
from collections.abc import Mapping

from batchkit._jobs import Job
from batchkit._verdicts import Proof, judge
from batchkit.clients.base import Accepted, BoundClient, Finished
from batchkit.testing._check_client_bench import Bench, one_submission
from batchkit.testing._check_storage_base import require

#: So often the server answers nonsense or a failure, which may be another one each time.
KINDS_OF_GARBAGE = 6
KINDS_OF_FAILURE = 4


def check_answer(bench: Bench) -> None:
    client = bench.client()
    answer = bench.call(client.submit, bench.job(client))
    require(
        isinstance(answer, (Accepted, Finished)),
        f"submit returned {type(answer).__name__}: return batchkit.Accepted(handle=...) when the "
        "provider took the job, batchkit.Finished(...) when it is done",
    )


def check_once(bench: Bench) -> None:
    client = bench.client()
    job, before = bench.job(client), bench.server.submissions()
    bench.call(client.submit, job)
    one_submission(bench, before, "one call of submit")


def check_prepare(bench: Bench) -> None:
    client = bench.client()
    if client.prepare is None:
        return
    left = bench.job(client).prepared
    require(
        isinstance(left, Mapping),
        f"prepare returned {type(left).__name__}: return a mapping of JSON values",
    )
    assert isinstance(left, Mapping)
    bench.shown.append(("what prepare leaves", str(dict(left))))
    try:
        again = json.loads(json.dumps(dict(left)))
    except (TypeError, ValueError) as exc:
        raise AssertionError(
            f"what prepare leaves cannot be stored ({exc}): keep only JSON values"
        ) from exc
    require(again == left, "what prepare leaves changes when it is stored: keep only JSON values")


def check_key(bench: Bench) -> None:
    client = bench.client()
    first, second = bench.accepted(client), bench.accepted(client)
    if first is None or second is None:
        return
    require(
        first[1] != second[1],
        f"two jobs got one handle ({first[1].id}), so that one of them is never made: send "
        "job.submit_key, which differs for each, and no key of the client's own",
    )


def check_dropped(bench: Bench) -> None:
    client = bench.client()
    job, before = bench.job(client), bench.server.submissions()
    bench.prepare_server("drop_next")
    proof = _proof_of(bench, client, job)
    one_submission(bench, before, "a submission whose connection broke after it was accepted")
    _claims_nothing(client, proof, "the connection broke after the job was accepted")


def check_garbage(bench: Bench) -> None:
    client = bench.client()
    for _ in range(KINDS_OF_GARBAGE):
        job, before = bench.job(client), bench.server.submissions()
        bench.prepare_server("garble_next")
        proof = _proof_of(bench, client, job)
        one_submission(bench, before, "a submission that was answered with nonsense")
        require(
            proof is not None,
            "submit took nonsense for an answer: read the id strictly (answer['id'], not "
            "answer.get('id')), and let the exception pass",
        )
        _claims_nothing(client, proof, "the server's answer to the submission was nonsense")


def _claims_nothing(client: BoundClient, proof: Proof | None, when: str) -> None:
    require(
        client.free or client.is_function or proof in (None, Proof.NOTHING),
        f"{when}, and submit raised an error which proves that nothing was started; but the job "
        "runs and would be paid for twice: raise batchkit.OutcomeUnknownError, or let the "
        "exception pass",
    )


def check_failed(bench: Bench) -> None:
    client = bench.client()
    for _ in range(KINDS_OF_FAILURE):
        job, before = bench.job(client), bench.server.submissions()
        bench.prepare_server("fail_next")
        proof = _proof_of(bench, client, job)
        one_submission(bench, before, "a submission that the server failed to answer")
        require(
            proof is not None,
            "the server failed, and submit answered as if the job had been accepted: raise what "
            "the server said",
        )


def check_refused(bench: Bench) -> None:
    client = bench.client()
    job, before = bench.job(client), bench.server.submissions()
    bench.prepare_server("refuse_next")
    proof = _proof_of(bench, client, job)
    require(
        proof is not None,
        "the server refused, and submit answered as if the job had been accepted: raise what the "
        "server said",
    )
    require(
        client.free or proof is not Proof.NOTHING,
        "the server refused, and the error of submit leaves open whether the job runs, so that a "
        "person has to decide: raise RejectedError, NotAcceptedError, RateLimitedError or "
        "AuthenticationError",
    )
    if bench.server.submissions() > before:
        one_submission(bench, before, "a submission that was refused")


def _proof_of(bench: Bench, client: BoundClient, job: Job) -> Proof | None:
    """What a failing submission proves; ``None`` when it answered."""
    try:
        bench.call(client.submit, job)
    except Exception as exc:  # noqa: BLE001 - a client may raise anything
        codes = client.capabilities.not_accepted
        return judge(exc, is_function=client.is_function, not_accepted=codes).proof
    return None
