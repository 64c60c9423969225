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


class Server:
    """A provider that only pretends, and counts what reaches it."""

    def __init__(self, *, replays: bool = False) -> None:
        self.seen = 0
        self.replays = replays
        self.polls: dict[str, int] = {}
        self.by_key: dict[str, str] = {}
        self.next = ""

    def submissions(self) -> int:
        return self.seen

    def drop_next(self) -> None:
        self.next = "drop"

    def refuse_next(self) -> None:
        self.next = "refuse"

    def submit(self, key: str) -> str:
        self.seen += 1
        now, self.next = self.next, ""
        if now == "refuse":
            raise RejectedError("the server says 400")
        if self.replays and key in self.by_key:
            return self.by_key[key]
        found = f"job-{self.seen}"
        self.polls[found], self.by_key[key] = 0, found
        if now == "drop":
            raise ConnectionResetError("the connection broke")
        return found

    def poll(self, found: str) -> RemoteStatus:
        if found not in self.polls:
            raise NotFoundError("the server says 404")
        self.polls[found] += 1
        if self.polls[found] < 3:
            return RemoteStatus(state=RemoteState.RUNNING)
        output = Output(ref=found)
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(outputs=(output,)))


class Client:
    """A client without a fault."""

    capabilities = Capabilities(cancel="running")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.closed = False

    def submit(self, job: Job) -> Any:
        return Accepted(handle=Handle(id=self.server.submit(job.submit_key)))

    def poll(self, handle: Handle) -> Any:
        return self.server.poll(handle.id)

    def fetch(self, job: Job, output: Output) -> Any:
        return iter([b"a", b"b"])

    def cancel(self, handle: Handle) -> Any:
        return False

    def find(self, job: Job, submit_key: str) -> Any:
        found = self.server.by_key.get(submit_key)
        return None if found is None else Handle(id=found)

    def close(self) -> None:
        self.closed = True


def check(client: Callable[[Server], object], server: Server | None = None, **more: Any) -> None:
    used = server or Server()
    check_client(
        partial(client, used),
        submissions=used.submissions,
        drop_next=used.drop_next,
        refuse_next=used.refuse_next,
        secrets=[SECRET],
        **more,
    )


def faults(client: Callable[[Server], object], server: Server | None = None) -> str:
    with pytest.raises(AssertionError) as raised:
        check(client, server)
    return str(raised.value)


class NoFetch(Client):
    fetch = None  # type: ignore[assignment]
