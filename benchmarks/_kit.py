"""How the benchmarks measure: fresh processes, quiet moments, medians of paired ratios."""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: A machine with a lower load average (1 minute) than this is quiet.
QUIET = 1.5


class Measured(NamedTuple):
    """One run of one variant: wall clock, CPU of the process, and growth of its memory."""

    seconds: float
    cpu: float
    grown: int


def rss() -> int:
    """Bytes of memory that this process has now; where there is no /proc, its peak so far."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return peak_rss()


def peak_rss() -> int:
    """Bytes of memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(work: Callable[[], object]) -> Measured:
    """Runs *work* once; what it returns is still held when memory is read."""
    gc.collect()
    before, cpu, start = rss(), time.process_time(), time.perf_counter()
    kept = work()
    seconds, used = time.perf_counter() - start, time.process_time() - cpu
    grown = rss() - before
    del kept
    return Measured(seconds, used, grown)


def in_child(script: str, *arguments: object) -> Measured | None:
    """As :func:`ask_child`, for a child that prints a :class:`Measured`."""
    answer = ask_child(script, *arguments)
    return None if answer is None else Measured(*answer)


def ask_child(script: str, *arguments: object) -> Any:
    """The JSON that ``script --child ...`` prints last; ``None``, and a word, when it fails.

    A fresh process: the memory, the garbage and the caches of one variant touch no other.
    """
    command = [sys.executable, script, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"failed: {arguments[0]}: {last}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def wait_for_quiet(most: float) -> float:
    """Waits at most *most* seconds for a quiet machine; returns the load average."""
    until = time.monotonic() + most
    while os.getloadavg()[0] >= QUIET and time.monotonic() < until:
        time.sleep(min(2.0, max(0.0, until - time.monotonic())))
    return os.getloadavg()[0]


def interleave(
    names: Sequence[str], rounds: int, wait: float, run: Callable[[str], Measured | None]
) -> dict[str, list[Measured | None]]:
    """Every variant once per round, in random order, so that a slow minute hits all alike."""
    found: dict[str, list[Measured | None]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        load = wait_for_quiet(wait)
        print(f"round {number} of {rounds}, load average {load:.2f}", file=sys.stderr)
        for name in random.sample(names, len(names)):
            found[name].append(run(name))
    return found


def spread(values: Sequence[float], digits: int = 1) -> str:
    """``median [min..max]``."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def paired(mine: Sequence[Measured | None], other: Sequence[Measured | None]) -> float | None:
    """Median of the ratios of each round."""
    both = [(a, b) for a, b in zip(mine, other, strict=True) if a is not None and b is not None]
    return statistics.median(a.seconds / b.seconds for a, b in both) if both else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns; the first one left, the others right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "  ".join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))])
