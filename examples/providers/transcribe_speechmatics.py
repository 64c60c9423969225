"""Transcribes recordings with Speechmatics: texts and subtitles, into ``transcripts/``.

A submission whose answer is lost is found again by the key that batchkit sends with it.

    export SPEECHMATICS_API_KEY=...
    python examples/providers/transcribe_speechmatics.py examples/media

Each recording is paid for. The same command again goes on where it stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import sys

from batchkit import BatchRunner, UsageError
from batchkit.clients import load


def main() -> int:
    parser = argparse.ArgumentParser(description="Transcribes recordings with Speechmatics.")
    parser.add_argument("paths", nargs="+", help="files, folders and patterns")
    parser.add_argument("--language", default="auto", help="as pt or en")
    parser.add_argument("--model", default="enhanced")
    parser.add_argument("--base-url", help="of a gateway, or of a server for tests")
    asked = parser.parse_args()
    try:
        client = load("speechmatics", base_url=asked.base_url)
    except UsageError as exc:
        # Above all: there is no key.
        parser.error(str(exc))
    with BatchRunner(
        client, storage="speechmatics.db", output="transcripts", max_concurrent=3
    ) as runner:
        # Everything in params goes to the provider as it is written here.
        params = {"transcription_config": {"diarization": "speaker"}}
        runner.add_files(*asked.paths, language=asked.language, model=asked.model, params=params)
        summary = runner.run()
        for job in runner.results():
            print(f"{job.title}: {job.result and job.result.text}")
    print(summary.headline("en"))
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
