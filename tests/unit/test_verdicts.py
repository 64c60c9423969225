"""What a failed submission proves, for everything that a client may raise."""

from __future__ import annotations

import socket

import httpx
import pytest

from batchkit import (
    AuthenticationError,
    ClientError,
    ErrorKind,
    JobError,
    ModerationError,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    QuotaError,
    RateLimitedError,
    RejectedError,
    ResultExpiredError,
    WebhookError,
)
from batchkit._io import CallTimeoutError
from batchkit._verdicts import Proof, deadline_error, describe, judge, uncertain_error

NOT_SENT, NOT_ACCEPTED = Proof.NOT_SENT, Proof.NOT_ACCEPTED
REJECTED, NOTHING = Proof.REJECTED, Proof.NOTHING

SAID: dict[type[ClientError], tuple[Proof, ErrorKind]] = {
    NotAcceptedError: (NOT_ACCEPTED, ErrorKind.NETWORK),
    RateLimitedError: (NOT_ACCEPTED, ErrorKind.RATE_LIMIT),
    RejectedError: (REJECTED, ErrorKind.INVALID_INPUT),
    ModerationError: (REJECTED, ErrorKind.MODERATION),
    QuotaError: (REJECTED, ErrorKind.QUOTA),
    AuthenticationError: (REJECTED, ErrorKind.AUTHENTICATION),
    NotFoundError: (NOTHING, ErrorKind.NOT_FOUND),
    ResultExpiredError: (NOTHING, ErrorKind.EXPIRED),
    OutcomeUnknownError: (NOTHING, ErrorKind.UNCERTAIN),
    WebhookError: (NOTHING, ErrorKind.PROVIDER),
    ClientError: (NOTHING, ErrorKind.PROVIDER),
}


SAID_CLASSES = list(SAID)


def family(root: type[Exception], package: str) -> set[type[Exception]]:
    found = {root}
    for cls in root.__subclasses__():
        found |= family(cls, package)
    return {cls for cls in found if cls.__module__.partition(".")[0] == package}


def test_every_client_error_has_a_verdict() -> None:
    public = {cls for cls in family(ClientError, "batchkit") if not cls.__name__.startswith("_")}
    assert set(SAID) == public


@pytest.mark.parametrize("cls", SAID_CLASSES)
def test_client_errors(cls: type[ClientError]) -> None:
    verdict = judge(cls("no", code="E1", retry_after=3.0, retryable=True))
    assert (verdict.proof, verdict.error.kind) == SAID[cls]
    assert (verdict.error.message, verdict.error.code) == ("no", "E1")
    assert (verdict.retry_after, verdict.error.retryable) == (3.0, True)


class ForeignError(Exception):
    pass


PLAIN: list[tuple[Exception, Proof, ErrorKind]] = [
    (ConnectionRefusedError("refused"), NOT_SENT, ErrorKind.NETWORK),
    (socket.gaierror("no such host"), NOT_SENT, ErrorKind.NETWORK),
    (ConnectionResetError("reset"), NOTHING, ErrorKind.NETWORK),
    (BrokenPipeError("pipe"), NOTHING, ErrorKind.NETWORK),
    (TimeoutError("slow"), NOTHING, ErrorKind.TIMEOUT),
    (CallTimeoutError("slow"), NOTHING, ErrorKind.TIMEOUT),
    (ForeignError("what"), NOTHING, ErrorKind.CLIENT),
    (KeyError("id"), NOTHING, ErrorKind.CLIENT),
]


@pytest.mark.parametrize(("exc", "proof", "kind"), PLAIN, ids=repr)
def test_plain_exceptions(exc: Exception, proof: Proof, kind: ErrorKind) -> None:
    verdict = judge(exc)
    assert (verdict.proof, verdict.error.kind) == (proof, kind)
    assert verdict.error.retryable is (kind is not ErrorKind.CLIENT)
    assert verdict.retry_after is None


NEVER_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "ProxyError",
    "UnsupportedProtocol",
}
TRANSPORT = sorted(family(httpx.TransportError, "httpx"), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", TRANSPORT)
def test_every_transport_error_of_httpx(cls: type[Exception]) -> None:
    verdict = judge(cls("x"))
    expected = NOT_SENT if cls.__name__ in NEVER_SENT else NOTHING
    assert verdict.proof is expected
    assert verdict.error.kind is ErrorKind.NETWORK
    assert verdict.error.retryable


def test_the_ones_that_matter_most() -> None:
    assert judge(httpx.ConnectError("x")).proof is NOT_SENT
    assert judge(httpx.ReadTimeout("x")).proof is NOTHING
    assert judge(httpx.WriteError("x")).proof is NOTHING
    assert judge(httpx.InvalidURL("x")).proof is NOT_SENT
    assert judge(httpx.DecodingError("x")).proof is NOTHING


@pytest.mark.parametrize("cls", sorted(SAID, key=repr))
def test_a_plain_function_means_what_it_raises(cls: type[ClientError]) -> None:
    verdict = judge(cls("no"), is_function=True)
    told = SAID[cls][0]
    ended = REJECTED if told is NOTHING else told
    assert verdict.proof is (NOTHING if cls is OutcomeUnknownError else ended)
    assert verdict.proof is not REJECTED or not verdict.error.retryable


def test_a_plain_function_that_has_not_ended_proves_nothing() -> None:
    assert judge(CallTimeoutError("slow"), is_function=True).proof is NOTHING
    assert judge(TimeoutError("its own"), is_function=True).proof is REJECTED
    assert judge(KeyError("id"), is_function=True).proof is REJECTED


def test_a_refused_connection_may_have_been_the_second_request_of_a_function() -> None:
    for exc in (ConnectionRefusedError("x"), httpx.ConnectError("x"), socket.gaierror("x")):
        verdict = judge(exc, is_function=True)
        assert (verdict.proof, verdict.error.retryable) == (REJECTED, False)
        assert "billed" in (verdict.error.remedy or "")


class ConnectError(Exception):
    """Of another package than an HTTP one: its name proves nothing."""


def test_names_of_other_packages_prove_nothing() -> None:
    assert judge(ConnectError("x")).proof is NOTHING


def test_a_class_derived_from_one_of_httpx() -> None:
    class Mine(httpx.ConnectTimeout):
        pass

    assert judge(Mine("x")).proof is NOT_SENT


def test_messages() -> None:
    assert describe(ForeignError()).message == "ForeignError: ForeignError"
    assert describe(ForeignError("what")).message == "ForeignError: what"
    assert describe(TimeoutError()).message == "TimeoutError"
    assert describe(ResultExpiredError("no")).remedy
    assert describe(KeyError("no")).remedy is None
    assert "the same would be refused again" in (describe(RejectedError("no")).remedy or "")
    assert "check the connection" in (describe(ConnectionResetError("x")).remedy or "")


def test_errors_of_our_own() -> None:
    late = deadline_error(90.0)
    assert (late.kind, late.message) == (ErrorKind.DEADLINE, "did not end within 90 s")
    assert late.remedy
    died = uncertain_error(None)
    assert died.message.endswith("accepted: the run died while it was sent")
    broke = uncertain_error(JobError(kind=ErrorKind.NETWORK, message="broke", code="E1"))
    assert broke.message.endswith("accepted (broke)")
    assert (broke.kind, broke.code, died.code) == (ErrorKind.UNCERTAIN, "E1", None)
    assert broke.remedy == died.remedy
