"""Runs of one batch in processes of their own, and a judgement by the provider's ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
from crash_provider import FileProvider

from batchkit.testing import content

SCENARIO = (
    "ant",
    "bee [blips]",
    "cat [busy]",
    "dog [flaky]",
    "elk [drop_after]",
    "fox [drop_before]",
    "gnu [fail]",
    "hen [reject]",
    "jay [limit]",
    "kiwi [expire]",
)
#: What the provider may bill: one job each, one more where it failed and said "again".
ALLOWED = {"dog": 2, "fox": 0, "hen": 0}
#: How a job ends when nothing dies; a death may also leave it uncertain.
ENDS = {"elk": "uncertain", "fox": "uncertain", "gnu": "failed", "hen": "failed", "kiwi": "expired"}
#: Storages in a file of their world, by the text that makes them; see ``crash_zygote``.
STORAGES = ("{folder}/batch.db", "{folder}/batch.jsonl", "encrypted {folder}/batch.db")

ZYGOTE = Path(__file__).with_name("crash_zygote.py")
#: Memory, where there is such a disk: syncing costs nothing there.
DISK = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@contextmanager
def some_disk() -> Iterator[Path]:
    """A folder for worlds, where syncing is cheap."""
    with tempfile.TemporaryDirectory(prefix="batchkit-crash-", dir=DISK) as made:
        yield Path(made)


class Zygote:
    """A process that forks a child for each run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ZYGOTE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)

    def _ask(self, **told: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))

    def start(self, order: dict[str, Any]) -> int:
        return self._ask(start=order)

    def wait(self, pid: int) -> int:
        return self._ask(wait=pid)

    def kill(self, pid: int) -> int:
        self._ask(kill=pid)
        return self.wait(pid)


@attrs.define(eq=False)
class World:
    """One batch, its provider and its folder; every run is another process.

    Attributes:
        zygote: who forks.
        executor, storage: of every run.
        folder: all that survives.
        prompts: the batch.
        runs: processes so far.
    """

    zygote: Zygote
    executor: str
    storage: str
    folder: Path
    prompts: Sequence[str] = SCENARIO
    runs: int = 0

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)

    @property
    def provider(self) -> FileProvider:
        return FileProvider(self.folder / "ledger.jsonl")

    def start(self, **order: Any) -> int:
        """Starts a run; the id of its process."""
        self.runs += 1
        return self.zygote.start(
            {
                "executor": self.executor,
                "storage": self.storage,
                "folder": str(self.folder),
                "prompts": list(self.prompts),
                "run": self.runs,
                **order,
            }
        )

    def run(self, **order: Any) -> int:
        """Runs until the process ends; its exit code."""
        return self.zygote.wait(self.start(**order))

    def report(self) -> dict[str, Any]:
        """What the last run told of itself."""
        found: dict[str, Any] = json.loads((self.folder / f"report-{self.runs}.json").read_text())
        return found

    # -- two processes that wait for each other --------------------------------------------

    def start_and_hold(self, point: str) -> int:
        """Starts a run and returns when it stands at *point*, where it waits for :meth:`go_on`."""
        os.mkfifo(self.folder / "go")
        os.mkfifo(self.folder / "there")
        pid = self.start(waits_at=point)
        (self.folder / "there").read_bytes()
        return pid

    def go_on(self) -> None:
        (self.folder / "go").write_text("")

    # -- judgement -------------------------------------------------------------------------

    def judge(self) -> Counter[str]:
        """What became of the batch, after a run that ended; counted."""
        tally, charges = Counter[str](), self.provider.charges()
        for title, status, handle in self.report()["jobs"]:
            item = title.partition(" [")[0]
            tally["held"] += status == "uncertain"
            tally["charges"] += charges[item]
            tally["double charges"] += max(0, charges[item] - ALLOWED.get(item, 1))
            tally["wrong ends"] += status not in (ENDS.get(item, "completed"), "uncertain")
            listed = status in ("completed", "failed", "expired", "canceled", "uncertain")
            tally["lost"] += charges[item] > 0 and not listed
            # A job that is at rest under one of its handles has not forgotten the others.
            known = handle is None or handle in self.provider.handles(item)
            tally["foreign handles"] += not known
            tally["broken files"] += status == "completed" and not self._whole(item)
        tally["lost"] += len(self.prompts) - len(self.report()["jobs"])
        return tally

    def _whole(self, item: str) -> bool:
        found = list((self.folder / "out").glob(f"*-{item}*.mp4"))
        return len(found) == 1 and found[0].read_bytes() == content(item)


#: What must never be counted.
NEVER = ("double charges", "wrong ends", "lost", "foreign handles", "broken files")


def never(tally: Counter[str], where: str) -> None:
    """Fails if something happened that never may."""
    broken = {what: tally[what] for what in NEVER if tally[what]}
    assert not broken, f"died at {where}: {broken}"
