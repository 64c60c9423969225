"""A server that only pretends, and a client of it without a fault."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    NotFoundError,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
)
from batchkit.testing import check_client

SECRET = "sk-very-secret"
STATES = {"done": RemoteState.SUCCEEDED, "broken": RemoteState.FAILED}


class Server:
    """A provider that answers as a JSON API does, counts what reaches it, and obeys the suite."""

    def __init__(self, *, replays: bool = False) -> None:
        self.seen = 0
        self.replays = replays
        self.polls: dict[str, int] = {}
        self.by_key: dict[str, str] = {}
        self.canceled: set[str] = set()
        self.next = ""

    def submissions(self) -> int:
        return self.seen

    def drop_next(self) -> None:
        self.next = "drop"

    def refuse_next(self) -> None:
        self.next = "refuse"

    def fail_next(self) -> None:
        self.next = "fail"

    def garble_next(self) -> None:
        self.next = "garble"

    def confuse_next(self) -> None:
        self.next = "confuse"

    def submit(self, key: str) -> dict[str, Any]:
        self.seen += 1
        now, self.next = self.next, ""
        if now == "refuse":
            raise RejectedError("the server says 400")
        if now == "fail":
            raise ConnectionError("the server says 500")
        if self.replays and key in self.by_key:
            return {"id": self.by_key[key]}
        found = f"job-{self.seen}"
        self.polls[found], self.by_key[key] = 0, found
        if now == "drop":
            raise ConnectionResetError("the connection broke")
        return {} if now == "garble" else {"id": found}

    def poll(self, found: str) -> dict[str, Any]:
        now, self.next = self.next, ""
        if now == "fail":
            raise ConnectionError("the server says 500")
        if found not in self.polls:
            raise NotFoundError("the server says 404")
        self.polls[found] += 1
        if now:
            return {} if now == "garble" else {"state": "simmering"}
        if found in self.canceled:
            return {"state": "broken"}
        return {"state": "running" if self.polls[found] < 3 else "done", "video": found}


class Client:
    """A client without a fault."""

    capabilities = Capabilities(cancel="running")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.closed = False

    def submit(self, job: Job) -> Any:
        return Accepted(handle=Handle(id=self.server.submit(job.submit_key)["id"]))

    def poll(self, handle: Handle) -> Any:
        answer = self.server.poll(handle.id)
        state = STATES.get(answer["state"], RemoteState.RUNNING)
        outputs = (Output(ref=answer["video"]),) if state is RemoteState.SUCCEEDED else ()
        return RemoteStatus(state=state, finished=Finished(outputs=outputs))

    def fetch(self, job: Job, output: Output) -> Any:
        return iter([b"a", b"b"])

    def cancel(self, handle: Handle) -> Any:
        return False

    def find(self, job: Job, submit_key: str) -> Any:
        found = self.server.by_key.get(submit_key)
        return None if found is None else Handle(id=found)

    def close(self) -> None:
        self.closed = True


def check(
    client: Callable[[Server], object], server: Server | None = None, **more: Any
) -> tuple[str, ...]:
    used = server or Server()
    return check_client(partial(client, used), used, secrets=[SECRET], **more)


def faults(client: Callable[[Server], object], server: Server | None = None, **more: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        check(client, server, **more)
    return str(raised.value)


def broken(found: str) -> list[str]:
    """The names of the clauses that a report says are broken."""
    return [line.partition(":")[0] for line in found.splitlines()]
