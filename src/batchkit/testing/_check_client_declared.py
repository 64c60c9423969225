"""The clauses for what a client declares: it has to be true."""

from __future__ import annotations

from typing import Literal, get_args, get_origin, get_type_hints

from batchkit._errors import NotFoundError, RateLimitedError
from batchkit._jobs import Handle
from batchkit._verdicts import understood
from batchkit.clients.base import Accepted, Capabilities
from batchkit.testing._check_client_bench import Bench, pace_fault, status_of
from batchkit.testing._check_client_poll import LIVE
from batchkit.testing._check_storage_base import require


def check_values(bench: Bench) -> None:
    declared = bench.client().capabilities
    for name, kind in get_type_hints(Capabilities).items():
        value = getattr(declared, name)
        require(
            get_origin(kind) is not Literal or value in get_args(kind),
            f"{name} is {value!r}: choose from {', '.join(map(repr, get_args(kind)))}",
        )
    require(
        set(declared.not_accepted) <= set(range(400, 600)),
        f"not_accepted is {sorted(map(str, declared.not_accepted))}: name HTTP status codes with "
        "which the provider refuses, as 503",
    )


def check_sync_result(bench: Bench) -> None:
    client = bench.client()
    accepted = bench.accepted(client) is not None
    require(
        not (client.capabilities.sync_result and accepted),
        "sync_result is declared, but submit answers Accepted: leave it out, so that jobs are "
        "polled",
    )


def check_cancel(bench: Bench) -> None:
    client = bench.client()
    if client.capabilities.cancel == "none":
        return
    require(
        client.cancel is not None, "cancel is declared: give the client a cancel(handle) method"
    )
    found = bench.accepted(client)
    if found is None or client.cancel is None:
        return
    answer = bench.call(client.cancel, found[1])
    require(
        isinstance(answer, bool),
        f"cancel returned {type(answer).__name__}: return True only when the provider confirms",
    )
    if answer:
        _has_ended(bench, found[1])


def _has_ended(bench: Bench, handle: Handle) -> None:
    try:
        state = status_of(bench, bench.client(), handle).state
    except Exception as exc:
        if isinstance(understood(exc, bench.clock.time()), NotFoundError):
            return
        raise
    require(
        state not in LIVE,
        f"cancel returned True, and the job is still {state}: nobody will look at it again; "
        "return True only when the provider confirms the end",
    )


def check_find(bench: Bench) -> None:
    client = bench.client()
    found = bench.accepted(client)
    if client.find is None or found is None:
        return
    job, handle = found
    known = bench.call(client.find, job, job.submit_key)
    require(
        isinstance(known, Handle) and known.id == handle.id,
        f"find answered {known!r} for a submission with the handle {handle.id!r}: send "
        "job.submit_key with the submission; None is taken as proof that nothing was accepted, "
        "and the job would be paid for twice",
    )
    other = bench.job(client)
    unknown = bench.call(client.find, other, other.submit_key)
    require(
        unknown is None, f"find answered {unknown!r} for a key that was never sent: answer None"
    )


def check_idempotency(bench: Bench) -> None:
    client = bench.client()
    if client.capabilities.idempotency != "replay":
        return
    found = bench.accepted(client)
    if found is None:
        return
    # Another client: it is the provider that has to know the key, not the program that died.
    answer = bench.call(bench.client().submit, found[0])
    require(
        isinstance(answer, Accepted) and answer.handle.id == found[1].id,
        "replay is declared, but the same key started another job: send job.submit_key as the "
        'idempotency key, or declare idempotency="none"',
    )


def check_min_poll_seconds(bench: Bench) -> None:
    client = bench.client()
    least = client.capabilities.min_poll_seconds
    fault = pace_fault(least)
    require(not fault, fault)
    found = bench.accepted(client)
    if found is None:
        return
    try:
        for _ in range(3):
            status_of(bench, client, found[1])
    except Exception as exc:
        if not isinstance(understood(exc, bench.clock.time()), RateLimitedError):
            raise
        raise AssertionError(
            f"a job that is polled every {least:g} s is told to slow down ({exc}): declare "
            "the seconds that the provider asks for between two polls of one job"
        ) from exc
