"""Applies each defect to a copy of the sources and runs the tests that must notice it.

``python -m tests.mutations.mutate`` runs them all; names choose some. It ends with 1 when a mutant
survives: then a test is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, SRC, Mutant

#: Seconds after which the tests of one mutant are ended; a mutant that hangs is noticed too.
PATIENCE = 600.0


@attrs.frozen
class Verdict:
    """What became of one mutant.

    Attributes:
        mutant: which.
        killed: a test noticed it.
        by: the first that did, or why it counts.
        seconds: how long that took.
    """

    mutant: Mutant
    killed: bool
    by: str
    seconds: float

    def __str__(self) -> str:
        word = "killed" if self.killed else "SURVIVED"
        return f"{word:8} {self.seconds:5.0f} s  {self.mutant.name}: {self.by}"


def judge(mutant: Mutant) -> Verdict:
    """Runs the tests of one mutant against a copy of the sources."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="batchkit-mutant-") as folder:
        copy = Path(folder, "src")
        shutil.copytree(SRC, copy, ignore=shutil.ignore_patterns("__pycache__"))
        mutated = copy / mutant.path.relative_to(SRC)
        mutated.write_text(mutant.apply(mutated.read_text()))
        killed, by = _run(mutant.tests, copy)
    return Verdict(mutant, killed, by, time.monotonic() - begun)


def _run(tests: tuple[str, ...], copy: Path) -> tuple[bool, str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    # A test that hangs ends the process: a thread of its run would keep it alive.
    command += ["-m", "not slow", "-W", "ignore", "-o", "timeout_method=thread", *tests]
    env = {**os.environ, "PYTHONPATH": str(copy), "HYPOTHESIS_STORAGE_DIRECTORY": str(copy)}
    try:
        done = subprocess.run(
            command, cwd=SRC.parent, env=env, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return True, "the tests hang"
    red = [line for line in done.stdout.splitlines() if line.startswith(("FAILED t", "ERROR t"))]
    if done.returncode == 1:
        return True, red[0].partition(" ")[2].partition(" - ")[0] if red else "a test hangs"
    if done.returncode == 0:
        return False, "no test of " + ", ".join(tests)
    raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr}")


def main() -> int:
    """Judges the mutants that were named, or all; 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.names or any(n in m.name for n in options.names)]
    begun, survivors = time.monotonic(), 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(judge, chosen):
            print(verdict, flush=True)
            survivors += not verdict.killed
    spent = time.monotonic() - begun
    print(f"{len(chosen)} mutants, {survivors} survived, {spent:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
