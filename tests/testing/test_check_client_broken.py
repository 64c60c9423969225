"""The conformance suite of clients names what bad ones break, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from check_client_kit import Client, Server, faults

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


class SharesHandle(Client):
    def submit(self, job: Job) -> Any:
        self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id="job-1"))


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


class Optimist(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except ConnectionError:
            return Accepted(handle=Handle(id=job.submit_key))


class Lenient(Client):
    def submit(self, job: Job) -> Any:
        answer = self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id=str(answer.get("id"))))


class Denies(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except KeyError as exc:
            raise RejectedError("the answer has no id") from exc


class Text(Client):
    def submit(self, job: Job) -> Any:
        return self.server.submit(job.submit_key)["id"]


class PreparesObjects(Client):
    def prepare(self, job: Job) -> Any:
        return {"upload": object()}


class PreparesTuples(Client):
    def prepare(self, job: Job) -> Any:
        return {"size": (1, 2)}


class PreparesNothing(Client):
    def prepare(self, job: Job) -> Any:
        return None


class NotFoundForGarbage(Client):
    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except KeyError as exc:
            raise NotFoundError("the answer does not know the job") from exc


class FailsForGarbage(Client):
    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except KeyError:
            return RemoteStatus(state=RemoteState.FAILED)


class DoneForGarbage(Client):
    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except KeyError:
            return RemoteStatus(state=RemoteState.SUCCEEDED)


class FailsForUnknownWords(Client):
    def poll(self, handle: Handle) -> Any:
        word = self.server.poll(handle.id)["state"]
        states = {"running": RemoteState.RUNNING, "done": RemoteState.SUCCEEDED}
        return RemoteStatus(state=states.get(word, RemoteState.FAILED))


class FailsForFailures(Client):
    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except ConnectionError:
            return RemoteStatus(state=RemoteState.FAILED)


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
        state = RemoteState.RUNNING if odd else RemoteState.SUCCEEDED
        return RemoteStatus(state=state, finished=status.finished)


class Unknown(Client):
    def poll(self, handle: Handle) -> Any:
        return super().poll(handle) if handle.id in self.server.polls else None


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
        return Accepted(handle=Handle(id=self.server.submit(job.submit_key)["id"]))


class Misspells(Client):
    capabilities = Capabilities(idempotency="Replay")  # type: ignore[arg-type]


class OddCodes(Client):
    capabilities = Capabilities(not_accepted=frozenset({200}))


class NoCancel(Client):
    cancel = None  # type: ignore[assignment]


class OddCancel(Client):
    def cancel(self, handle: Handle) -> Any:
        return "cancelling"


class FalseCancel(Client):
    def cancel(self, handle: Handle) -> Any:
        return True


class IgnoresKeys(Client):
    def submit(self, job: Job) -> Any:
        return Accepted(handle=Handle(id=self.server.submit(f"{self.server.seen}")["id"]))


class FindsNothing(Client):
    def find(self, job: Job, submit_key: str) -> Any:
        return None


class FindsAnything(Client):
    def find(self, job: Job, submit_key: str) -> Any:
        return super().find(job, submit_key) or Handle(id="job-1")


class SaysReplay(Client):
    capabilities = Capabilities(idempotency="replay")


class RemembersKeys(SaysReplay):
    """Replays by itself, which a program that starts again cannot."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.mine: dict[str, Any] = {}

    def submit(self, job: Job) -> Any:
        if job.submit_key not in self.mine:
            self.mine[job.submit_key] = super().submit(job)
        return self.mine[job.submit_key]


class OddPace(Client):
    capabilities = Capabilities(cancel="running", min_poll_seconds=-1.0)


class TextPace(Client):
    capabilities = Capabilities(cancel="running", min_poll_seconds="2 s")  # type: ignore[arg-type]


class NeverEnds(Client):
    def poll(self, handle: Handle) -> Any:
        self.server.poll(handle.id)
        return RemoteStatus(state=RemoteState.FAILED)


class NoFetch(Client):
    fetch = None  # type: ignore[assignment]


class FetchesText(Client):
    def fetch(self, job: Job, output: Output) -> Any:
        return "text"


class FetchesTexts(Client):
    def fetch(self, job: Job, output: Output) -> Any:
        return ["text"]


BROKEN = [
    (Retries, "submit.dropped", "retries behind batchkit's back"),
    (Retries, "submit.failed", "switch the retries of the HTTP library or SDK off"),
    (Retries, "run.dropped", "a job of a batch whose connection broke became 2 submissions"),
    (Doubles, "submit.once", "one call of submit became 2 submissions"),
    (Doubles, "run.completes", "one job of a batch became 2 submissions"),
    (SharesHandle, "submit.key", "two jobs got one handle"),
    (Claims, "submit.dropped", "proves that nothing was started; but the job runs"),
    (Vague, "submit.refused", "raise RejectedError, NotAcceptedError"),
    (Swallows, "submit.refused", "answered as if the job had been accepted"),
    (Optimist, "submit.failed", "answered as if the job had been accepted"),
    (Lenient, "submit.garbage", "submit took nonsense for an answer"),
    (Denies, "submit.garbage", "proves that nothing was started; but the job runs"),
    (Text, "submit.answer", "submit returned str: return batchkit.Accepted"),
    (PreparesObjects, "prepare.json", "cannot be stored"),
    (PreparesTuples, "prepare.json", "changes when it is stored"),
    (PreparesNothing, "prepare.json", "prepare returned NoneType"),
    (NotFoundForGarbage, "poll.garbage", "became NotFoundError"),
    (FailsForGarbage, "poll.garbage", "became RemoteState.FAILED"),
    (DoneForGarbage, "poll.garbage", "became RemoteState.SUCCEEDED"),
    (FailsForUnknownWords, "poll.unknown_word", "became RemoteState.FAILED"),
    (FailsForFailures, "poll.failure", "became RemoteState.FAILED"),
    (NoStatus, "poll.answer", "poll returned NoneType: return batchkit.RemoteStatus"),
    (PollSubmits, "poll.answer", "polling has to be free"),
    (Flickers, "poll.final", "an end is final"),
    (Unknown, "poll.not_found", "does not know, poll returned NoneType"),
    (UnknownKey, "poll.not_found", "poll raised KeyError .*raise batchkit.NotFoundError"),
    (NoPoll, "capabilities.sync_result", "is declared, but submit answers Accepted"),
    (NoPoll, "poll.answer", r"give the client a poll\(handle\)"),
    (Misspells, "capabilities.values", "idempotency is 'Replay': choose from 'none', 'replay'"),
    (OddCodes, "capabilities.values", "name HTTP status codes"),
    (NoCancel, "capabilities.cancel", r"give the client a cancel\(handle\) method"),
    (OddCancel, "capabilities.cancel", "cancel returned str: return True only when"),
    (FalseCancel, "capabilities.cancel", "returned True, and the job is still running"),
    (IgnoresKeys, "find.key", "send job.submit_key with the submission"),
    (FindsNothing, "find.key", "None is taken as proof"),
    (FindsAnything, "find.key", "for a key that was never sent: answer None"),
    (SaysReplay, "capabilities.idempotency", "the same key started another job"),
    (RemembersKeys, "capabilities.idempotency", "the same key started another job"),
    (OddPace, "capabilities.min_poll_seconds", "min_poll_seconds is -1.0: give seconds"),
    (TextPace, "capabilities.min_poll_seconds", "min_poll_seconds is '2 s': give seconds"),
    (NeverEnds, "run.completes", "the job ended failed"),
    (NoFetch, "run.completes", "an output has a ref: give the client a fetch"),
    (FetchesText, "run.completes", "fetch returned str: return bytes, a Path, or pieces of bytes"),
    (FetchesTexts, "run.completes", "fetch returned list"),
]


@pytest.mark.parametrize(("client", "clause", "message"), BROKEN)
def test_a_broken_client_is_told_what_to_do(
    client: Callable[[Server], object], clause: str, message: str
) -> None:
    found = faults(client)

    assert re.search(f"^{re.escape(clause)}: .*{message}", found, re.MULTILINE), found
