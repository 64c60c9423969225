"""Never executed: uses the library as its users do, for mypy and pyright to read."""

from __future__ import annotations

from collections.abc import Iterable

from batchkit import (
    Accepted,
    Added,
    BatchHandle,
    BatchRunner,
    Capabilities,
    Event,
    Finished,
    GenerateVideo,
    Handle,
    Job,
    JobCompleted,
    JobResult,
    Output,
    PollPolicy,
    Progress,
    RemoteState,
    RemoteStatus,
    Request,
    RetryPolicy,
    Summary,
    run,
)
from batchkit.executors import ThreadsExecutor
from batchkit.storage import MemoryStorage, SQLiteStorage


class SyncClient:
    capabilities = Capabilities(cancel="running", min_poll_seconds=5)

    def submit(self, job: Job) -> Accepted | Finished:
        return Accepted(handle=Handle(id=str(job.id), data={"url": "https://example.org"}))

    def poll(self, handle: Handle) -> RemoteStatus:
        done = Finished(outputs=(Output(url="https://example.org/v.mp4"),))
        return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done)

    def cancel(self, handle: Handle) -> bool:
        return True

    def fetch(self, job: Job, output: Output) -> Iterable[bytes]:
        yield b""


class AsyncClient:
    async def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id="1"))

    async def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.RUNNING, progress=0.5)


def function(request: Request) -> str:
    return request.title


async def coroutine(request: Request) -> bytes:
    return request.title.encode()


def build() -> BatchRunner:
    runner = BatchRunner(
        SyncClient(),
        name="night",
        storage=SQLiteStorage("batch.db", durability="full"),
        executor=ThreadsExecutor(threads=4),
        max_concurrent=5,
        rate_limit="30/min",
        retry=RetryPolicy(max_retries=5),
        poll=PollPolicy.fixed(5),
        output="videos/",
    )
    added: Added = runner.add_text("a\nb", language="en")
    job: Job = runner.add(GenerateVideo(prompt="c"), priority=added.new, on_done=print)
    runner.hold(job)
    runner.release(job.id)
    return runner


def watch(runner: BatchRunner) -> None:
    @runner.on(JobCompleted)
    def show(event: JobCompleted) -> None:
        result: JobResult | None = event.job.result
        print(result.path if result else None)

    @runner.on()
    async def log(event: Event) -> None:
        print(event.kind, event.seq)


async def drive(runner: BatchRunner) -> Summary:
    handle: BatchHandle = runner.start(limit=3)
    handle.pause()
    handle.resume()
    progress: Progress = handle.progress()
    print(progress.percentage, progress.remaining)
    async for event in handle.events(since=0):
        print(event.at)
    await handle.wait()
    runner.max_concurrent = 10
    return await runner.run_async()


def one_line() -> Summary:
    run(coroutine, ["a", GenerateVideo(prompt="b"), {"prompt": "c", "duration": 5}])
    return run(function, ["a"], storage=MemoryStorage(), delay=0, stop_on_error=True)
