"""The conformance suite of clients names what bad ones break."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from check_client_kit import SECRET, Client, NoFetch, Server, faults

from batchkit import (
    Accepted,
    Capabilities,
    Handle,
    Job,
    NotAcceptedError,
    NotFoundError,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
)
from batchkit.testing import check_client


class Retries(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except ConnectionError:
            return super().submit(job)


class Doubles(Client):
    def submit(self, job: Job) -> Any:
        super().submit(job)
        return super().submit(job)


class Claims(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except ConnectionError as exc:
            raise NotAcceptedError("the connection broke") from exc


class Vague(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except RejectedError as exc:
            raise RuntimeError("HTTP 400") from exc


class Swallows(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except RejectedError:
            return Accepted(handle=Handle(id="job-1"))


class Text(Client):
    def submit(self, job: Job) -> Any:
        return self.server.submit(job.submit_key)


class Unstorable(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id=found, data={"at": Path("x"), "n": object()}))


class Changes(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id=found, data={"pair": (1, 2)}))


class Remembers(Client):
    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.mine: set[str] = set()

    def submit(self, job: Job) -> Any:
        answer = super().submit(job)
        self.mine.add(answer.handle.id)
        return answer

    def poll(self, handle: Handle) -> Any:
        if handle.id not in self.mine:
            raise NotFoundError("never heard of it")
        return super().poll(handle)


class NoStatus(Client):
    def poll(self, handle: Handle) -> Any:
        return None


class PollSubmits(Client):
    def poll(self, handle: Handle) -> Any:
        self.server.seen += 1
        return super().poll(handle)


class Flickers(Client):
    def poll(self, handle: Handle) -> Any:
        status = super().poll(handle)
        odd = self.server.polls[handle.id] % 2
        return (
            RemoteStatus(state=RemoteState.RUNNING)
            if odd
            else RemoteStatus(state=RemoteState.SUCCEEDED, finished=status.finished)
        )


class Unknown(Client):
    def poll(self, handle: Handle) -> Any:
        if handle.id not in self.server.polls:
            return None
        return super().poll(handle)


class UnknownKey(Client):
    def poll(self, handle: Handle) -> Any:
        if handle.id not in self.server.polls:
            raise KeyError(handle.id)
        return super().poll(handle)


class NoPoll:
    capabilities = Capabilities(sync_result=True)

    def __init__(self, server: Server) -> None:
        self.server = server

    def submit(self, job: Job) -> Any:
        return Accepted(handle=Handle(id=self.server.submit(job.submit_key)))


class NoCancel(Client):
    cancel = None  # type: ignore[assignment]


class OddCancel(Client):
    def cancel(self, handle: Handle) -> Any:
        return "cancelling"


class FindsNothing(Client):
    def find(self, job: Job, submit_key: str) -> Any:
        return None


class FindsAnything(Client):
    def find(self, job: Job, submit_key: str) -> Any:
        return super().find(job, submit_key) or Handle(id="job-1")


class SaysReplay(Client):
    capabilities = Capabilities(idempotency="replay")


class NeverEnds(Client):
    def poll(self, handle: Handle) -> Any:
        self.server.poll(handle.id)
        return RemoteStatus(state=RemoteState.FAILED)


class FetchesText(Client):
    def fetch(self, job: Job, output: Output) -> Any:
        return "text"


class FetchesTexts(Client):
    def fetch(self, job: Job, output: Output) -> Any:
        return ["text"]


class ShowsRepr(Client):
    def __repr__(self) -> str:
        return f"<Client key={SECRET}>"


class ShowsHandle(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id=found, data={"url": f"https://x/?key={SECRET}"}))


class Logs(Client):
    def poll(self, handle: Handle) -> Any:
        logging.getLogger("somebody.http").info("GET https://x/?key=%s", SECRET)
        return super().poll(handle)


class ShowsError(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except ConnectionError as exc:
            raise RuntimeError(f"POST https://x/?key={SECRET} broke") from exc


BROKEN = [
    (Retries, "retries behind batchkit's back"),
    (Retries, "switch the retries of the HTTP library or SDK off"),
    (Doubles, "one call of submit became 2 submissions"),
    (Claims, "proves that nothing was started, but the job runs"),
    (Vague, "raise RejectedError, NotAcceptedError"),
    (Swallows, "it answered as if it had been accepted"),
    (Text, "it returned str: return batchkit.Accepted"),
    (Unstorable, "keep only JSON values"),
    (Changes, "its data changes when it is stored"),
    (Remembers, "keep nothing in the client"),
    (NoStatus, "poll returned NoneType: return batchkit.RemoteStatus"),
    (PollSubmits, "polling has to be free"),
    (Flickers, "an end is final"),
    (Unknown, "poll of an unknown handle.*poll returned NoneType"),
    (UnknownKey, "it raised KeyError: raise batchkit.NotFoundError"),
    (NoPoll, "it is declared, but submit answers Accepted"),
    (NoPoll, r"give the client a poll\(handle\)"),
    (NoCancel, r"give the client a cancel\(handle\) method"),
    (OddCancel, "cancel returned str: return True only when the provider confirms"),
    (FindsNothing, "None is taken as proof"),
    (FindsAnything, "for a key that was never sent: answer None"),
    (SaysReplay, "the same key started another job"),
    (NeverEnds, "the job ended failed"),
    (NoFetch, "an output has a ref: give the client a fetch"),
    (FetchesText, "fetch returned str: return bytes, a Path, or pieces of bytes"),
    (FetchesTexts, "fetch returned list"),
    (ShowsRepr, r"a secret is shown by repr\(client\)"),
    (ShowsHandle, "a secret is shown by a handle"),
    (Logs, "a secret is shown by the log"),
    (ShowsError, "a secret is shown by an error of submit"),
]


@pytest.mark.parametrize(("client", "message"), BROKEN)
def test_a_broken_client_is_told_what_to_do(
    client: Callable[[Server], object], message: str
) -> None:
    import re

    found = faults(client)

    assert re.search(message, found), found


def test_a_rule_is_named_and_every_broken_one_is_reported() -> None:
    class Two(NoCancel):
        def find(self, job: Job, submit_key: str) -> Any:
            raise KeyError(submit_key)

    lines = faults(Two).splitlines()

    assert [line.partition(":")[0] for line in lines] == ["capabilities.cancel", "find"]
    assert "KeyError" in lines[1]


def test_without_submit_nothing_else_is_tried() -> None:
    class Raises(Client):
        def submit(self, job: Job) -> Any:
            raise RuntimeError("no route")

    (line,) = faults(Raises).splitlines()

    assert line.startswith("submit: answers Accepted or Finished")
    assert "RuntimeError: no route" in line


def test_a_counter_that_counts_nothing_is_found() -> None:
    server = Server()
    with pytest.raises(AssertionError, match=r"let submissions\(\) count"):
        check_client(lambda: Client(server), submissions=lambda: 0)
