"""Generates videos with a gateway of OpenAI's /v1/videos: one per prompt, into ``videos/``.

LiteLLM and vLLM-Omni are such gateways. OpenAI itself has shut this API down.

    export OPENAI_VIDEOS_KEY=...
    python examples/providers/generate_gateway.py --base-url http://127.0.0.1:4000/v1 \
        "um gato surfando" "um trem na neve"

Each prompt is paid for. The same command again goes on where it stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import sys

from batchkit import BatchRunner, UsageError
from batchkit.clients import load


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Generates videos with a gateway of OpenAI's /v1/videos."
    )
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--model", default="sora-2", help="the gateway's own name for it")
    parser.add_argument("--base-url", required=True, help="of the gateway, up to and with /v1")
    asked = parser.parse_args()
    try:
        client = load("openai-videos", base_url=asked.base_url)
    except UsageError as exc:
        # Above all: there is no key.
        parser.error(str(exc))
    near = (asked.base_url or "").startswith("http://127.")
    with BatchRunner(
        client,
        storage="openai-videos.db",
        output="videos",
        max_concurrent=3,
        allow_private_downloads=near,  # results of a server on this machine
    ) as runner:
        # Everything in params goes to the model as it is written here.
        runner.add_many(
            asked.prompts, model=asked.model, params={"seconds": "8", "size": "1280x720"}
        )
        summary = runner.run()
        for job in runner.jobs():
            print(job.status, job.title, job.error.message if job.error else "")
    print(summary.headline("en"), "- cost:", summary.progress.cost)
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
