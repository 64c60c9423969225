"""What one job costs beside its own work: batchkit, bare loops and other libraries side by side.

Measured: the wall clock from a list of texts to all results kept, per job. For batchkit that
includes opening the batch, **adding the jobs** and every saved transition; on SQLite each job is
stored three times (pending, submitting, completed) with its journal, so that a killed run resumes.
*free* work commits with ``synchronous=NORMAL``; *paid* work makes intents and results safe against
the loss of power (FULL). pyarallel's checkpoint stores finished results only.

Not measured: imports and interpreter start (each run of each variant is a fresh process that has
run a small batch before), networks, real work. Memory is the growth of the process from before to
after, divided by the jobs; it means something from about 20,000 jobs on.

Ratios are medians of the ratios of each round; only they can be compared between machines.
Run it with ``python benchmarks/overhead.py``. Databases go to ``--folder``: a RAM disk would
flatter every durable variant.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from _kit import Measured, in_child, interleave, measure, paired, spread, table
from _variants import REFERENCES, VARIANTS, Size

Found = dict[str, list[Measured | None]]

_WARM_UP = 300
#: Fewer jobs than this say nothing about memory.
_ENOUGH = 5000


def child(name: str, jobs: int, concurrency: int, folder: str) -> None:
    """One run in this process; prints what was measured."""
    variant = VARIANTS[name]
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        for part, number in (("warm", min(jobs, _WARM_UP)), ("run", jobs)):
            inside = Path(place, part)
            inside.mkdir()
            size = Size([f"item {n}" for n in range(number)], concurrency, inside)
            found = measure(partial(variant.run, size))
    print(json.dumps(found))


def main() -> None:
    options = _options()
    if options.child:
        child(options.child, options.jobs, options.concurrency, options.folder)
        return
    names = [name for name in _chosen(options.only) if _can_run(name)]
    common = ("--jobs", options.jobs, "--concurrency", options.concurrency)

    def run(name: str) -> Measured | None:
        return in_child(__file__, name, *common, "--folder", options.folder)

    found = interleave(names, options.rounds, options.wait, run)
    print(f"{options.jobs} jobs, {options.concurrency} at once, {options.rounds} rounds")
    for group in REFERENCES:
        _report(group, found, options.jobs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds for a quiet moment")
    parser.add_argument("--folder", default="", help="where databases are made")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _chosen(only: str) -> list[str]:
    parts = [part.strip() for part in only.split(",") if part.strip()]
    return [name for name in VARIANTS if not parts or any(part in name for part in parts)]


def _can_run(name: str) -> bool:
    reason = VARIANTS[name].missing()
    if reason:
        print(f"skipped: {name}: {reason}")
    return not reason


def _report(group: str, found: Found, jobs: int) -> None:
    names = [name for name in found if VARIANTS[name].group == group and any(found[name])]
    if not names:
        return
    peer, floor = REFERENCES[group]
    head = (group, "µs/job", "CPU µs", "jobs/s", f"x {peer}", f"x {floor}", "B/job")
    rows = [_row(name, found, (peer, floor), jobs) for name in names]
    print(f"\n{table(head, sorted(rows, key=_median))}")


def _row(name: str, found: Found, others: Sequence[str], jobs: int) -> tuple[str, ...]:
    runs = [run for run in found[name] if run is not None]
    micro = [run.seconds / jobs * 1e6 for run in runs]
    ratios = [paired(found[name], found[other]) if other in found else None for other in others]
    grown = statistics.median(run.grown for run in runs) / jobs
    return (
        name,
        spread(micro),
        f"{statistics.median(run.cpu for run in runs) / jobs * 1e6:.1f}",
        f"{1e6 / statistics.median(micro):,.0f}",
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        f"{grown:.0f}" if jobs >= _ENOUGH else "-",
    )


def _median(row: Sequence[str]) -> float:
    return float(row[1].partition(" ")[0])


if __name__ == "__main__":
    main()
