"""The rules for what a client declares."""

from __future__ import annotations

from batchkit._jobs import Handle
from batchkit.clients.base import (
    Accepted,
)
from batchkit.testing._check_client_bench import Bench
from batchkit.testing._check_storage_base import require


def check_sync_result(bench: Bench) -> None:
    """capabilities.sync_result: is told truly"""
    client = bench.client()
    accepted = bench.accepted(client) is not None
    require(
        not (client.capabilities.sync_result and accepted),
        "it is declared, but submit answers Accepted: leave it out, so that jobs are polled",
    )


def check_cancel(bench: Bench) -> None:
    """capabilities.cancel: has a method that says whether the provider confirmed"""
    client = bench.client()
    if client.capabilities.cancel == "none":
        return
    require(client.cancel is not None, "it is declared: give the client a cancel(handle) method")
    found = bench.accepted(client)
    if found is None or client.cancel is None:
        return
    answer = bench.call(client.cancel, found[1])
    require(
        isinstance(answer, bool),
        f"cancel returned {type(answer).__name__}: return True only when the provider confirms",
    )


def check_find(bench: Bench) -> None:
    """find: finds its own submission by its key, and None for a key that was never sent"""
    client = bench.client()
    found = bench.accepted(client)
    if client.find is None or found is None:
        return
    job, handle = found
    known = bench.call(client.find, job, job.submit_key)
    require(
        isinstance(known, Handle) and known.id == handle.id,
        f"it answered {known!r} for a submission with the handle {handle.id!r}: None is taken as "
        "proof that nothing was accepted, and the job would be paid for twice",
    )
    other = bench.job(client)
    unknown = bench.call(client.find, other, other.submit_key)
    require(unknown is None, f"it answered {unknown!r} for a key that was never sent: answer None")


def check_replay(bench: Bench) -> None:
    """capabilities.idempotency: the same key again answers with the same job"""
    client = bench.client()
    if client.capabilities.idempotency != "replay":
        return
    found = bench.accepted(client)
    if found is None:
        return
    answer = bench.call(client.submit, found[0])
    require(
        isinstance(answer, Accepted) and answer.handle.id == found[1].id,
        "replay is declared, but the same key started another job: send job.submit_key as the "
        'idempotency key, or declare idempotency="none"',
    )
