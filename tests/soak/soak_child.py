"""The program that is killed: runs a batch against a fake server until nothing is left to do."""

from __future__ import annotations

import json
import sys
from typing import Any

from batchkit import BatchRunner, Exponential, PollPolicy, RetryPolicy
from batchkit.testing import HTTPFakeClient, RudeHTTPFakeClient

#: Seconds; shorter than the server's slow answers take.
TIMEOUT = 1.0


def make_client(options: dict[str, Any]) -> HTTPFakeClient:
    """A client that behaves well, unless the soak wants to see that it finds the other kind."""
    url, keys, rudeness = options["url"], options["keys"], options["rudeness"]
    if rudeness:
        return RudeHTTPFakeClient(url, rudeness, keys=keys, timeout=TIMEOUT)
    return HTTPFakeClient(url, keys=keys, timeout=TIMEOUT)


def make_runner(options: dict[str, Any]) -> BatchRunner:
    """The same batch again after every death."""
    return BatchRunner(
        make_client(options),
        storage=options["storage"],
        executor=options.get("executor"),
        output=options["output"],
        max_concurrent=int(options["concurrent"]),
        delay=0,
        request_timeout=2.0,
        poll=PollPolicy(first=0.2, factor=1.3, cap=1.0),
        retry=RetryPolicy(max_retries=8, how_long=Exponential(base=0.5, cap=4.0)),
    )


def main() -> None:
    options: dict[str, Any] = json.loads(sys.argv[1])
    runner = make_runner(options)
    runner.add_many(f"item {number:05d}" for number in range(int(options["jobs"])))
    print("running", flush=True)
    # A key that is refused pauses the batch; the next run tries it again.
    while (summary := runner.run()).paused:
        pass
    print(summary.headline("en"), flush=True)
    runner.close()


if __name__ == "__main__":
    main()
