"""What an HTTP answer proves, when a client lets the exception of its HTTP library through."""

from __future__ import annotations

import httpx
import pytest

from batchkit import (
    AuthenticationError,
    ClientError,
    ErrorKind,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
)
from batchkit._verdicts import Proof, judge, judge_free, understood

SECRET = "https://api.example.com/v1/videos?api_key=sk-very-secret"

#: Each status of RFC 9110 (and 425, 429 of RFC 8470, 6585) that a submission may get.
SUBMISSION = {
    Proof.REJECTED: (400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422),
    Proof.NOT_ACCEPTED: (429,),
    Proof.NOTHING: (301, 302, 303, 307, 308, 408, 409, 425, 500, 501, 502, 503, 504, 529),
}
STATUSES = [(status, proof) for proof, found in SUBMISSION.items() for status in found]


def answered(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", SECRET)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.Response(status, request=request, headers=names)
    return httpx.HTTPStatusError(f"{status} for {SECRET}", request=request, response=response)


@pytest.mark.parametrize(("status", "proof"), STATUSES)
def test_what_a_submission_proves(status: int, proof: Proof) -> None:
    verdict = judge(answered(status))
    assert verdict.proof is proof
    assert verdict.error.message == f"the provider answers {status}"
    assert verdict.error.code == str(status)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_wrong_key_concerns_the_whole_batch(status: int) -> None:
    assert judge(answered(status)).error.kind is ErrorKind.AUTHENTICATION


@pytest.mark.parametrize("status", [408, 409, 500, 503])
def test_a_provider_may_document_that_it_did_not_accept(status: int) -> None:
    assert judge(answered(status), not_accepted={status}).proof is Proof.NOT_ACCEPTED
    assert judge(answered(status), not_accepted={418}).proof is Proof.NOTHING


def test_no_declaration_makes_a_rate_limit_anything_else() -> None:
    assert judge(answered(429), not_accepted={429}).error.kind is ErrorKind.RATE_LIMIT


def test_the_wait_that_an_answer_asks_for() -> None:
    assert judge(answered(429, Retry_After="7")).retry_after == 7
    assert judge(answered(503, retry_after_ms="1500"), not_accepted={503}).retry_after == 1.5
    date = "Thu, 01 Jan 1970 00:01:40 GMT"
    assert judge(answered(429, Retry_After=date), now=60.0).retry_after == 40


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_no_answer_of_a_function_permits_a_repeat(status: int) -> None:
    # It may have been the answer to a status query, after a submission that was accepted.
    verdict = judge(answered(status), is_function=True, not_accepted={503})
    assert (verdict.proof, verdict.error.retryable) == (Proof.REJECTED, False)


@pytest.mark.parametrize(
    ("status", "cls", "retryable"),
    [
        (400, RejectedError, False),
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, NotFoundError, False),
        (410, NotFoundError, False),
        (429, RateLimitedError, True),
        (408, ClientError, True),
        (409, ClientError, True),
        (500, ClientError, True),
        (503, ClientError, True),
    ],
)
def test_what_the_answer_to_a_free_call_means(
    status: int, cls: type[ClientError], retryable: bool
) -> None:
    exc = understood(answered(status), 0.0)
    assert isinstance(exc, cls)
    assert exc.retryable is retryable
    assert judge_free(answered(status), 0.0).proof is Proof.NOT_ACCEPTED


def test_free_work_is_never_uncertain() -> None:
    verdict = judge_free(OutcomeUnknownError("broke"), 0.0)
    assert (verdict.error.kind, verdict.error.retryable) == (ErrorKind.PROVIDER, True)
    assert judge_free(httpx.ConnectError("x"), 0.0).proof is Proof.NOT_SENT


class HTTPStatusError(Exception):
    """Of another package: its name proves nothing."""

    response = httpx.Response(400)


def test_names_of_other_packages_and_answers_that_are_missing_prove_nothing() -> None:
    assert judge(HTTPStatusError("x")).proof is Proof.NOTHING

    class Bare(httpx.HTTPError):
        response = None

    assert judge(Bare("x")).proof is Proof.NOTHING


def test_no_message_holds_the_address() -> None:
    for status, _ in STATUSES:
        for verdict in (judge(answered(status)), judge_free(answered(status), 0.0)):
            assert "secret" not in repr(verdict)
