"""The jobs with batchkit: a client with ``submit`` and ``poll``, a batch in SQLite."""

from __future__ import annotations

from _work import HTTP, INTERVAL, Callback, Task, report, task

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    GenerateVideo,
    Handle,
    Job,
    JobStatus,
    Output,
    PollPolicy,
    RemoteState,
    RemoteStatus,
)


class Clips:
    """The plain HTTP of the provider, as a client."""

    def __init__(self, told: Task) -> None:
        self._http, self._url = HTTP(told), told.url
        self.capabilities = Capabilities(idempotency="replay" if told.keys else "none")

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id=self._http.submit(_prompt(job), job.submit_key)))

    def poll(self, handle: Handle) -> RemoteStatus:
        status = self._http.status(handle.id)
        state = RemoteState(status["state"])
        if state is not RemoteState.SUCCEEDED:
            return RemoteStatus(state=state)
        output = Output(url=self._url + status["output"]["url"])
        return RemoteStatus(state=state, finished=Finished(outputs=(output,)))


def _prompt(job: Job) -> str:
    assert isinstance(job.request, GenerateVideo)
    return job.request.prompt


def main(told: Task) -> None:
    with BatchRunner(
        Clips(told),
        storage=told.folder / "batch.db",
        max_concurrent=told.concurrency,
        delay=0.0,
        poll=PollPolicy.fixed(INTERVAL),
    ) as runner:
        runner.on()(Callback(raises=told.raises))
        runner.add_many(told.prompts)
        runner.run()
        held = runner.jobs({JobStatus.UNCERTAIN})
        report(map(_prompt, runner.results()), held=map(_prompt, held))


if __name__ == "__main__":
    main(task())
