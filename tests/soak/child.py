"""The program that is killed: runs a batch against a fake server until nothing is left to do."""

from __future__ import annotations

import json
import sys

from batchkit import BatchRunner, PollPolicy, RetryPolicy
from batchkit.testing import HTTPFakeClient


def make_runner(options: dict[str, str]) -> BatchRunner:
    """The same batch again after every death."""
    client = HTTPFakeClient(options["url"], keys=options["keys"], timeout=1.0)  # type: ignore[arg-type]
    return BatchRunner(
        client,
        storage=options["storage"],
        executor=options.get("executor"),
        output=options["output"],
        max_concurrent=int(options["concurrent"]),
        delay=0,
        request_timeout=2.0,
        poll=PollPolicy(first=0.2, factor=1.3, cap=1.0),
        retry=RetryPolicy(max_retries=6),
    )


def main() -> None:
    options: dict[str, str] = json.loads(sys.argv[1])
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
