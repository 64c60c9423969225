"""The JSON storage holds the contract, alone and with a second process at its side."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from hypothesis import settings
from json_help import facts
from sqlite_help import NOW, begin
from test_storage_agreement import Agreement

from batchkit import Handle, JobResult, JobStatus, UsageError
from batchkit._config import Durability
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


LITERAL = """\
{"sum":"db30f35b","batchkit":"session","version":1,"last":{"job":0,"batch":0}}
{"sum":"95912c75","batches":[{"id":1,"uid":"u","name":"b","client_ref":"","config":"{}",\
"control":"running","control_reason":"","max_concurrent":3,"created":1.0,"started":null,\
"epoch":0,"next_index":0}]}
{"sum":"25a11291","jobs":[{"id":1,"batch":1,"request":["generate",{"prompt":"ação"}],\
"index":0,"identity":"i","created":1.0}]}
{"sum":"e8b5ffb3","jobs":[{"id":1,"status":"processing","attempt":1,"handle":{"id":"h"}}],\
"journal":[{"batch":1,"kind":"submitted","at":2.0,"job":1,"attempt":1,\
"data":{"handle":{"id":"h"}}}],"seq":1}
"""


def test_a_file_that_this_version_wrote(path: Path) -> None:
    path.write_text(LITERAL, "utf-8")
    with closing(JSONStorage(path)) as storage:
        [job] = storage.jobs(1)
        assert (job.title, job.status, job.handle) == ("ação", _S.PROCESSING, Handle(id="h"))
        assert storage.evidence(1, 1) == Handle(id="h")
        assert storage.counts(1) == {_S.PROCESSING: 1}
