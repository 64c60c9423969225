"""The conformance suite of clients: what :mod:`batchkit.clients.base` asks, on a fake server.

The author of a client brings a server that only pretends, and says how many submissions it saw:
that number decides whether a batch can pay twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from anyio.from_thread import start_blocking_portal

from batchkit._calls import Clock
from batchkit._requests import GenerateVideo, Request
from batchkit.testing._check_client_bench import Bench, Rule, fault_of, log_records
from batchkit.testing._check_client_declared import (
    check_cancel,
    check_find,
    check_replay,
    check_sync_result,
)
from batchkit.testing._check_client_poll import check_handle, check_poll, check_unknown
from batchkit.testing._check_client_run import check_restart, check_run, check_run_dropped
from batchkit.testing._check_client_submit import check_drop, check_refuse, check_submit
from batchkit.testing._check_storage_base import require
from batchkit.testing._clock import FakeClock


def check_client(
    make_client: Callable[[], object],
    *,
    submissions: Callable[[], int],
    request: Request | None = None,
    drop_next: Callable[[], object] | None = None,
    refuse_next: Callable[[], object] | None = None,
    secrets: Sequence[str] = (),
    clock: Callable[[], Clock] = FakeClock,
) -> None:
    """Tests a client against everything that :mod:`batchkit.clients.base` says.

    The client is called directly, and by a :class:`~batchkit.BatchRunner` in memory. Its server
    should pretend: a suite submits about ten jobs.

    Args:
        make_client: makes a fresh client of the same server, as a restarted program would.
        submissions: how many submissions that server has seen so far, accepted or not.
        request: what to submit; by default a video of a cat.
        drop_next: makes the server accept the next submission, and break the connection before it
            answers. Without it nobody knows whether the client can pay twice.
        refuse_next: makes the server refuse the next submission for certain.
        secrets: keys and tokens that must appear in no ``repr``, handle, error or log.
        clock: makes the time of the runner; the default waits for nothing. A server that needs real
            time to finish a job needs a real clock.

    Raises:
        AssertionError: the rules that the client breaks, one a line, each with its remedy.
    """
    with ExitStack() as stack:
        records = stack.enter_context(log_records())
        bench = Bench(
            make_client,
            submissions,
            request or GenerateVideo(prompt="a cat"),
            drop_next,
            refuse_next,
            tuple(secrets),
            clock,
            stack.enter_context(start_blocking_portal("asyncio")),
            records,
        )
        stack.callback(bench.close)
        # Without this one nothing else can be tried.
        broken = [fault] if (fault := fault_of(check_submit, bench)) else []
        if not broken:
            broken = [fault for rule in RULES if (fault := fault_of(rule, bench))]
    if broken:
        raise AssertionError("\n".join(broken))


def check_secrets(bench: Bench) -> None:
    """secrets: appear in no repr, handle, error or log record"""
    shown = [*bench.shown, *(("the log", line) for line in bench.records)]
    where = sorted({place for place, text in shown for secret in bench.secrets if secret in text})
    require(
        not where,
        f"a secret is shown by {', '.join(where)}: keep it out of URLs and handles, and give the "
        "client a repr without it",
    )


#: In the order in which they are tried; the last one looks at what the others made visible.
RULES: tuple[Rule, ...] = (
    check_drop,
    check_refuse,
    check_handle,
    check_poll,
    check_unknown,
    check_sync_result,
    check_cancel,
    check_find,
    check_replay,
    check_run,
    check_restart,
    check_run_dropped,
    check_secrets,
)
