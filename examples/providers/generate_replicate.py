"""Generates videos with Replicate: one per prompt, into ``videos/``.

Any model of Replicate; ``params`` are the inputs that its page lists. Results are deleted after
one hour, so they are collected at once.

    export REPLICATE_API_TOKEN=...
    python examples/providers/generate_replicate.py "um gato surfando" "um trem na neve"

Each prompt is paid for. The same command again goes on where it stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import sys

from batchkit import BatchRunner, UsageError
from batchkit.clients import load


def main() -> int:
    parser = argparse.ArgumentParser(description="Generates videos with Replicate.")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--model", default="kwaivgi/kling-v2.1")
    parser.add_argument("--base-url", help="of a gateway, or of a server for tests")
    asked = parser.parse_args()
    try:
        client = load("replicate", base_url=asked.base_url)
    except UsageError as exc:
        # Above all: there is no key.
        parser.error(str(exc))
    near = (asked.base_url or "").startswith("http://127.")
    with BatchRunner(
        client,
        storage="replicate.db",
        output="videos",
        max_concurrent=3,
        allow_private_downloads=near,  # results of a server on this machine
    ) as runner:
        # Everything in params goes to the model as it is written here.
        runner.add_many(asked.prompts, model=asked.model, params={"duration": 5})
        summary = runner.run()
        for job in runner.jobs():
            print(job.status, job.title, job.error.message if job.error else "")
    print(summary.headline("en"), "- cost:", summary.progress.cost)
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
