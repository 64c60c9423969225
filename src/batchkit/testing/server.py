"""The fake provider as a program: ``python -m batchkit.testing.server --port 0 --seed 1``.

With ``--vendor fal`` it speaks like that provider.
It prints one line of JSON with its address, and serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence

from batchkit._errors import UsageError
from batchkit.testing._faults import SEEDED
from batchkit.testing._ledger import Ledger
from batchkit.testing._provider import FakeProvider
from batchkit.testing._site import Site
from batchkit.testing.vendors import SUBMIT_FAULTS, VENDORS, dialect_of


def main(args: Sequence[str] | None = None) -> int:
    """Runs the server.

    Args:
        args: the words after the program's name; by default those it was called with.

    Returns:
        the exit code: 0 after a clean end.
    """
    parser = _parser()
    options = parser.parse_args(args)
    logging.basicConfig(level=options.log_level.upper(), stream=sys.stderr)
    try:
        provider = _provider(options)
    except UsageError as exc:
        parser.error(str(exc))
    dialect = dialect_of(options.vendor, provider) if options.vendor else None
    asyncio.run(_serve(Site(provider, options.host, options.port, dialect)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m batchkit.testing.server", description=__doc__)
    add = parser.add_argument
    add("--vendor", choices=VENDORS, help="speak like this provider; by default like none")
    add("--host", default="127.0.0.1", help="an address of this machine")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--seed", default="0", help="the same again for the same faults")
    add("--fault-rate", type=float, default=0.0, help="share of requests that go wrong, 0 to 1")
    add("--rate", action="append", default=[], metavar="OPERATION=RATE", help="for one operation")
    add("--faults", action="append", default=[], metavar="OPERATION=A,B", help="which are drawn")
    add("--keys", choices=["none", "replay", "reject", "lookup"], default="none")
    add("--polls", type=int, default=2, help="good status queries before a job ends")
    add("--duration", help="seconds that a job takes: 2, uniform:1,5 or lognormal:30,0.5")
    add("--price", default="1", help="of each job: 0.5, or uniform:0.05,2")
    add("--size", type=int, help="bytes of a result")
    add("--url-seconds", type=float, default=3600.0, help="how long a signed URL is good")
    add("--api-key", help="asked of every request")
    add("--ledger", metavar="FILE", help="goes on in this file")
    add("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser


def _provider(options: argparse.Namespace) -> FakeProvider:
    rates = {name: float(options.fault_rate) for name in SEEDED}
    rates |= {name: _number(rate) for name, rate in _pairs(options.rate)}
    ledger = Ledger.append(options.ledger) if options.ledger else None
    faults = {name: words.split(",") for name, words in _pairs(options.faults)}
    if options.vendor:
        faults = {"submit": list(SUBMIT_FAULTS), **faults}
    return FakeProvider(
        polls=options.polls,
        price=options.price if ":" in options.price else _number(options.price),
        keys=options.keys,
        duration=_duration(options.duration),
        seed=options.seed,
        fault_rate=rates,
        faults=faults,
        size=options.size,
        url_seconds=options.url_seconds,
        api_key=options.api_key,
        ledger=ledger,
    )


def _pairs(written: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in written]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{name!r} has no value: write it as poll=0.2")
    return [(name, value) for name, _, value in pairs]


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError as exc:
        raise UsageError(f"{written!r} is no number") from exc


def _duration(written: str | None) -> float | str | None:
    return written if written is None or ":" in written else _number(written)


async def _serve(site: Site) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await site.open()
    sys.stdout.write(json.dumps({"url": site.url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await site.close()


if __name__ == "__main__":
    sys.exit(main())
