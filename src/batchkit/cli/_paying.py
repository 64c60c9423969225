"""What a run may buy, told before it buys anything."""

from __future__ import annotations

import itertools
import logging

import attrs
import click

from batchkit._jobs import Job, JobStatus
from batchkit._runner import BatchRunner
from batchkit.cli._language import said
from batchkit.clients.base import BoundClient

log = logging.getLogger("batchkit.cli")

#: Models that are named; of more, only their number is told.
_MOST_MODELS = 3


@attrs.define
class Purchase:
    """Jobs that a run may submit.

    Attributes:
        count: how many.
        models: which models they name.
        cost: what they cost at most, in the provider's currency; ``None``: it is not known of all.
    """

    count: int = 0
    models: set[str] = attrs.field(factory=set)
    cost: float | None = 0.0

    def take(self, job: Job, client: BoundClient) -> None:
        """Counts one job."""
        self.count += 1
        if model := getattr(job.request, "model", None):
            self.models.add(model)
        estimated = _estimate(job, client)
        known = self.cost is not None and estimated is not None
        self.cost = self.cost + estimated if known else None  # type: ignore[operator]


def _estimate(job: Job, client: BoundClient) -> float | None:
    # An async one may keep connections of an event loop that is not there yet.
    if client.estimate is None or client.estimate.is_async:
        return None
    try:
        found = client.estimate.fn(job)
    except Exception as exc:  # noqa: BLE001 - a foreign client's guess must not stop a run
        log.warning("the cost of job %s cannot be estimated: %s", job.id, exc)
        return None
    return None if found is None else float(found)


def tell_purchase(
    ctx: click.Context, runner: BatchRunner, client: BoundClient, limit: int | None
) -> None:
    """Says how much is about to be submitted where that costs money, to whom, and for how much."""
    if client.capabilities.repeat == "free" or client.capabilities.local:
        return
    purchase = Purchase()
    for job in itertools.islice(runner.jobs({JobStatus.PENDING}), limit):
        purchase.take(job, client)
    if not purchase.count:
        return
    name = runner.config.client_name or client.ref
    click.echo(said(ctx, "will_submit", purchase.count, name) + _models(ctx, purchase), err=True)
    if purchase.cost is not None:
        click.echo(said(ctx, "will_cost", f"{purchase.cost:g}"), err=True)


def _models(ctx: click.Context, purchase: Purchase) -> str:
    found = sorted(purchase.models)
    if not found:
        return ""
    named = ", ".join(found) if len(found) <= _MOST_MODELS else str(len(found))
    return f" · {said(ctx, 'will_use', named)}"
