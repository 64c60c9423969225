"""A mutant that no longer fits its source would test nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from mutants import MUTANTS, SRC, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_fits_and_compiles(mutant: Mutant) -> None:
    text = mutant.path.read_text()
    mutated = mutant.apply(text)
    assert mutated != text
    compile(mutated, str(mutant.path), "exec")
    for name in mutant.tests:
        assert (SRC.parent / name).exists()


def test_names_tell_them_apart() -> None:
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
