"""Plays seeds of the simulation: ``python -m tests.simulation.run --seed 7``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sim_loop import SimulationError, simulate
from sim_plan import Mode


def main() -> int:
    """Plays what was asked for; 1 when a seed failed."""
    options = parse()
    modes: tuple[Mode, ...] = (options.mode,) if options.mode else ("safety", "liveness")
    if options.seed is not None:
        return play([options.seed], modes, options)
    endless = options.minutes is not None and options.seeds is None
    seeds = sys.maxsize if endless else options.seeds or 300
    return play(range(options.start, options.start + seeds), modes, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, help="how many; 300, or as many as --minutes allow")
    parser.add_argument("--minutes", type=float, help="stop after that long")
    parser.add_argument("--mode", choices=("safety", "liveness"), help="otherwise both")
    parser.add_argument("--storage", help="memory, or a file as {folder}/batch.db")
    parser.add_argument("--all", action="store_true", help="go on after a failure")
    return parser.parse_args()


def play(seeds: range | list[int], modes: tuple[Mode, ...], options: argparse.Namespace) -> int:
    tally, failed, begun = Counter[str](), list[str](), time.monotonic()
    for seed in seeds:
        for mode in modes:
            try:
                tally += simulate(seed, mode, options.storage)
            except SimulationError as exc:
                failed.append(f"{mode} {seed}: {str(exc).splitlines()[0]}")
                if not options.all:
                    print(exc)
            tally["played"] += 1
        late = options.minutes is not None and time.monotonic() - begun > options.minutes * 60
        if late or (failed and not options.all):
            break
    spent = time.monotonic() - begun
    print(f"{spent:.1f} s, {tally['played'] / spent:.1f} seeds/s, {len(failed)} failed")
    print(", ".join(f"{count} {what}" for what, count in sorted(tally.items())))
    print(*failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
