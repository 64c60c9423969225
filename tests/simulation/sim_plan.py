"""What one seed means: a batch, a client, a storage, and how often each kind of fault happens.

Every kind of fault is off in many seeds. Where all of them happen at once, the loudest hides the
rest.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from batchkit import Capabilities, PollPolicy

Mode = Literal["safety", "liveness"]
Work = Literal["polled", "sync", "free"]

#: How often each kind of fault happens where it is on: per point, per call, per write.
RATES = {
    "crash": 0.006,
    "person": 0.03,
    "jump": 0.005,
    "storage before": 0.004,
    "storage after": 0.004,
    "storage crash": 0.003,
    "rescue": 0.3,
    "submit before": 0.12,
    "submit after": 0.08,
    "poll": 0.12,
    "fetch": 0.15,
    "cancel": 0.3,
    "find": 0.3,
    "prepare": 0.1,
    "write": 0.05,
    "slow": 0.08,
}

#: What the provider does with a submission or a job; see the scripts of the fake provider.
WORDS = (
    "ok",
    "slow",
    "reject",
    "busy",
    "limit",
    "drop_before",
    "drop_after",
    "fail",
    "flaky",
    "blips",
    "unknown",
    "expire",
    "lost",
)

#: Storages that a seed may draw; a name with ``{folder}`` in it is a file.
STORAGES = ("memory", "memory", ":memory:", "{folder}/batch.db", "{folder}/batch.jsonl")


@attrs.frozen(kw_only=True)
class Plan:
    """One seed, drawn.

    Attributes:
        prompts: with the scripts of the fake provider.
        storage: one of :data:`STORAGES`, or what ``open_storage`` takes.
        executor: the library's own sequential one, or the simulated one with many jobs at once.
        shelf: where results go: nowhere, to memory, to a folder.
        work: polled and paid, paid by the call itself, or free.
        offers: optional methods of the client.
        keeps_keys: the provider looks submissions up, or replays them.
        config: of the batch.
        rates: of faults; a kind that is absent does not happen.
        rounds: runs with faults.
    """

    prompts: tuple[str, ...]
    storage: str
    executor: Literal["sequential", "simulated"]
    shelf: Literal["none", "memory", "folder"]
    work: Work
    offers: frozenset[str]
    keeps_keys: bool
    config: Mapping[str, Any]
    rates: Mapping[str, float]
    rounds: int

    @property
    def capabilities(self) -> Capabilities:
        replays = self.keeps_keys and "find" not in self.offers
        return Capabilities(
            repeat="free" if self.work == "free" else "paid",
            sync_result=self.work == "sync",
            cancel="running",
            idempotency="replay" if replays else "none",
            inline=True,
        )


def draw_plan(rng: random.Random, mode: Mode, storage: str | None = None) -> Plan:
    """Everything that a seed decides before the first step."""
    works: tuple[Work, ...] = ("polled", "sync", "free")
    work = rng.choices(works, (8, 1, 1))[0]
    keeps_keys = work == "polled" and rng.random() < 0.5
    return Plan(
        prompts=tuple(_prompt(rng, number) for number in range(rng.randint(2, 12))),
        storage=storage or rng.choice(STORAGES),
        executor=rng.choice(("sequential", "simulated", "simulated")),
        shelf=rng.choices(("none", "memory", "folder"), (2, 5, 2))[0],
        work=work,
        offers=_offers(rng, keeps_keys),
        keeps_keys=keeps_keys,
        config=draw_config(rng),
        rates=_rates(rng),
        rounds=rng.randint(2, 7) if mode == "safety" else rng.randint(1, 4),
    )


def _rates(rng: random.Random) -> dict[str, float]:
    kinds = [kind for kind in RATES if rng.random() < 0.55]
    return {kind: min(0.6, RATES[kind] * rng.choice((0.5, 1, 3))) for kind in kinds}


def _prompt(rng: random.Random, number: int) -> str:
    words = rng.choices(WORDS, (6, *[1] * (len(WORDS) - 1)), k=rng.randint(0, 3))
    return f"item-{number} [{' '.join(words)}]" if words else f"item-{number}"


def _offers(rng: random.Random, keeps_keys: bool) -> frozenset[str]:
    found = {name for name in ("cancel", "prepare", "estimate") if rng.random() < 0.5}
    if keeps_keys and rng.random() < 0.7:
        found.add("find")
    return frozenset(found)


def draw_config(rng: random.Random) -> dict[str, Any]:
    """A configuration; each run of a batch may have another."""
    return {
        "max_concurrent": rng.randint(1, 6),
        "delay": rng.choice((0, 0, 0.5, 5)),
        "rate_limit": rng.choice((None, None, "1/s", "5/min", "2/10s")),
        "max_retries": rng.randint(0, 3),
        "on_uncertain": rng.choices(("hold", "resubmit", "fail"), (4, 2, 1))[0],
        "max_double_cost": rng.choice((None, 0, 2)),
        "request_timeout": rng.choice((3, 5, 60, 300)),
        "job_timeout": rng.choice((600, 86400, 86400)),
        "poll": rng.choice((PollPolicy(), PollPolicy.fixed(1), PollPolicy(first=0.1, cap=60))),
        "stop_on_error": rng.random() < 0.1,
    }
