"""A client that follows a script, a store in memory, and short ways to run one job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    JobError,
    OutcomeUnknownError,
    Output,
    RemoteState,
    RemoteStatus,
)
from batchkit._results import Artifact, JobResult
from batchkit.testing import Crash

INLINE = Capabilities(inline=True)

FREE = Capabilities(inline=True, repeat="free")

REPLAYS = Capabilities(inline=True, idempotency="replay")

WORKS = Capabilities(inline=True, sync_result=True)

HANDLE = Handle(id="remote-1")

ACCEPTED = Accepted(handle=HANDLE)

RUNNING = RemoteStatus(state=RemoteState.RUNNING)

SUCCEEDED = RemoteStatus(state=RemoteState.SUCCEEDED, finished=Finished(text="done"))

LOST = OutcomeUnknownError("the connection broke")


class Scripted:
    """Answers each call with the next thing of a list, and the last one again and again.

    An exception is raised, a function is called, anything else is the answer. Optional methods are
    there only when the script names them.
    """

    def __init__(self, *, capabilities: Capabilities = INLINE, **script: Any) -> None:
        self.capabilities = capabilities
        self.calls: Counter[str] = Counter()
        self.jobs: list[Job] = []
        for name, answers in {"submit": ACCEPTED, "poll": SUCCEEDED, **script}.items():
            setattr(self, name, self._method(name, list(_several(answers))))

    def _method(self, name: str, answers: list[Any]) -> Callable[..., Any]:
        def method(*args: Any) -> Any:
            self.calls[name] += 1
            if name == "submit":
                self.jobs.append(args[0])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args) if callable(answer) else answer

        method.__name__ = name
        return method

    @property
    def keys(self) -> list[str]:
        """The submit keys that the provider saw."""
        return [job.submit_key for job in self.jobs]


def _several(answers: Any) -> Iterable[Any]:
    return answers if isinstance(answers, list) else [answers]


def running(progress: float) -> RemoteStatus:
    return RemoteStatus(state=RemoteState.RUNNING, progress=progress)


def ends(state: RemoteState, **fields: Any) -> RemoteStatus:
    return RemoteStatus(state=state, **fields)


def dies_at(name: str) -> Callable[[str], None]:
    def hook(point: str) -> None:
        if point == name:
            raise Crash(point)

    return hook


def run_one(runner: BatchRunner) -> Job:
    """The one job, after a run; added by the first."""
    job = runner.add("a")
    runner.run()
    return runner.job(job)


def after_death(runner: BatchRunner, point: str) -> Job:
    """The one job, after a run that died at a point, and another run."""
    runner.hook = dies_at(point)
    runner.add("a")
    with pytest.raises(Crash):
        runner.run()
    runner.hook = None
    return run_one(runner)


def error_of(job: Job) -> JobError:
    assert job.error is not None
    return job.error


def kinds(runner: BatchRunner) -> list[str]:
    return [event.kind for event in runner.events() if not event.kind.startswith("batch_")]


class Shelf:
    """An artifact store that keeps bytes in memory, and fails as told."""

    def __init__(self, *faults: Exception, found: JobResult | None = None) -> None:
        self.faults, self.found = list(faults), found
        self.kept: list[object] = []
        self.reports = 0

    def check(self, jobs: Iterable[Job]) -> None:
        list(jobs)

    def existing(self, job: Job) -> JobResult | None:
        return self.found

    def write(self, job: Job, output: Output, data: Any) -> tuple[Artifact, ...]:
        if self.faults:
            raise self.faults.pop(0)
        self.kept.append(data)
        return (Artifact(path=Path("kept"), size=1, sha256="0"),)

    def report(self, jobs: Iterable[Job]) -> None:
        list(jobs)
        self.reports += 1


WITH_OUTPUT = ends(RemoteState.SUCCEEDED, finished=Finished(outputs=(Output(ref="r"),)))
