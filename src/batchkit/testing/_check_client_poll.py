"""The clauses for handles and ``poll``: what is not an end of the job is not told as one."""

from __future__ import annotations

import json

import attrs

from batchkit._codec import load_handle, plain_handle
from batchkit._errors import NotFoundError
from batchkit._jobs import Handle
from batchkit._verdicts import understood
from batchkit.clients.base import BoundClient, RemoteState, RemoteStatus
from batchkit.testing._check_client_bench import Bench, status_of
from batchkit.testing._check_client_submit import KINDS_OF_FAILURE, KINDS_OF_GARBAGE
from batchkit.testing._check_storage_base import require

LIVE = (RemoteState.QUEUED, RemoteState.RUNNING)
_UNKNOWN = "batchkit-check-no-such-job"


def check_json(bench: Bench) -> None:
    found = bench.accepted(bench.client())
    if found is not None:
        _stored(found[1])


def _stored(handle: object) -> Handle:
    """The handle, as a program that starts again finds it."""
    if not isinstance(handle, Handle) or not handle.id:
        raise AssertionError(
            f"the handle is {handle!r}: make it a batchkit.Handle(id=...) with an id"
        )
    try:
        again = load_handle(json.loads(json.dumps(plain_handle(handle))))
    except (TypeError, ValueError) as exc:
        raise AssertionError(
            f"the data of the handle cannot be stored ({exc}): keep only JSON values in it"
        ) from exc
    require(
        again == handle,
        "the data of the handle changes when it is stored: keep only JSON values in it",
    )
    return again


def check_restart(bench: Bench) -> None:
    found = bench.accepted(bench.client())
    if found is None:
        return
    again, fresh = _stored(found[1]), bench.client()
    try:
        status_of(bench, fresh, again)
    except AssertionError:
        raise
    except Exception as exc:
        raise AssertionError(
            f"a fresh client cannot poll the job by its stored handle ({type(exc).__name__}: "
            f"{exc}): put everything that poll needs into Handle.id and Handle.data, and keep "
            "nothing in the client"
        ) from exc


def check_poll(bench: Bench) -> None:
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    before = bench.server.submissions()
    for _ in range(3):
        status_of(bench, client, found[1])
    require(bench.server.submissions() == before, "poll submits: polling has to be free")


def check_final(bench: Bench) -> None:
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    states = [status_of(bench, client, found[1]).state for _ in range(6)]
    ends = [state for state in states if state not in LIVE]
    require(
        ends == states[len(states) - len(ends) :] and len(set(ends)) < 2,
        f"a job that had ended became another ({', '.join(states)}): an end is final",
    )


def check_not_found(bench: Bench) -> None:
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    try:
        status_of(bench, client, attrs.evolve(found[1], id=_UNKNOWN))
    except AssertionError as exc:
        raise AssertionError(f"of a handle that the provider does not know, {exc}") from exc
    except Exception as exc:
        # The HTTP answer 404 of httpx and requests says the same.
        if isinstance(understood(exc, bench.clock.time()), NotFoundError):
            return
        raise AssertionError(
            f"poll raised {type(exc).__name__} for a handle that the provider does not know: "
            "raise batchkit.NotFoundError"
        ) from exc


def check_unknown_word(bench: Bench) -> None:
    _undecided(bench, "confuse_next", 1, "a status word that nobody knows")


def check_garbage_status(bench: Bench) -> None:
    _undecided(bench, "garble_next", KINDS_OF_GARBAGE, "an answer that means nothing")


def check_failed_query(bench: Bench) -> None:
    _undecided(bench, "fail_next", KINDS_OF_FAILURE, "a status query that failed")


def _undecided(bench: Bench, what: str, times: int, said: str) -> None:
    """Nothing that a server does badly is the end of a job that it runs."""
    client = bench.client()
    found = bench.accepted(client)
    if found is None:
        return
    before = bench.server.submissions()
    for _ in range(times):
        bench.prepare_server(what)
        told = _told(bench, client, found[1])
        require(bench.server.submissions() == before, "poll submits: polling has to be free")
        require(
            told not in ("NotFoundError", *_ENDS),
            f"{said} became {told}, which ends a job that is paid for: answer "
            "RemoteState.RUNNING for words that you do not know, and let every other exception "
            "pass: it only moves the next query",
        )


_ENDS = tuple(f"RemoteState.{state.name}" for state in RemoteState if state not in LIVE)


def _told(bench: Bench, client: BoundClient, handle: Handle) -> str:
    """What one query says: a state, or the exception that batchkit would take it for."""
    require(client.poll is not None, "submit answered Accepted: give the client a poll(handle)")
    assert client.poll is not None
    bench.pause(client)
    try:
        answer = bench.call(client.poll, handle)
    except Exception as exc:  # noqa: BLE001 - a client may raise anything
        return type(understood(exc, bench.clock.time())).__name__
    return f"RemoteState.{answer.state.name}" if isinstance(answer, RemoteStatus) else "nothing"
