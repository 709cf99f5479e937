"""A sample of `make mutants`: every changed step is told, or shown to change nothing."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.mutants.equivalence import EQUIVALENT
from tests.mutants.examine import examine
from tests.programs import load_programs


@pytest.mark.parametrize(
    ("name", "level"), [("gcd", 0), ("gcd", 1), ("fibonacci_recursive", 1), ("siphash", 1), ("bulk", 1)]
)
def test_every_mutant_is_told_or_the_same_program(name: str, level: int):
    (case,) = (p for p in load_programs() if p.id == name)
    tally = examine(case, level, limit=6, full=1, rng=random.Random(f"{name} {level}"))
    assert tally.left == []
    assert tally.made.total() == tally.told.total() + tally.equivalent.total() > 30
    assert set(tally.equivalent) <= set(EQUIVALENT)
