"""The rules for handles and ``poll``."""

from __future__ import annotations

import json

import attrs

from batchkit._codec import load_handle, plain_handle
from batchkit._errors import NotFoundError
from batchkit._jobs import Handle
from batchkit.clients.base import (
    RemoteState,
)
from batchkit.testing._check_client_bench import Bench, status_of
from batchkit.testing._check_storage_base import require

_LIVE = (RemoteState.QUEUED, RemoteState.RUNNING)
_UNKNOWN = "batchkit-check-no-such-job"


def check_handle(bench: Bench) -> None:
    """handle: is JSON, and sufficient for a fresh client in another process"""
    found = bench.accepted(bench.client())
    if found is None:
        return
    handle: object = found[1]
    if not isinstance(handle, Handle) or not handle.id:
        raise AssertionError(f"it is {handle!r}: make it a batchkit.Handle(id=...) with an id")
    try:
        again = load_handle(json.loads(json.dumps(plain_handle(handle))))
    except TypeError as exc:
        raise AssertionError(f"its data cannot be stored ({exc}): keep only JSON values") from exc
    require(again == handle, "its data changes when it is stored: keep only JSON values in it")
    fresh = bench.client()
    try:
        status_of(bench, fresh, again)
    except NotFoundError as exc:
        raise AssertionError(
            f"a fresh client does not find the job by it ({exc}): put everything that poll needs "
            "into Handle.id and Handle.data, and keep nothing in the client"
        ) from exc


def check_poll(bench: Bench) -> None:
    """poll: answers RemoteStatus, and asking again changes nothing"""
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    before = bench.submissions()
    states = [status_of(bench, client, found[1]).state for _ in range(5)]
    require(bench.submissions() == before, "it submits: polling has to be free")
    ends = [state for state in states if state not in _LIVE]
    require(
        ends == states[len(states) - len(ends) :] and len(set(ends)) < 2,
        f"a job that had ended became another ({', '.join(states)}): an end is final",
    )


def check_unknown(bench: Bench) -> None:
    """poll of an unknown handle: raises NotFoundError, or answers a status"""
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    try:
        status_of(bench, client, attrs.evolve(found[1], id=_UNKNOWN))
    except NotFoundError:
        return
    except AssertionError:
        raise
    except Exception as exc:
        raise AssertionError(
            f"it raised {type(exc).__name__}: raise batchkit.NotFoundError when the provider says "
            "that it does not know the job"
        ) from exc
