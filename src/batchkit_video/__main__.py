"""Starts the command line, once it is sure that ``batchkit`` is really ours.

Another distribution, by another vendor, is called ``batchkit`` on PyPI and writes into the same
import folder. Whichever was installed last wins, file by file; this package has a name of its own,
so that somebody is left to notice.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from batchkit_video._package import both, find_fault, language_in


def main(args: Sequence[str] | None = None) -> int:
    """The command ``batchkit``.

    Args:
        args: the words after the program's name; by default those it was called with.

    Returns:
        the exit code, unless the command line has ended the process itself.
    """
    words = list(sys.argv[1:] if args is None else args)
    lang, rest = language_in(words)
    # Before anything of batchkit is touched: it has to work when batchkit does not.
    if sorted(rest) in (["doctor"], ["--json", "doctor"]):
        from batchkit_video._doctor import examine

        return examine(lang, as_json="--json" in rest)
    if (fault := find_fault(lang)) is not None:
        sys.stderr.write(f"{both(lang, 'Error', 'Erro')}: {fault}\n")
        return 2
    from batchkit.cli import main as run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
