"""A provider that outlives every process: its ledger is a file that each of them appends to."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from batchkit import (
    Accepted,
    Capabilities,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobError,
    NotAcceptedError,
    OutcomeUnknownError,
    Output,
    RateLimitedError,
    RejectedError,
    RemoteState,
    RemoteStatus,
    ResultExpiredError,
)
from batchkit.testing import content

#: Good status queries before a job ends.
POLLS = 2
#: Words of a script with which nothing is started.
REFUSED = ("reject", "busy", "limit", "drop_before")


@attrs.frozen
class Line:
    """One thing that happened: to an item, perhaps under a handle."""

    what: str
    item: str
    handle: str = ""
    word: str = "ok"


class FileProvider:
    """Starts jobs, and says how they do, for any number of processes.

    The prompt is the script, as for :class:`batchkit.testing.FakeProvider`: each submission of
    ``"cat [busy flaky]"`` takes the next word.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _ledger(self) -> Iterator[tuple[list[Line], Any]]:
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            yield [Line(*json.loads(line)) for line in file], file

    def lines(self) -> list[Line]:
        with self._ledger() as (lines, _):
            return lines

    def _note(self, file: Any, line: Line) -> None:
        file.write(json.dumps(attrs.astuple(line)) + "\n")

    # -- what a provider does --------------------------------------------------------------

    def submit(self, prompt: str) -> Handle:
        item, _, script = prompt.partition(" [")
        with self._ledger() as (lines, file):
            before = sum(line.item == item and line.what == "submission" for line in lines)
            words = script.rstrip("]").split()
            word = words[before] if before < len(words) else "ok"
            self._note(file, Line("submission", item, word=word))
            _refuse(word)
            number = 1 + sum(line.what == "charge" for line in lines)
            handle = f"remote-{number}"
            self._note(file, Line("charge", item, handle, word))
        if word == "drop_after":
            raise OutcomeUnknownError("the connection broke after the request was sent")
        return Handle(id=handle)

    def poll(self, handle: Handle) -> RemoteStatus:
        with self._ledger() as (lines, file):
            mine = _charge(lines, handle.id)
            polls = sum(line.what == "poll" and line.handle == handle.id for line in lines)
            self._note(file, Line("poll", mine.item, handle.id))
        if mine.word == "blips" and polls < 3:
            raise ConnectionResetError("the connection broke")
        if polls < POLLS:
            return RemoteStatus(state=RemoteState.RUNNING, progress=polls / POLLS)
        if mine.word in ("fail", "flaky"):
            again = mine.word == "flaky"
            error = JobError(kind=ErrorKind.PROVIDER, message="it failed", retryable=again)
            return RemoteStatus(state=RemoteState.FAILED, error=error)
        size = len(content(mine.item))
        done = Finished(outputs=(Output(ref=handle.id, media_type="video/mp4", size=size),))
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done, cost=1.0)

    def fetch(self, output: Output) -> bytes:
        with self._ledger() as (lines, file):
            mine = _charge(lines, output.ref or "")
            self._note(file, Line("download", mine.item, mine.handle))
        if mine.word == "expire":
            raise ResultExpiredError("the result has been deleted")
        return content(mine.item)

    # -- what a judge asks -----------------------------------------------------------------

    def charges(self) -> Counter[str]:
        return Counter(line.item for line in self.lines() if line.what == "charge")

    def handles(self, item: str) -> set[str]:
        return {line.handle for line in self.lines() if (line.what, line.item) == ("charge", item)}


def _charge(lines: list[Line], handle: str) -> Line:
    return next(line for line in lines if line.what == "charge" and line.handle == handle)


def _refuse(word: str) -> None:
    if word == "reject":
        raise RejectedError("not like that")
    if word == "busy":
        raise NotAcceptedError("the service is busy")
    if word == "limit":
        raise RateLimitedError("too many requests", retry_after=2.0)
    if word == "drop_before":
        raise OutcomeUnknownError("the connection broke before the request was sent")


class FileClient:
    """Plain methods; on threads, where the executor has them."""

    capabilities = Capabilities(cancel="running")

    def __init__(self, path: Path) -> None:
        self.provider = FileProvider(path)

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=self.provider.submit(str(getattr(job.request, "prompt", ""))))

    def poll(self, handle: Handle) -> RemoteStatus:
        return self.provider.poll(handle)

    def fetch(self, job: Job, output: Output) -> bytes:
        return self.provider.fetch(output)


class AsyncFileClient:
    """The same, awaited."""

    capabilities = FileClient.capabilities

    def __init__(self, path: Path) -> None:
        self.provider = FileProvider(path)

    async def submit(self, job: Job) -> Accepted:
        return Accepted(handle=self.provider.submit(str(getattr(job.request, "prompt", ""))))

    async def poll(self, handle: Handle) -> RemoteStatus:
        return self.provider.poll(handle)

    async def fetch(self, job: Job, output: Output) -> bytes:
        return self.provider.fetch(output)
