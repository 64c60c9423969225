"""A client for a job API: submit, poll, download.

The API is a small server in this very script, so that it runs anywhere:

    python examples/02_own_api.py

Stop it with Ctrl-C and run it again: jobs in flight are taken up. (The server forgets its jobs when
the script ends, as no real one does; after two minutes such jobs are given up.)
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx

from batchkit import (
    Accepted,
    AuthenticationError,
    BatchRunner,
    Capabilities,
    ErrorKind,
    Finished,
    Handle,
    Job,
    JobError,
    NotFoundError,
    Output,
    PollPolicy,
    RateLimitedError,
    RejectedError,
    RemoteState,
    RemoteStatus,
    parse_retry_after,
)

STATES = {"done": RemoteState.SUCCEEDED, "error": RemoteState.FAILED}


class VideoAPI:
    """What you would write for your provider."""

    capabilities = Capabilities()

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def submit(self, job: Job) -> Accepted:
        answer = checked(self.http.post("/jobs", json={"prompt": job.title}))
        return Accepted(handle=Handle(id=answer["id"]))

    def poll(self, handle: Handle) -> RemoteStatus:
        answer = checked(self.http.get(f"/jobs/{handle.id}"))
        # A word that nobody knows means that the job still runs.
        state = STATES.get(answer["state"], RemoteState.RUNNING)
        if state is RemoteState.SUCCEEDED:
            video = Output(ref=answer["video"], media_type="video/mp4")
            return RemoteStatus(state=state, finished=Finished(outputs=(video,)), cost=0.1)
        if state is RemoteState.FAILED:
            error = JobError(kind=ErrorKind.PROVIDER, message=answer["reason"])
            return RemoteStatus(state=state, error=error)
        return RemoteStatus(state=state, progress=answer.get("progress"))

    def fetch(self, job: Job, output: Output) -> bytes:
        return self.http.get(output.ref or "").raise_for_status().content


def checked(answer: httpx.Response) -> Any:
    """Says what a refusal proves; whatever else comes proves nothing."""
    status = answer.status_code
    if status in (401, 403):
        raise AuthenticationError(f"the API answered {status}", code=str(status))
    if status == 429:
        wait = parse_retry_after(answer.headers, time.time())
        raise RateLimitedError("too many requests", code="429", retry_after=wait)
    if status == 422:
        raise RejectedError(answer.text, code="422")
    if status == 404:
        raise NotFoundError("no such job", code="404")
    answer.raise_for_status()
    return answer.json()


class Server(BaseHTTPRequestHandler):
    """The other side: takes a job, works on it for three looks, delivers."""

    looks: ClassVar[dict[str, int]] = {}
    prompts: ClassVar[dict[str, str]] = {}
    refused: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        if "proibido" in prompt:
            self.answer(422, b"this prompt is not allowed")
        elif not self.refused:
            self.refused.append(prompt)
            self.answer(429, b"", {"Retry-After": "1"})
        else:
            number = str(len(self.prompts) + 1)
            self.prompts[number] = prompt
            self.answer(200, json.dumps({"id": number}).encode())

    def do_GET(self) -> None:
        kind, number = self.path.strip("/").split("/")
        if number not in self.prompts:
            self.answer(404, b"")
        elif kind == "videos":
            self.answer(200, f"a video of {self.prompts[number]}".encode())
        else:
            self.answer(200, json.dumps(self.state(number)).encode())

    def state(self, number: str) -> dict[str, Any]:
        self.looks[number] = looks = self.looks.get(number, 0) + 1
        if looks < 3:
            return {"state": "running", "progress": looks / 3}
        return {"state": "done", "video": f"/videos/{number}"}

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Not on the screen."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with (
        httpx.Client(base_url=url, timeout=30, trust_env=False) as http,
        BatchRunner(
            VideoAPI(http),
            storage="own_api.db",
            output="own_api",
            delay=0,
            poll=PollPolicy.fixed(0.2),
        ) as runner,
    ):
        runner.add_many(["um gato", "um trem", "algo proibido", "um robô"])
        summary = runner.run()
        for job in runner.jobs():
            print(job, runner.why(job))
    server.shutdown()
    server.server_close()
    print(summary.headline("en"), "- cost:", summary.progress.cost)


if __name__ == "__main__":
    main()
