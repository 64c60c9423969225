"""The jobs with DBOS: submit and poll as two steps of a workflow with a stable id, on SQLite."""

from __future__ import annotations

import sqlite3
import sys

if sqlite3.sqlite_version_info < (3, 42):
    # DBOS needs unixepoch('subsec'): a newer SQLite takes the place of the one of this Python.
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

from _work import HTTP, INTERVAL, Task, report, task
from dbos import DBOS, SetWorkflowID

TOLD: Task = task()
CLIENT = HTTP(TOLD)


@DBOS.step()  # not repeated within a run: retries are off unless asked for
def submit(prompt: str) -> str:
    return CLIENT.submit(prompt)


@DBOS.step(retries_allowed=True, max_attempts=20, interval_seconds=INTERVAL, backoff_rate=1.0)
def wait(job: str) -> str:
    return CLIENT.wait(job)


@DBOS.workflow()
def make(prompt: str) -> str:
    return wait(submit(prompt))


def main(told: Task) -> None:
    DBOS(
        config={
            "name": "clips",
            "system_database_url": f"sqlite:///{told.folder / 'dbos.sqlite'}",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.register_queue("clips", worker_concurrency=told.concurrency, polling_interval_sec=INTERVAL)
    handles = {}
    for prompt in told.prompts:
        with SetWorkflowID(prompt):
            handles[prompt] = DBOS.enqueue_workflow("clips", make, prompt)
    done = []
    for prompt, handle in handles.items():
        try:
            handle.get_result()
        except Exception as exc:
            print(f"{prompt}: {exc}", file=sys.stderr)
        else:
            done.append(prompt)
    report(done)
    DBOS.destroy()


if __name__ == "__main__":
    main(TOLD)
