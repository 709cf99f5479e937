"""Many random cases with one seed."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .cases import Case
from .check import Counts, check
from .expressions import expression_modules
from .programs import program_modules

KINDS = {"expressions": expression_modules, "programs": program_modules}


def campaign(kind: str, count: int, number: int, opt_levels: tuple[int, ...] = (0, 1), shrink: bool = True) -> Counts:
    """`count` modules of a kind at each level; equal numbers give equal modules. Raises Difference for the smallest found."""
    counts = Counts()
    strategy: st.SearchStrategy[Case] = KINDS[kind]()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    @seed(number)
    @given(strategy)
    def every_step_agrees(case: Case) -> None:
        for level in opt_levels:
            check(case, level, counts)

    every_step_agrees()
    return counts
