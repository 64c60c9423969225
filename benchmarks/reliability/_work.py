"""What every program here shares: its words, the HTTP of the provider, and how it can die."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import httpx

#: Seconds between status queries, for every tool.
INTERVAL = 0.2
#: The exit code of a death that was asked for.
DIED = 9


@attrs.frozen
class Task:
    """What a program was told.

    Attributes:
        url: of the provider.
        folder: where it keeps what has to survive; the same in every run.
        prompts: one for each job; the same in every run.
        concurrency: jobs at once.
        die: items at whose acceptance the process dies, once each.
        keys: send an ``Idempotency-Key`` that is the same in every run.
        raises: the callback raises at its third call.
        attempts: of a whole job, where the tool repeats it.
    """

    url: str
    folder: Path
    prompts: tuple[str, ...]
    concurrency: int
    die: frozenset[str]
    keys: bool
    raises: bool
    attempts: int


def task() -> Task:
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("told", help="the task as JSON")
    told = json.loads(parser.parse_args().told)
    return Task(
        url=told["url"],
        folder=Path(told["folder"]),
        prompts=tuple(told["prompts"]),
        concurrency=told["concurrency"],
        die=frozenset(told["die"]),
        keys=told["keys"],
        raises=told["raises"],
        attempts=told["attempts"],
    )


def report(done: Iterable[str], *, held: Iterable[str] = (), aborted: str = "") -> None:
    """Prints which prompts have a result, and which wait for a person."""
    items = sorted(map(item_of, done)), sorted(map(item_of, held))
    print(json.dumps({"done": items[0], "held": items[1], "aborted": aborted}))


def item_of(prompt: str) -> str:
    """The name under which the ledger knows a prompt."""
    return prompt.partition(" [")[0]


class Callback:
    """Counts its calls; raises at the third if asked."""

    def __init__(self, *, raises: bool) -> None:
        self._raises, self._calls = raises, 0

    def __call__(self, *_: Any) -> None:
        self._calls += 1
        if self._raises and self._calls == 3:
            raise RuntimeError("the callback raises")


class HTTP:
    """The provider's interface in plain httpx: one POST, and status queries. Thread-safe."""

    def __init__(self, task: Task) -> None:
        self._task = task
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.Client(base_url=task.url, timeout=30.0, limits=limits, trust_env=False)

    def submit(self, prompt: str, key: str = "") -> str:
        """Submits once; the id of the job."""
        answer = self._http.post("/jobs", **submission(self._task, prompt, key))
        answer.raise_for_status()
        die_once(self._task, prompt)
        return str(answer.json()["id"])

    def status(self, job: str) -> dict[str, Any]:
        """One status query."""
        answer = self._http.get(f"/jobs/{job}")
        answer.raise_for_status()
        return dict(answer.json())

    def wait(self, job: str) -> str:
        """Asks until the job ended; where its result is."""
        while (url := url_of(self.status(job))) is None:
            time.sleep(INTERVAL)
        return url

    def whole(self, prompt: str) -> str:
        """The whole job as one function."""
        return self.wait(self.submit(prompt))


def submission(task: Task, prompt: str, key: str = "") -> dict[str, Any]:
    """The arguments of the POST; a key is made of the prompt unless one is given."""
    headers = {"idempotency-key": key or item_of(prompt)} if task.keys else {}
    return {"json": {"prompt": prompt}, "headers": headers}


def url_of(status: dict[str, Any]) -> str | None:
    """Where the result is; ``None`` while the job runs.

    Raises:
        RuntimeError: the job failed.
    """
    if status["state"] in ("queued", "running"):
        return None
    if status["state"] != "succeeded":
        raise RuntimeError(f"the job ended as {status['state']}")
    return str(status["output"]["url"])


def die_once(task: Task, prompt: str) -> None:
    """Ends the process with no clean-up, the first time that the item is accepted."""
    item = item_of(prompt)
    if item not in task.die:
        return
    try:
        (task.folder / f"died-{item}").touch(exist_ok=False)
    except FileExistsError:
        return
    os._exit(DIED)
