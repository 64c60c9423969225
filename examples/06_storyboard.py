"""Renders prompts as animated title cards: what a batch will ask for, before anything is paid.

Needs the extra ``storyboard`` (``demo`` contains it):

    python -m pip install ".[demo]"
    python examples/06_storyboard.py
"""

from __future__ import annotations

import sys

from batchkit import BatchRunner
from batchkit.clients.storyboard import StoryboardClient

SCENES: list[dict[str, object]] = [
    {"prompt": "Um gato surfando ao pôr do sol", "duration": 1.5, "seed": 7},
    {"prompt": "Uma cidade à noite, vista de um trem", "duration": 1.5, "aspect_ratio": "9:16"},
    {"prompt": "Um robô rega as plantas", "duration": 1.5},
]


def main() -> int:
    # The class, not an object: the run makes a client, and closes it at its end.
    with BatchRunner(StoryboardClient, storage="storyboard.db", output="storyboard") as runner:
        runner.add_many(SCENES)
        summary = runner.run()
        for job in runner.results():
            print(job.title, "->", job.result and job.result.path)
    print(summary.headline("en"))
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
