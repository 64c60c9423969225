"""The conformance suite of clients: what :mod:`batchkit.clients.base` asks, on a fake server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from anyio.from_thread import start_blocking_portal

from batchkit._calls import Clock
from batchkit._requests import GenerateVideo, Request
from batchkit.testing import _check_client_declared as declared
from batchkit.testing import _check_client_poll as poll
from batchkit.testing import _check_client_run as run
from batchkit.testing import _check_client_submit as submit
from batchkit.testing._check_client_bench import Bench, Clause, CountsSubmissions, log_records
from batchkit.testing._check_storage_base import require
from batchkit.testing._clock import FakeClock


def check_client(
    make_client: Callable[[], object],
    server: CountsSubmissions,
    *,
    request: Request | None = None,
    secrets: Sequence[str] = (),
    clock: Clock | None = None,
) -> tuple[str, ...]:
    """Tests a client against everything that :mod:`batchkit.clients.base` says.

    The client is called directly, and by a :class:`~batchkit.BatchRunner` in memory. Its server
    should pretend: the suite submits about forty jobs. A :class:`FakeAPI` is one for clients
    that speak HTTP, and a :class:`FakeProvider` is one too; any object will do that has the first
    of these methods. The others are found by presence, and each lets more clauses be tried:

    ================  ==============================================================================
    ``submissions``   how many submissions it has seen, accepted or not
    ``drop_next``     accepts the next submission, and breaks the connection before it answers
    ``refuse_next``   refuses the next submission for certain
    ``fail_next``     fails to answer the next request: a 500, a broken connection; each time
                      another way, if it likes; four times in all
    ``garble_next``   accepts the next request, and answers it with nonsense; six times
    ``confuse_next``  answers the next status query with a word that nobody knows
    ================  ==============================================================================

    The clauses, by the names under which they are reported:

    =================================  =============================================================
    ``submit.answer``                  ``submit`` answers ``Accepted`` or ``Finished``
    ``submit.once``                    one call sends one submission: nothing retries in hiding
    ``submit.key``                     two jobs never share a handle
    ``submit.dropped``                 a connection that breaks after the acceptance is sent once,
                                       and is not told as a refusal
    ``submit.refused``                 a refusal is told as one
    ``submit.failed``                  a failure is sent once, and is not told as an acceptance
    ``submit.garbage``                 nonsense is neither an acceptance nor a refusal
    ``prepare.json``                   what ``prepare`` leaves can be stored
    ``handle.json``                    a handle can be stored
    ``handle.restart``                 a fresh client polls by the stored handle alone
    ``poll.answer``                    ``poll`` answers ``RemoteStatus``, and submits nothing
    ``poll.final``                     an end stays the end
    ``poll.not_found``                 a handle that nobody knows is ``NotFoundError``
    ``poll.unknown_word``              a word that nobody knows is not an end
    ``poll.failure``                   a query that fails is not an end
    ``poll.garbage``                   nonsense is not an end
    ``find.key``                       ``find`` knows what was sent by its key, and nothing else
    ``capabilities.values``            words and codes are those that mean something
    ``capabilities.sync_result``       where it is declared, ``submit`` does the work
    ``capabilities.cancel``            where it is declared, there is a ``cancel``, and what it
                                       confirms has ended
    ``capabilities.idempotency``       where replay is declared, the same key is the same job, also
                                       from another client
    ``capabilities.min_poll_seconds``  polling at that pace is not refused
    ``run.completes``                  a runner completes a job, with one submission
    ``run.restart``                    after the death of the program, it does so too
    ``run.dropped``                    a job whose connection broke is not submitted again
    ``arguments.unchanged``            no method changes the job or the handle that it is given
    ``secrets``                        no ``repr``, handle, record, error or log shows one
    =================================  =============================================================

    Args:
        make_client: makes a fresh client of the same server, as a restarted program would.
        server: the other side, as above.
        request: what to submit; by default a video of a cat.
        secrets: keys and tokens that must be seen nowhere: give the client made-up ones.
        clock: the time of runners and of the pauses between polls; the default waits for nothing.
            A server that needs real time to finish a job needs a real clock.

    Returns:
        the clauses that were not tried, because the server lacks a method or there are no secrets.

    Raises:
        AssertionError: the clauses that the client breaks, one a line, each with its remedy.
    """
    with ExitStack() as stack:
        records = stack.enter_context(log_records())
        bench = Bench(
            make_client,
            server,
            request or GenerateVideo(prompt="a cat"),
            tuple(secrets),
            clock or FakeClock(),
            stack.enter_context(start_blocking_portal("asyncio")),
            records,
        )
        stack.callback(bench.close)
        faults = _faults(bench)
    if faults:
        raise AssertionError("\n".join(faults))
    return tuple(clause.name for clause in CLAUSES if not bench.offers(clause.needs))


def _faults(bench: Bench) -> list[str]:
    first, *others = CLAUSES
    if fault := first.fault(bench):
        # Without an answer nothing else can be tried.
        return [fault]
    tried = [clause for clause in others if bench.offers(clause.needs)]
    return [fault for clause in tried if (fault := clause.fault(bench))]


def check_unchanged(bench: Bench) -> None:
    require(
        not bench.changers,
        f"{', '.join(sorted(bench.changers))} changed the job or handle that it was given: make "
        "copies of mappings and lists (dict(job.request.params)), and leave the job as it is",
    )


def check_secrets(bench: Bench) -> None:
    shown = [*bench.shown, *(("the log", line) for line in bench.records)]
    where = sorted({place for place, text in shown for secret in bench.secrets if secret in text})
    require(
        not where,
        f"a secret is shown by {', '.join(where)}: keep it out of URLs and handles, and give the "
        "client a repr without it",
    )


#: In the order in which they are tried; the last two look at what the others made visible.
CLAUSES = (
    Clause("submit.answer", submit.check_answer),
    Clause("submit.once", submit.check_once),
    Clause("submit.key", submit.check_key),
    Clause("submit.dropped", submit.check_dropped, "drop_next"),
    Clause("submit.refused", submit.check_refused, "refuse_next"),
    Clause("submit.failed", submit.check_failed, "fail_next"),
    Clause("submit.garbage", submit.check_garbage, "garble_next"),
    Clause("prepare.json", submit.check_prepare),
    Clause("handle.json", poll.check_json),
    Clause("handle.restart", poll.check_restart),
    Clause("poll.answer", poll.check_poll),
    Clause("poll.final", poll.check_final),
    Clause("poll.not_found", poll.check_not_found),
    Clause("poll.unknown_word", poll.check_unknown_word, "confuse_next"),
    Clause("poll.failure", poll.check_failed_query, "fail_next"),
    Clause("poll.garbage", poll.check_garbage_status, "garble_next"),
    Clause("find.key", declared.check_find),
    Clause("capabilities.values", declared.check_values),
    Clause("capabilities.sync_result", declared.check_sync_result),
    Clause("capabilities.cancel", declared.check_cancel),
    Clause("capabilities.idempotency", declared.check_idempotency),
    Clause("capabilities.min_poll_seconds", declared.check_min_poll_seconds),
    Clause("run.completes", run.check_run),
    Clause("run.restart", run.check_death),
    Clause("run.dropped", run.check_run_dropped, "drop_next"),
    Clause("arguments.unchanged", check_unchanged),
    Clause("secrets", check_secrets, "secrets"),
)
