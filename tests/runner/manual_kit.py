"""A provider whose jobs end when the test says so."""

from __future__ import annotations

import threading

from batchkit import (
    Accepted,
    Capabilities,
    Finished,
    Handle,
    Job,
    PollPolicy,
    RemoteState,
    RemoteStatus,
)


class Manual:
    """A provider whose jobs end when the test says so."""

    capabilities = Capabilities(inline=True, cancel="running")

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.polled = threading.Event()
        self.finish = threading.Event()
        self.canceled: list[str] = []

    def submit(self, job: Job) -> Accepted:
        self.submitted.append(job.title)
        return Accepted(handle=Handle(id=job.title))

    def poll(self, handle: Handle) -> RemoteStatus:
        self.polled.set()
        if handle.id in self.canceled:
            return RemoteStatus(state=RemoteState.CANCELED)
        done = self.finish.is_set()
        state = RemoteState.SUCCEEDED if done else RemoteState.RUNNING
        return RemoteStatus(state=state, finished=Finished() if done else None)

    def cancel(self, handle: Handle) -> bool:
        self.canceled.append(handle.id)
        return True


FAST = {"poll": PollPolicy.fixed(0.02), "clock": None}
