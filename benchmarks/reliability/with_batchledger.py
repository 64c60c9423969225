"""The jobs with batchledger: ``Ledger.run`` that records errors and goes on; one at a time."""

from __future__ import annotations

from _work import HTTP, Task, item_of, report, task
from batchledger import Ledger


def main(told: Task) -> None:
    with Ledger(told.folder / "clips.sqlite", namespace="clips", version="1") as ledger:
        outcomes = ledger.run(HTTP(told).whole, told.prompts, key=item_of, on_error="record")
        report([outcome.key for outcome in outcomes if outcome.ok])


if __name__ == "__main__":
    main(task())
