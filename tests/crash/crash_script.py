"""A program as users write one, with a client that waits where a test wants it to.

``finish`` in the folder lets jobs end at the provider; with ``hold`` in it, a submission that the
provider has accepted is answered only when a line comes. Says what it does, one line each.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import anyio.to_thread
import attrs
from crash_provider import FileClient

from batchkit import Accepted, BatchRunner, Capabilities, Handle, Job, RemoteState
from batchkit.clients.base import RemoteStatus

PROMPTS = ("ant", "bee")
#: Asks for the next query at once, whatever the program's own pace is.
_SOON = 0.01
_RUNNING = RemoteStatus(state=RemoteState.RUNNING, poll_after=_SOON)


class WaitingClient(FileClient):
    """The provider of files, at the pace of a test."""

    capabilities = Capabilities(cancel="running", account="tests")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "ledger.jsonl")
        self._folder = folder
        self._said: set[str] = set()

    def say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            print(words, flush=True)

    def submit(self, job: Job) -> Accepted:
        answer = super().submit(job)
        self.say(f"submitted {job.title}")
        if (self._folder / "hold").exists():
            sys.stdin.readline()
        return attrs.evolve(answer, poll_after=_SOON)

    def poll(self, handle: Handle) -> RemoteStatus:
        self.say(f"polled {handle.id}")
        if not (self._folder / "finish").exists():
            return _RUNNING
        return attrs.evolve(super().poll(handle), poll_after=_SOON)


class AsyncWaitingClient(WaitingClient):
    """The same, awaited."""

    async def submit(self, job: Job) -> Accepted:  # type: ignore[override]
        return await anyio.to_thread.run_sync(super().submit, job, abandon_on_cancel=True)

    async def poll(self, handle: Handle) -> RemoteStatus:  # type: ignore[override]
        return super().poll(handle)


def make_runner(folder: Path, executor: str) -> BatchRunner:
    """The runner of the program; a notebook makes the same."""
    make = AsyncWaitingClient if executor in ("asyncio", "trio") else WaitingClient
    return BatchRunner(
        make(folder),
        # Looks up five times a second: a signal that comes just before a wait begins does not end
        # that wait.
        storage=folder / "batch.db",
        executor=executor,
        max_concurrent=1,
        delay=0,
        output=folder / "out",
    )


def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    folder, executor = Path(sys.argv[1]), sys.argv[2]
    with make_runner(folder, executor) as runner:
        runner.add_many(PROMPTS)
        summary = runner.run()
        print("ended", *(str(job.status) for job in runner.jobs()), flush=True)
    sys.exit(int(summary.exit_code))


if __name__ == "__main__":
    main()
