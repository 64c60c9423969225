"""What a client does where nobody looks: secrets, changed arguments, state of its own."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from check_client_kit import SECRET, Client, Server, broken, check, faults

from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    NotFoundError,
    Output,
    RateLimitedError,
    RemoteStatus,
)
from batchkit.testing import check_client

# -- handles ---------------------------------------------------------------------------------------


class Unstorable(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)["id"]
        return Accepted(handle=Handle(id=found, data={"at": Path("x"), "n": object()}))


class Changes(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)["id"]
        return Accepted(handle=Handle(id=found, data={"pair": (1, 2)}))


class NoId(Client):
    def submit(self, job: Job) -> Any:
        self.server.submit(job.submit_key)
        return Accepted(handle=Handle(id=""))


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


class RemembersUrls(Remembers):
    def poll(self, handle: Handle) -> Any:
        self.mine.remove(handle.id)
        self.mine.add(handle.id)
        return super().poll(handle)


# -- arguments -------------------------------------------------------------------------------------


class ChangesParams(Client):
    def submit(self, job: Job) -> Any:
        job.request.params["seed"] = 7  # type: ignore[index]
        return super().submit(job)


class ChangesJob(Client):
    def submit(self, job: Job) -> Any:
        object.__setattr__(job, "note", "mine")
        return super().submit(job)


class ChangesMetadata(Client):
    def find(self, job: Job, submit_key: str) -> Any:
        job.metadata["seen"] = True  # type: ignore[index]
        return super().find(job, submit_key)


class ChangesHandle(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)["id"]
        return Accepted(handle=Handle(id=found, data={"polls": [0]}))

    def poll(self, handle: Handle) -> Any:
        handle.data["polls"].append(1)
        return super().poll(handle)


# -- secrets ---------------------------------------------------------------------------------------


class ShowsRepr(Client):
    def __repr__(self) -> str:
        return f"<Client key={SECRET}>"


class ShowsAccount(Client):
    capabilities = Capabilities(cancel="running", account=SECRET)


class ShowsHandle(Client):
    def submit(self, job: Job) -> Any:
        found = self.server.submit(job.submit_key)["id"]
        return Accepted(handle=Handle(id=found, data={"url": f"https://x/?key={SECRET}"}))


class ShowsPrepared(Client):
    def prepare(self, job: Job) -> Any:
        return {"upload": f"https://x/?key={SECRET}"}


class ShowsOutput(Client):
    def poll(self, handle: Handle) -> Any:
        status = super().poll(handle)
        output = Output(url=f"https://x/{handle.id}?key={SECRET}")
        return RemoteStatus(state=status.state, finished=Finished(outputs=(output,)))


class Logs(Client):
    def poll(self, handle: Handle) -> Any:
        logging.getLogger("somebody.http").info("GET https://x/?key=%s", SECRET)
        return super().poll(handle)


class LogsDetails(Client):
    def submit(self, job: Job) -> Any:
        logging.getLogger("somebody.http").debug("Authorization: Bearer %s", SECRET)
        return super().submit(job)


class ShowsError(Client):
    def submit(self, job: Job) -> Any:
        try:
            return super().submit(job)
        except ConnectionError as exc:
            raise RuntimeError(f"POST https://x/?key={SECRET} broke") from exc


class ShowsCause(Client):
    def poll(self, handle: Handle) -> Any:
        try:
            return super().poll(handle)
        except ConnectionError:
            cause = ConnectionError(f"GET https://x/?key={SECRET} broke")
            raise ConnectionError("the query failed") from cause


BROKEN = [
    (Unstorable, "handle.json", "keep only JSON values"),
    (Changes, "handle.json", "changes when it is stored"),
    (NoId, "handle.json", "with an id"),
    (Remembers, "handle.restart", "NotFoundError: never heard of it.*keep nothing in the client"),
    (RemembersUrls, "handle.restart", "KeyError: 'job-.*keep nothing in the client"),
    (ChangesParams, "arguments.unchanged", "submit changed the job or handle"),
    (ChangesJob, "arguments.unchanged", "submit changed the job or handle"),
    (ChangesMetadata, "arguments.unchanged", "find changed the job or handle"),
    (ChangesHandle, "arguments.unchanged", "poll changed the job or handle"),
    (ShowsRepr, "secrets", r"by repr\(client\):"),
    (ShowsAccount, "secrets", "by its capabilities"),
    (ShowsHandle, "secrets", "by a handle"),
    (ShowsPrepared, "secrets", "what prepare leaves"),
    (ShowsOutput, "secrets", "by a status, the record of a job"),
    (Logs, "secrets", "by the log"),
    (LogsDetails, "secrets", "by the log"),
    (ShowsError, "secrets", "by an error of submit"),
    (ShowsCause, "secrets", "by an error of poll"),
]


@pytest.mark.parametrize(("client", "clause", "message"), BROKEN)
def test_what_a_client_hides_is_found(
    client: Callable[[Server], object], clause: str, message: str
) -> None:
    found = faults(client)

    assert re.search(f"^{re.escape(clause)}: .*{message}", found, re.MULTILINE), found


# -- the report ------------------------------------------------------------------------------------


def test_every_broken_clause_is_reported() -> None:
    class Two(Client):
        cancel = None  # type: ignore[assignment]

        def find(self, job: Job, submit_key: str) -> Any:
            raise KeyError(submit_key)

    found = faults(Two)

    assert broken(found) == ["find.key", "capabilities.cancel"]
    assert "KeyError" in found


def test_without_submit_nothing_else_is_tried() -> None:
    class Raises(Client):
        def submit(self, job: Job) -> Any:
            raise RuntimeError("no route")

    assert faults(Raises) == "submit.answer: RuntimeError: no route"


def test_a_counter_that_counts_nothing_is_found() -> None:
    class Deaf(Server):
        def submissions(self) -> int:
            return 0

    assert r"let submissions() count" in faults(Client, Deaf())


def test_a_pace_that_the_server_refuses_is_found() -> None:
    class Impatient(Server):
        def poll(self, found: str) -> dict[str, Any]:
            if self.polls.get(found, 0) % 2:
                self.polls[found] += 1
                raise RateLimitedError("not so fast")
            return super().poll(found)

    found = faults(Client, Impatient())

    assert "capabilities.min_poll_seconds: a job that is polled every 0 s is told" in found


def test_a_fault_of_another_kind_is_not_taken_for_the_pace() -> None:
    class Broken(Client):
        def poll(self, handle: Handle) -> Any:
            raise KeyError("state")

    found = faults(Broken)

    assert "capabilities.min_poll_seconds: KeyError: 'state'" in found


def test_a_cancel_whose_job_cannot_be_asked_for_is_found() -> None:
    class Cancels(Client):
        def cancel(self, handle: Handle) -> Any:
            self.server.next = "fail"
            return True

    assert "capabilities.cancel: ConnectionError" in faults(Cancels)


def test_the_least_that_a_server_has_is_enough() -> None:
    class Counts:
        def __init__(self) -> None:
            self.server = Server()

        def submissions(self) -> int:
            return self.server.seen

    counter = Counts()
    left = check_client(lambda: Client(counter.server), counter)

    assert "submit.dropped" in left
    assert "run.dropped" in left
    assert check(Client) == ()
