"""Generates videos with fal: one per prompt, into ``videos/``.

``--model`` is any video model of fal's queue, and ``params`` are the arguments that its page lists.

    export FAL_KEY=...
    python examples/providers/generate_fal.py "um gato surfando" "um trem na neve"

Each prompt is paid for. The same command again goes on where it stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import sys

from batchkit import BatchRunner, UsageError
from batchkit.clients import load


def main() -> int:
    parser = argparse.ArgumentParser(description="Generates videos with fal.")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--model", default="fal-ai/veo3.1/fast", help="the whole endpoint")
    parser.add_argument("--base-url", help="of a gateway, or of a server for tests")
    asked = parser.parse_args()
    try:
        client = load("fal", base_url=asked.base_url)
    except UsageError as exc:
        # Above all: there is no key.
        parser.error(str(exc))
    near = (asked.base_url or "").startswith("http://127.")
    with BatchRunner(
        client,
        storage="fal.db",
        output="videos",
        max_concurrent=3,
        allow_private_downloads=near,  # results of a server on this machine
    ) as runner:
        # Everything in params goes to the model as it is written here.
        runner.add_many(
            asked.prompts, model=asked.model, params={"duration": "8s", "resolution": "1080p"}
        )
        summary = runner.run()
        for job in runner.jobs():
            print(job.status, job.title, job.error.message if job.error else "")
    print(summary.headline("en"), "- cost:", summary.progress.cost)
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
