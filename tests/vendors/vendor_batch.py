"""The program that is killed: runs a batch against a provider's fake until nothing is left."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from batchkit import BatchRunner, Exponential, PollPolicy, Request, RetryPolicy, TranscribeVideo
from batchkit.clients import load

KEY = "key-of-a-fake"
#: Seconds for one exchange; shorter than what hangs, or comes late, takes.
TIMEOUT = 1.0
#: Pauses for faults that look like an outage; each run ends one.
_MOST_RUNS = 20


def media_url(name: str) -> str:
    """An address that a provider is given; nobody asks it for anything."""
    return f"https://media.example/{name}"


def recording(files: str | None, name: str) -> TranscribeVideo:
    """Asks for what a recording says: an address, or a file in a folder. What is in the file is
    its item, as the fake servers of speech providers read it."""
    if files is None:
        return TranscribeVideo(source=media_url(name))
    path = Path(files, name)
    path.write_text(name, "utf-8")
    return TranscribeVideo(source=str(path))


def make_client(asked: Mapping[str, Any]) -> Any:
    """The provider's client, in more of a hurry than the real provider allows."""
    options = {"key": KEY, "base_url": asked["url"], "timeout": TIMEOUT, **asked["options"]}
    client = load(asked["vendor"], **options)
    client.capabilities = attrs.evolve(
        client.capabilities, min_poll_seconds=0.0, find_after_seconds=asked["find_after"]
    )
    return client


def make_runner(asked: Mapping[str, Any]) -> BatchRunner:
    """The same batch again after every death."""
    return BatchRunner(
        make_client(asked),
        storage=asked["storage"],
        output=asked["output"],
        max_concurrent=20,
        delay=0,
        request_timeout=2.0,
        allow_private_downloads=True,
        poll=PollPolicy(first=0.05, factor=1.3, cap=0.3),
        retry=RetryPolicy(max_retries=8, how_long=Exponential(base=0.05, cap=0.5)),
    )


def requests_of(asked: Mapping[str, Any]) -> list[str | Request]:
    """Every item of the batch."""
    names = [f"item {number:04d}" for number in range(int(asked["jobs"]))]
    if not asked["transcribes"]:
        return list(names)
    return [recording(asked["files"], f"{name.replace(' ', '-')}.wav") for name in names]


def main() -> None:
    asked: dict[str, Any] = json.loads(sys.argv[1])
    runner = make_runner(asked)
    runner.add_many(requests_of(asked))
    for _ in range(_MOST_RUNS):
        summary = runner.run()
        if not summary.paused:
            break
        runner.resume()
    runner.close()


if __name__ == "__main__":
    main()
