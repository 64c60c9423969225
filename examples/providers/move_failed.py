"""Moves the failed items of a batch to another provider, and runs them there.

    export OPENROUTER_API_KEY=...
    python examples/providers/move_failed.py --storage fal.db --to openrouter \
        --model google/veo-3.1 --params '{"duration": 8}'

Only what is over moves. What may have been paid for and may still be had (a download that failed,
a job that was given up too early, an uncertain submission) stays where it is: there, ``batchkit
retry-failed`` goes on with it without paying again. The same command again goes on where it
stopped, and pays nothing twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import attrs

from batchkit import BatchkitError, BatchRunner, ErrorKind, Job, JobStatus

OVER = (JobStatus.FAILED, JobStatus.EXPIRED)
MAY_STILL_COME = (
    ErrorKind.COLLECT,
    ErrorKind.DEADLINE,
    ErrorKind.NOT_FOUND,
    ErrorKind.UNCERTAIN,
)


def may_move(job: Job) -> bool:
    return (
        job.status is JobStatus.EXPIRED or job.error is None or job.error.kind not in MAY_STILL_COME
    )


def move(old: BatchRunner, new: BatchRunner, **changes: Any) -> int:
    """Adds the failed items of one batch to another one; how many."""
    moved = 0
    for job in list(old.jobs(OVER)):
        if not may_move(job):
            print(f"stays: {job.title}: {job.error and job.error.message}")
            continue
        # The key makes it the same item if this program dies here and is run again.
        request = attrs.evolve(job.request, **changes)
        new.add(request, key=f"{old.name}/{job.id}", metadata=job.metadata)
        # Given up there, so that no later retry pays for it a second time.
        old.cancel(job)
        moved += 1
    return moved


def main() -> int:
    parser = argparse.ArgumentParser(description="Moves failed items to another provider.")
    parser.add_argument("--storage", default="batchkit.db")
    parser.add_argument("--batch", help="its name, if there are several")
    parser.add_argument("--to", required=True, help="a provider's name, or module:factory")
    parser.add_argument("--model", help="the new provider's name for it")
    parser.add_argument("--params", type=json.loads, default={}, help="of the new model, as JSON")
    parser.add_argument("--output", default="moved")
    asked = parser.parse_args()
    try:
        with (
            BatchRunner.open(asked.storage, name=asked.batch) as old,
            BatchRunner(
                asked.to, name=f"{old.name} moved", storage=asked.storage, output=asked.output
            ) as new,
        ):
            # Options of a model mean nothing to another one: they are replaced, not kept.
            moved = move(old, new, model=asked.model, params=asked.params)
            print(f"moved: {moved}")
            summary = new.run()
    except BatchkitError as exc:
        parser.error(str(exc))
    print(summary.headline("en"))
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
