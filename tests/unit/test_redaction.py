"""What is masked, what is not, and where."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    ClientError,
    Finished,
    Handle,
    Job,
    JobError,
    RemoteState,
    RemoteStatus,
)
from batchkit._jobs import ErrorKind
from batchkit._redaction import remember, scrub, scrubbed, secrets_in
from batchkit.testing import FakeClock

MASKED = {
    "GET https://u:canary@h.com/a/b?X-Amz-Signature=canary#canary ok": "GET https://h.com/a/b ok",
    "see (https://h.com/p?token=canary).": "see (https://h.com/p).",
    "Authorization: Bearer canary-canary": "Authorization: ***",
    "{'authorization': 'Bearer canary-canary'}": "{'authorization': '***'}",
    "(b'Authorization', b'Key canary:canary')": "(b'Authorization', b'***')",
    "Cookie: a=canary; b=canary\nnext": "Cookie: ***\nnext",
    "api_key=canary123 next": "api_key=*** next",
    "{'X-Api-Key': 'canary123'}": "{'X-Api-Key': '***'}",
    '{"client_secret": "canary123"}': '{"client_secret": "***"}',
    "used FAL_KEY=canary:canary here": "used FAL_KEY=*** here",
    "postgresql://me:canary@db/batch": "postgresql://db/batch",
}
LEFT = (
    "see https://h.com/path/file.mp4.",
    "max_tokens=4096, 12 tokens used",
    "the key idea: a cat on a keyboard",
    "ratio 16:9 at 10:30",
    "C:\\videos\\a.mp4",
)


@pytest.mark.parametrize("text", MASKED)
def test_what_is_masked(text: str) -> None:
    assert scrub(text) == MASKED[text]
    assert scrub(scrub(text)) == MASKED[text]


@pytest.mark.parametrize("text", LEFT)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_values_at_any_depth() -> None:
    given = {"a": ["https://h/x?sig=1", {"api_key": "x", "n": 3}], "token": "abc", "seed": None}
    assert scrubbed(given) == {
        "a": ["https://h/x", {"api_key": "***", "n": 3}],
        "token": "***",
        "seed": None,
    }


def test_what_this_process_knows_to_be_secret_is_masked_wherever_it_stands() -> None:
    remember(["a-very-own-canary", "short"])
    assert scrub("it said a-very-own-canary, short") == "it said ***, short"


def test_a_folder_is_no_secret_whatever_its_variable_is_called() -> None:
    assert secrets_in({"PASSWORD_STORE_DIR": "/home/someone"}) == []


def test_an_error_can_hold_no_secret() -> None:
    error = JobError(kind=ErrorKind.CLIENT, message="at https://h/x?k=canary", code="token=canary")
    assert "canary" not in repr(error)


class Talkative:
    """Says its key whenever it can, and logs whole addresses as HTTP libraries do."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.api_key = "canary-of-the-client"
        self.http = httpx.Client(headers={"Authorization": "Bearer canary-of-the-header"})

    def submit(self, job: Job) -> Accepted:
        logging.getLogger("httpx").info("HTTP Request: POST %s", "https://h/v?key=canary-of-url")
        logging.getLogger("httpcore.http11").debug("request: api_key=canary-of-httpcore")
        return Accepted(handle=Handle(id="1"))

    def poll(self, handle: Handle) -> RemoteStatus:
        self.http.close()
        message = f"{self.api_key} and {self.http.headers['Authorization']} at https://h/?k=canary"
        raise ClientError(message)


@pytest.mark.parametrize("executor", ["sequential", "threads"])
def test_a_talkative_client(
    executor: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-of-the-environment")
    with caplog.at_level(logging.DEBUG):
        runner = BatchRunner(
            Talkative(),
            storage="memory",
            executor=executor,
            clock=FakeClock(),
            job_timeout=60,
        )
        runner.add("a cat")
        summary = runner.run()
        shown: list[Any] = [*runner.events(), *runner.jobs(), *runner.active(), summary]
    assert "HTTP Request: POST https://h/v" in caplog.text
    assert scrub("canary-of-the-environment") == "***"
    for text in (caplog.text, repr(shown), str(summary), summary._repr_html_()):
        assert "canary" not in text


def test_requests_of_the_host_are_logged_as_it_wants(caplog: pytest.LogCaptureFixture) -> None:
    def work(request: object) -> Finished:
        return Finished(text=str(RemoteState.SUCCEEDED))

    runner = BatchRunner(work, storage="memory", clock=FakeClock())
    runner.add("a cat")
    runner.run()
    with caplog.at_level(logging.INFO, "httpx"):
        logging.getLogger("httpx").info("HTTP Request: GET %s", "https://h/v?mine=1")
    assert "mine=1" in caplog.text
