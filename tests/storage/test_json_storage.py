"""The JSON storage holds the contract, alone and with a second process at its side."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from hypothesis import settings
from json_help import facts, read
from sqlite_help import NOW, accepted, begin, new
from test_storage_agreement import Agreement

from batchkit import Handle, JobResult, JobStatus, StorageLockedError, UsageError
from batchkit._config import Durability
from batchkit._events import JobSubmitted
from batchkit.storage import Change, Entry, JSONStorage, Storage, json_file, open_storage
from batchkit.storage._json_log import VERSION, seal, sum_of
from batchkit.testing import check_storage

_S = JobStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


@pytest.fixture
def storage(path: Path) -> Iterator[JSONStorage]:
    with closing(JSONStorage(path)) as made:
        yield made


@pytest.fixture
def always_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# -- the contract ------------------------------------------------------------------------------


def makers(folder: Path, **options: Any) -> tuple[Callable[[], Storage], Any]:
    numbers = itertools.count()

    def reopen(storage: Storage) -> Storage:
        storage.close()
        return JSONStorage(storage.location, **options)

    return lambda: JSONStorage(folder / f"{next(numbers)}.json", **options), reopen


@pytest.mark.parametrize("durability", get_args(Durability))
def test_the_contract(tmp_path: Path, durability: Durability) -> None:
    check_storage(*makers(tmp_path, durability=durability))


@pytest.mark.usefixtures("always_compacted")
def test_the_contract_with_a_fresh_file_for_every_change(tmp_path: Path) -> None:
    check_storage(*makers(tmp_path))


class TwoProcesses:
    """Two storages on one file, as two processes have them: each call goes to the next one.

    What only a runner does goes to the first.
    """

    def __init__(self, path: Path) -> None:
        self._both = (JSONStorage(path), JSONStorage(path))
        self._turn = 0

    def __getattr__(self, name: str) -> Any:
        self._turn = 0 if name in ("acquire", "release") else 1 - self._turn
        return getattr(self._both[self._turn], name)

    def close(self) -> None:
        for storage in self._both:
            storage.close()


class JSONAgreement(Agreement):
    def other(self, folder: Path) -> Storage:
        return cast("Storage", TwoProcesses(folder / "session.json"))


JSONAgreement.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("growth", [1 << 20, 500], ids=["one file", "many fresh files"])
def test_agreement_with_memory(monkeypatch: pytest.MonkeyPatch, growth: int) -> None:
    monkeypatch.setattr(json_file, "_GROWTH", growth)
    JSONAgreement.TestCase("runTest").runTest()


# -- the file ----------------------------------------------------------------------------------


def test_the_file_is_readable(storage: JSONStorage, path: Path) -> None:
    _, _, [job] = begin(storage, "a cat")
    sent = job.to(_S.SUBMITTING, attempt=1)
    storage.save([Change(sent, job, [Entry("submitting", NOW, job.id, 1)])])
    found = lines(path)
    assert (found[0]["batchkit"], found[0]["version"]) == ("session", 1)
    [added] = next(line["jobs"] for line in found if "jobs" in line)
    assert (added["request"], added["identity"]) == (["generate", {"prompt": "a cat"}], "a cat")
    del found[-1]["sum"]
    assert found[-1] == {
        "jobs": [{"id": job.id, "status": "submitting", "attempt": 1}],
        "journal": [{"batch": 1, "kind": "submitting", "at": NOW, "job": job.id, "attempt": 1}],
        "seq": 1,
    }


def test_a_group_is_one_line(storage: JSONStorage, path: Path) -> None:
    _, _, jobs = begin(storage, *"abc")
    before = len(lines(path))
    storage.save([Change(job.to(_S.SUBMITTING), job) for job in jobs])
    assert len(lines(path)) == before + 1


def test_reading_writes_nothing(storage: JSONStorage, path: Path) -> None:
    batch, epoch, _ = begin(storage, "a")
    content = path.read_bytes()
    facts(storage)
    assert not storage.claim(batch, epoch, 5, NOW)
    assert not storage.remove(10**6)
    storage.changed()
    assert path.read_bytes() == content


def test_what_is_read_is_what_others_will_read(storage: JSONStorage, path: Path) -> None:
    """Not the objects of the host's program, which it may change afterwards."""
    _, _, [job] = begin(storage, "a")
    value = {"deep": [1], "tuple": (1, 2)}
    done = job.to(_S.COLLECTING, result=JobResult(value=value))
    storage.save([Change(done, job, result=True)])
    value["deep"].append(2)  # type: ignore[attr-defined]
    found = storage.result(job.id)
    assert found is not None
    assert found.value == {"deep": [1], "tuple": [1, 2]}
    with closing(JSONStorage(path)) as other:
        assert other.result(job.id) == found


def test_fields_of_a_request_that_this_program_does_not_know_stay(path: Path) -> None:
    """A newer version of the host's class wrote them; compaction by an older one keeps them."""
    with closing(JSONStorage(path)) as storage:
        begin(storage, "a")
        text = path.read_text("utf-8").replace('{"prompt":"a"}', '{"prompt":"a","mood":"glad"}')
    _rewrite(path, text)
    with closing(JSONStorage(path)) as storage:
        storage._file.replace({"last": {"job": 1, "batch": 1}}, storage._catch_up().snapshot())
    assert '"mood":"glad"' in path.read_text("utf-8")


def _rewrite(path: Path, text: str) -> None:
    """Puts changed lines into a file, with the checksums that they would have had."""
    made = [seal({"batchkit": "session", "version": VERSION, "last": {"job": 0, "batch": 0}})]
    for line in map(json.loads, text.splitlines()[1:]):
        del line["sum"]
        made.append(seal(line, sum_of(made[-1])))
    path.write_bytes(b"".join(made))


def test_suffixes(tmp_path: Path) -> None:
    for name, kind in [("a.json", JSONStorage), ("b.JSONL", JSONStorage)]:
        with closing(open_storage(tmp_path / name)) as storage:
            assert isinstance(storage, kind)
    with closing(open_storage(tmp_path / "c.db")) as storage:
        assert not isinstance(storage, JSONStorage)


def test_durability_that_does_not_exist(path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of off, normal, full"):
        JSONStorage(path, durability="some")  # type: ignore[arg-type]


# -- compaction --------------------------------------------------------------------------------


def test_the_file_does_not_grow_without_end(
    storage: JSONStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "_GROWTH", 2000)
    begin(storage, "a")
    for turn in range(500):
        storage.request_cancel(1, NOW + turn)
        storage.update_batch(1, config=json.dumps({"turn": turn}))
    before = facts(storage)
    assert path.stat().st_size < 10_000
    storage.close()
    assert read(path) == before


@pytest.mark.usefixtures("always_compacted")
def test_numbers_are_not_used_twice(path: Path) -> None:
    with closing(JSONStorage(path)) as storage:
        batch, _, [a, b] = begin(storage, "a", "b")
        storage.save([Change(a.to(_S.CANCELED, completed=NOW), a)])
        storage.remove(b.id)
        seq = storage.append(batch, [Entry("batch_paused", NOW)])
        storage.release(batch)
        assert storage.prune(NOW + 1) == 1
        storage.open_batch("into a fresh file, which holds no line of the journal", NOW)
    with closing(JSONStorage(path)) as storage:
        again, _, [job] = begin(storage, "a")
        assert again > batch
        assert job.id > b.id
        assert storage.append(again, [Entry("batch_paused", NOW)]) > seq


@pytest.mark.usefixtures("always_compacted")
def test_evidence_and_rescue_outlive_a_fresh_file(storage: JSONStorage, path: Path) -> None:
    batch, _, [a, b] = begin(storage, "a", "b")
    line = Entry(JobSubmitted.kind, NOW, a.id, 1, {"handle": {"id": "h1"}})
    storage.append(batch, [line])
    storage.rescue([accepted(b, Handle(id="h2", data={"url": "u\u2028v"}))])
    storage.release(batch)
    storage.acquire(batch)
    assert storage.evidence(a.id, 1) == Handle(id="h1")
    assert storage.evidence(b.id, 1) == Handle(id="h2", data={"url": "u\u2028v"})
    assert [file.name for file in path.parent.iterdir() if "rescue" in file.name] == []


def test_changed_does_not_tell_of_an_own_fresh_file(
    storage: JSONStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, [job] = begin(storage, "a")
    before = storage.changed()
    monkeypatch.setattr(json_file, "_GROWTH", -(1 << 40))
    storage.save([Change(job.to(_S.SUBMITTING), job)])
    assert storage.changed() == before


def test_a_link_stays_a_link(tmp_path: Path, always_compacted: None) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.json", tmp_path / "real" / "session.json"
    link.symlink_to(target)
    with closing(JSONStorage(link)) as storage, closing(JSONStorage(target)) as other:
        batch = storage.open_batch("b", NOW).id
        storage.add(batch, [new("a")], NOW)
        assert other.counts(batch) == {_S.PENDING: 1}
    assert link.is_symlink()


def test_the_permissions_stay(path: Path, always_compacted: None) -> None:
    with closing(JSONStorage(path)) as storage:
        path.chmod(0o640)
        begin(storage, "a")
    assert path.stat().st_mode & 0o777 == 0o640


# -- the loss of power -------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "usual"), [("off", 0), ("normal", 0), ("full", 1)])
def test_what_is_made_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, usual: int
) -> None:
    with closing(JSONStorage(path, durability=durability)) as storage:
        batch, _, [job] = begin(storage, "a")
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)

        def times(do: Callable[[], object]) -> int:
            synced.clear()
            do()
            return len(synced)

        sent = job.to(_S.SUBMITTING, attempt=1)
        evidence = Entry(JobSubmitted.kind, NOW, job.id, 1, {"handle": {"id": "h"}})
        assert times(lambda: storage.request_cancel(job.id, NOW)) == usual
        assert times(lambda: storage.save([Change(sent, job, power_safe=True)])) == 1
        assert times(lambda: storage.save([Change(sent.evolve(cost=1.0), sent)])) == usual
        assert times(lambda: storage.append(batch, [evidence])) == 1
        storage.release(batch)
        assert times(lambda: storage.acquire(batch)) == 1


@pytest.mark.usefixtures("always_compacted")
def test_a_fresh_file_is_safe_before_it_has_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        told.append("rename")
        return rename(self, target)

    def sync(number: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    with closing(JSONStorage(path)) as storage:
        assert told == ["file", "rename", "folder"]
        storage.open_batch("b", NOW)
        assert told[3:] == ["file", "rename", "folder"]


@pytest.mark.usefixtures("always_compacted")
def test_a_fresh_file_is_locked_when_it_gets_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another process writes to it before the change that it was made for."""
    rename, tried = Path.replace, list[Path]()

    def replace(self: Path, target: Path) -> Path:
        done = rename(self, target)
        monkeypatch.setattr(Path, "replace", rename)
        with pytest.raises(StorageLockedError):
            JSONStorage(path, timeout=0)
        tried.append(target)
        return done

    with closing(JSONStorage(path)) as storage:
        monkeypatch.setattr(Path, "replace", replace)
        storage.open_batch("b", NOW)
    assert tried == [path]
