"""Deaths at every moment: a session file holds what was before, or what was after."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from json_help import Facts, facts, read, start, word
from sqlite_help import NOW, begin, new

from batchkit import Handle, JobResult, JobStatus
from batchkit._config import Control
from batchkit._events import JobSubmitted, JobSubmitting
from batchkit._jobs import count_by_status
from batchkit.storage import Change, Entry, JSONStorage, _json_io, _json_log, json_file

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


# -- a write that is cut short -----------------------------------------------------------------


def submit(storage: JSONStorage) -> None:
    """A group of two intents, with their journal lines."""
    jobs = list(storage.jobs(1))[:2]
    made = [
        Change(job.to(_S.SUBMITTING, attempt=1), job, [Entry(JobSubmitting.kind, NOW, job.id, 1)])
        for job in jobs
    ]
    storage.save(made)


def accept(storage: JSONStorage) -> None:
    jobs = list(storage.jobs(1))[:2]
    sent = [job.evolve(status=_S.SUBMITTING, attempt=1) for job in jobs]
    made = [
        Change(
            job.to(_S.PROCESSING, handle=Handle(id=f"h é {job.id}")),
            job,
            [Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": f"h é {job.id}"}})],
            power_safe=True,
        )
        for job in sent
    ]
    storage.save(made)


def finish(storage: JSONStorage) -> None:
    job = next(storage.jobs(1)).evolve(status=_S.PROCESSING)
    done = job.to(_S.COLLECTING, result=JobResult(text="ação"), cost=0.5)
    storage.save([Change(done, job, result=True)])


OPERATIONS: tuple[Callable[[JSONStorage], object], ...] = (
    submit,
    accept,
    finish,
    lambda s: s.add(1, [new("x"), new("y")], NOW),
    lambda s: s.set_control(1, Control.PAUSED, "no credit", Entry("batch_paused", NOW)),
    lambda s: s.steer(list(s.jobs(1))[2].to(_S.PAUSED, priority=3), _S.PENDING, None),
    lambda s: s.remove(3),
    lambda s: s.request_cancel(2, NOW),
    lambda s: s.open_batch("another", NOW),
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_line_that_ends_anywhere(path: Path, operation: Callable[[JSONStorage], object]) -> None:
    with closing(JSONStorage(path)) as storage:
        begin(storage, *"abc")
        before, size = facts(storage), path.stat().st_size
        operation(storage)
        after, content = facts(storage), path.read_bytes()
    assert before != after
    for end in range(size, len(content)):
        path.write_bytes(content[:end])
        assert read(path) == before
        # What was cut off does not stand in the way of what follows.
        with closing(JSONStorage(path)) as storage:
            operation(storage)
            assert facts(storage)["b"] == after["b"]
            assert set(facts(storage)) == set(after)
    path.write_bytes(content)
    assert read(path) == after


def test_a_file_that_ends_anywhere(path: Path) -> None:
    """No earlier line is ever lost with a later one."""
    states: list[tuple[int, Facts]] = []
    with closing(JSONStorage(path)) as storage:
        states.append((path.stat().st_size, {}))
        begin(storage, *"abc")
        for operation in OPERATIONS:
            states.append((path.stat().st_size, facts(storage)))
            operation(storage)
        states.append((path.stat().st_size, facts(storage)))
    content = path.read_bytes()
    for end in range(states[1][0], len(content) + 1, 5):
        path.write_bytes(content[:end])
        known = [found for size, found in states if size <= end]
        assert read(path) == known[-1]


# -- a fresh file ------------------------------------------------------------------------------


@contextmanager
def at_every_line(modules: tuple[Any, ...], look: Callable[[], None]) -> Iterator[None]:
    """Calls *look* before each line of these modules that is run meanwhile."""
    files = {module.__file__ for module in modules}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            look()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("new_file", [False, True], ids=["compaction", "creation"])
def test_a_fresh_file_that_is_abandoned_at_any_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_file: bool
) -> None:
    """What lies in the folder at each line of the code is what a death there leaves."""
    place = tmp_path / "place"
    place.mkdir()
    path, left = place / "session.json", list[Path]()

    def look() -> None:
        left.append(tmp_path / f"left {len(left)}")
        shutil.copytree(place, left[-1])

    if not new_file:
        with closing(JSONStorage(path)) as storage:
            begin(storage, *"abc")
            before = facts(storage)
        monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))
        with closing(JSONStorage(path)) as storage:
            with at_every_line((_json_log, _json_io), look):
                storage.remove(10**6)
            assert path.read_bytes() != (left[0] / "session.json").read_bytes()
    else:
        before = {}
        with at_every_line((_json_log, _json_io), look):
            JSONStorage(path).close()
    assert len(left) > 30
    for folder in left:
        assert read(folder / "session.json") == before
        with closing(JSONStorage(folder / "session.json")) as storage:
            storage.open_batch("one more", NOW)
        assert "one more" in read(folder / "session.json")


# -- a process that is killed ------------------------------------------------------------------

WRITER = """
import itertools, sys
from batchkit import GenerateVideo, JobStatus as S
from batchkit._requests import dump_request
from batchkit.storage import Change, Entry, JSONStorage, NewJob, json_file
json_file._GROWTH = 20_000
storage = JSONStorage(sys.argv[1])
batch = storage.open_batch("b", 1.0).id
epoch = storage.acquire(batch)
begin = sum(storage.counts(batch).values())
for turn in itertools.count(begin):
    made = [GenerateVideo(prompt=f"{turn} {n}") for n in range(20)]
    new = [NewJob(identity=r.prompt, request=r, stored=dump_request(r)) for r in made]
    storage.add(batch, new, 1.0)
    jobs = storage.claim(batch, epoch, 20, 1.0)
    sent = [job.to(S.SUBMITTING, attempt=job.attempt + 1) for job in jobs]
    storage.save(
        [Change(a, b, [Entry("submitting", 1.0, b.id, a.attempt)]) for a, b in zip(sent, jobs)]
    )
    print(turn, len(sent), flush=True)
    storage.save([Change(job.to(S.FAILED, cost=0.5), job) for job in sent])
"""


def test_killed_in_the_middle_of_saves(path: Path) -> None:
    """Over and over, on one file that is compacted every few turns meanwhile."""
    told = 0
    for life in range(6):
        with start(WRITER, path) as process:
            for _ in range(3 + 2 * life):
                told += int(word(process).split()[1])
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with closing(JSONStorage(path)) as storage:
            batch = storage.open_batch("b", NOW).id
            recount = count_by_status(storage.jobs(batch))
            assert dict(storage.counts(batch)) == recount
            lines = len(storage.journal(batch, limit=10**6))
            assert lines == sum(job.attempt for job in storage.jobs(batch)) >= told
            told = lines
            epoch = storage.acquire(batch)
            for job in storage.in_flight(batch, epoch):
                storage.save([Change(job.to(_S.FAILED, cost=0.5), job)])
            assert storage.cost(batch) == 0.5 * storage.counts(batch)[_S.FAILED]
