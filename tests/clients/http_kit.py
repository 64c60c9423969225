"""Answers, and batches that run against them, for the tests of HTTP clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from batchkit import BatchRunner, Job, PollPolicy, Request
from batchkit.clients.http import Exchange, HttpClient, HttpRequest, HttpResponse

Handler = Callable[[httpx.Request], httpx.Response]


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A JSON answer."""
    return HttpResponse(status=status, content=json.dumps(body).encode(), headers=headers or {})


def play(exchange: Exchange[Any], *answers: HttpResponse) -> tuple[Any, list[HttpRequest]]:
    """What an operation returns for these answers, and what it asked."""
    asked = [next(exchange)]
    for given in answers:
        try:
            asked.append(exchange.send(given))
        except StopIteration as end:
            return end.value, asked
    raise AssertionError(f"it asks for more: {asked[-1]}")


def run_one(
    cls: Callable[..., HttpClient],
    handler: Handler,
    request: Request,
    *,
    executor: str = "threads",
    **options: Any,
) -> tuple[Job, list[httpx.Request]]:
    """One job of a batch, and every request that was sent for it."""
    sent: list[httpx.Request] = []

    def recorded(asked: httpx.Request) -> httpx.Response:
        sent.append(asked)
        return handler(asked)

    http_client = httpx.AsyncClient(transport=httpx.MockTransport(recorded))
    client = cls("canary-key", http_client=http_client, **options)
    client.capabilities = _hurried(client)
    with BatchRunner(
        client, storage="memory", executor=executor, delay=0, poll=PollPolicy(first=0.001)
    ) as runner:
        runner.add(request)
        runner.run()
        (job,) = runner.jobs()
        assert "canary" not in repr((job, job.error, list(runner.events())))
        return runner.job(job), sent


def _hurried(client: HttpClient) -> Any:
    import attrs

    return attrs.evolve(client.capabilities, min_poll_seconds=0.0)


def drops(request: httpx.Request) -> httpx.Response:
    """Accepts, and breaks the connection."""
    raise httpx.ReadError("broke", request=request)
