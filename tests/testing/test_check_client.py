"""The conformance suite of clients: it passes good ones, and names what bad ones break."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    NotAcceptedError,
    NotFoundError,
    Output,
    RejectedError,
    RemoteState,
    RemoteStatus,
    TranscribeVideo,
)
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider, check_client

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


# -- clients without a fault -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [FakeClient, AsyncFakeClient])
def test_the_fakes_pass(make: Callable[[FakeProvider], object]) -> None:
    provider = FakeProvider()

    check_client(
        lambda: make(provider), submissions=lambda: sum(provider.ledger.submissions.values())
    )


def test_a_fake_that_looks_up_and_replays_passes() -> None:
    provider = FakeProvider(keeps_keys=True)
    capabilities = Capabilities(cancel="running", idempotency="replay")

    check_client(
        lambda: FakeClient(provider, capabilities=capabilities, lookup=True),
        submissions=lambda: sum(provider.ledger.submissions.values()),
    )


def test_a_whole_client_passes_and_is_closed() -> None:
    made: list[Client] = []

    def make(server: Server) -> Client:
        made.append(Client(server))
        return made[-1]

    check(make, request=TranscribeVideo(source="talk.mp4"))

    assert len(made) > 5
    assert sum(client.closed for client in made) > 5


def test_an_async_client_stays_on_one_loop() -> None:
    class Async(Client):
        async def submit(self, job: Job) -> Any:
            self.lock = anyio.Lock()
            async with self.lock:
                await anyio.lowlevel.checkpoint()
            return super().submit(job)

        async def poll(self, handle: Handle) -> Any:
            await anyio.lowlevel.checkpoint()
            return super().poll(handle)

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(self)

    closed: list[Client] = []
    check(Async)
    assert closed


def test_a_client_whose_call_is_the_work_passes() -> None:
    class Works:
        capabilities = Capabilities(sync_result=True)

        def __init__(self, server: Server) -> None:
            self.server = server

        def prepare(self, job: Job) -> dict[str, object]:
            return {"key": job.submit_key}

        def submit(self, job: Job) -> Finished:
            assert job.prepared is not None
            return Finished(text=self.server.submit(str(job.prepared["key"])))

    check(Works)


def test_a_plain_function_passes() -> None:
    server = Server()

    def work(request: object) -> str:
        return server.submit(str(server.seen))

    check(lambda _: work, server)


# -- clients that break a rule ---------------------------------------------------------------------


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


class NoFetch(Client):
    fetch = None  # type: ignore[assignment]


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


def test_a_declared_replay_that_holds_passes() -> None:
    check(lambda server: _replaying(server), Server(replays=True))


def _replaying(server: Server) -> Client:
    client = Client(server)
    client.capabilities = Capabilities(idempotency="replay")
    return client


def test_the_hosts_log_level_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)

    check(Client)

    assert (root.level, root.handlers) == (before, handlers)


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def test_a_client_whose_call_is_the_work_may_declare_the_rest() -> None:
    class Works:
        capabilities = Capabilities(sync_result=True, cancel="running", idempotency="replay")

        def __init__(self, server: Server) -> None:
            self.server = server

        def submit(self, job: Job) -> Finished:
            self.server.submit(job.submit_key)
            return Finished(outputs=(Output(data=b"small"),))

        def fetch(self, job: Job, output: Output) -> bytes:
            raise AssertionError("what is small needs no fetch")

        def cancel(self, handle: Handle) -> bool:
            raise AssertionError("there is no handle")

    check(Works)


def test_a_refusal_before_the_server_need_not_be_counted() -> None:
    class Early(Client):
        def submit(self, job: Job) -> Any:
            if self.server.next == "refuse":
                self.server.next = ""
                raise RejectedError("the client itself refuses")
            return super().submit(job)

    check(Early)


def test_an_output_with_an_address_needs_no_fetch() -> None:
    class Addresses(NoFetch):
        def poll(self, handle: Handle) -> Any:
            status = super().poll(handle)
            if status.finished is None:
                return status
            output = Output(url="https://example.org/video.mp4")
            return RemoteStatus(state=status.state, finished=Finished(outputs=(output,)))

    check(Addresses)
