"""The jobs with async-batch-llm: ``process_prompts`` over a callable, with a checkpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from _work import INTERVAL, Callback, Task, die_once, report, submission, task, url_of
from async_batch_llm import (
    ArtifactIdentity,
    CallableStrategy,
    CallOutcome,
    JsonlArtifactStore,
    ProcessorConfig,
    ResumePolicy,
    RetryConfig,
    process_prompts,
)

IDENTITY = ArtifactIdentity(
    provider="loopback", model="clips", prompt_version="1", parser_version="1",
    application_version="1",
)  # fmt: skip


async def make(http: httpx.AsyncClient, told: Task, prompt: str) -> str:
    """The whole job: a POST, and status queries."""
    answer = await http.post("/jobs", **submission(told, prompt))
    answer.raise_for_status()
    die_once(told, prompt)
    job = answer.json()["id"]
    while True:
        answer = await http.get(f"/jobs/{job}")
        answer.raise_for_status()
        if (url := url_of(answer.json())) is not None:
            return url
        await asyncio.sleep(INTERVAL)


async def main(told: Task) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=told.url, timeout=30.0, limits=limits, trust_env=False
    ) as http:

        async def invoke(prompt: str, **_: Any) -> CallOutcome[str]:
            return CallOutcome(await make(http, told, prompt))

        batch = await process_prompts(
            CallableStrategy(invoke, identity=IDENTITY),
            [(prompt, prompt) for prompt in told.prompts],
            config=ProcessorConfig(
                concurrency=told.concurrency,
                retry=RetryConfig(max_attempts=told.attempts, initial_wait=0.1),
            ),
            artifact_store=JsonlArtifactStore(
                told.folder / "clips.jsonl", identity=IDENTITY, fsync=True
            ),
            resume=ResumePolicy.REUSE_SUCCESSES,
            progress=Callback(raises=told.raises),
        )
    report(result.item_id for result in batch.results if result.success)


if __name__ == "__main__":
    asyncio.run(main(task()))
