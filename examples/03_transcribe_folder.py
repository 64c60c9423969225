"""Transcribes a folder of recordings on this machine, free and offline.

Needs the extra ``demo``; a second run finds that there is nothing left to do:

    python -m pip install ".[demo]"
    python examples/03_transcribe_folder.py examples/media
"""

from __future__ import annotations

import sys
from pathlib import Path

from batchkit import BatchRunner, JobCompleted, JobFailed
from batchkit.clients.whisper import FasterWhisperClient


def main(folder: str) -> int:
    with BatchRunner(
        FasterWhisperClient(), storage="transcripts.db", output="transcripts", max_concurrent=2
    ) as runner:

        @runner.on(JobCompleted)
        def done(event: JobCompleted) -> None:
            print("done:", event.job.title)

        @runner.on(JobFailed)
        def failed(event: JobFailed) -> None:
            print("failed:", event.job.title, event.job.error and event.job.error.message)

        runner.add_files(folder, language="en")
        summary = runner.run()
        for job in runner.results():
            print(f"{job.title}: {job.result and job.result.text}")
    print(summary.headline("en"))
    return int(summary.exit_code)


if __name__ == "__main__":
    media = Path(__file__).with_name("media")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(media)))
