"""The jobs with pyarallel: ``parallel_map`` with a checkpoint, as its README shows."""

from __future__ import annotations

import httpx
from _work import HTTP, Callback, Task, item_of, report, task
from pyarallel import Retry, parallel_map


def main(told: Task) -> None:
    http = HTTP(told)

    def make(prompt: str) -> str:
        return http.whole(prompt)

    done: list[str] = []
    try:
        result = parallel_map(
            make,
            told.prompts,
            workers=told.concurrency,
            # Repeats 429 and 503 alone: a connection that breaks is not repeated.
            retry=Retry.for_http(on=(httpx.HTTPStatusError,), attempts=4),
            checkpoint=told.folder / "clips.ckpt",
            checkpoint_key=item_of,
            checkpoint_version="clips-v1",
            on_progress=Callback(raises=told.raises),
            on_result=lambda item: done.append(told.prompts[item.index]) if item.ok else None,
        )
    except RuntimeError as exc:
        report(done, aborted=str(exc))
        return
    report(told.prompts[index] for index, _ in result.successes())


if __name__ == "__main__":
    main(task())
