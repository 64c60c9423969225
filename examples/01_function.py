"""The smallest batch: a plain function, three prompts, results in a folder.

Run it twice, and see that the second time nothing is called:

    python examples/01_function.py
"""

from __future__ import annotations

import batchkit


def make_video(request: batchkit.Request) -> bytes:
    """Stands for the call of your API: a request in, a video out."""
    print(f"called for {request.title}")
    return f"a video of {request.title}".encode()


def main() -> None:
    with batchkit.BatchRunner(
        make_video, storage="function.db", output="videos", delay=0
    ) as runner:
        runner.add_text("um gato surfando\numa cidade à noite\num trem na neve")
        summary = runner.run()
        for job in runner.results():
            print(job.title, "->", job.result and job.result.path)
    print(summary.headline("en"))


if __name__ == "__main__":
    main()
