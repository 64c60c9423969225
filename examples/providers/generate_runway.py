"""Generates videos with Runway: one per prompt, into ``videos/``.

What a video cost is told in Runway's credits.

    export RUNWAYML_API_SECRET=...
    python examples/providers/generate_runway.py "um gato surfando" "um trem na neve"

Each prompt is paid for. The same command again goes on where it stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import sys

from batchkit import BatchRunner, UsageError
from batchkit.clients import load


def main() -> int:
    parser = argparse.ArgumentParser(description="Generates videos with Runway.")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--model", default="gen4.5")
    parser.add_argument("--base-url", help="of a gateway, or of a server for tests")
    asked = parser.parse_args()
    try:
        client = load("runway", base_url=asked.base_url)
    except UsageError as exc:
        # Above all: there is no key.
        parser.error(str(exc))
    near = (asked.base_url or "").startswith("http://127.")
    with BatchRunner(
        client,
        storage="runway.db",
        output="videos",
        max_concurrent=3,
        allow_private_downloads=near,  # results of a server on this machine
    ) as runner:
        # Everything in params goes to the model as it is written here.
        runner.add_many(
            asked.prompts, model=asked.model, params={"duration": 5, "ratio": "1280:720"}
        )
        summary = runner.run()
        for job in runner.jobs():
            print(job.status, job.title, job.error.message if job.error else "")
    print(summary.headline("en"), "- cost:", summary.progress.cost)
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
