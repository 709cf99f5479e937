"""The generators by name."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from .case import Case
from .check import Tally, run, run_steps
from .exceptions import exceptions
from .expressions import expressions
from .loops import loops
from .structured import structured
from .together import together
from .ttf import ttf
from .ttf3 import ttf3, ttf_gc

KINDS: dict[str, Callable[[int], Case]] = {
    "expressions": expressions, "structured": structured, "loops": loops, "exceptions": exceptions, "ttf": ttf,
    "ttf3": ttf3, "ttf_gc": ttf_gc,
}  # fmt: skip


def run_seed(kind: str, seed: int, opt_level: int, weights: bool = True) -> Tally:
    """Makes and runs one case. An error counts as a difference: no valid module may make any part fail."""
    try:
        return (run if weights else run_steps)(KINDS[kind](seed), opt_level)
    except Exception:
        return Tally(diverged=[traceback.format_exc()])


def run_together(kind: str, seeds: Sequence[int], opt_level: int) -> Tally:
    """The cases of these seeds as one module. What is not as it should be there is tried again, each by itself."""
    failed = ""
    try:
        cases = [case for case in (KINDS[kind](seed) for seed in seeds) if case.calls]
        tally = run(together(cases), opt_level)
        if tally.modules and not tally.diverged and not tally.unfinished:
            tally.modules = len(cases)
            return tally
        failed = "\n".join(tally.diverged)
    except Exception:
        failed = traceback.format_exc()
    alone = Tally()
    for seed in seeds:
        alone.add(run_seed(kind, seed, opt_level))
    if failed and not alone.diverged:
        alone.diverged.append(f"seeds {seeds[0]} to {seeds[-1]} as one module, none of them alone: {failed}")
    return alone


Job = tuple[str, Sequence[int], int, bool]  # kind, seeds, level, whether weights are made


def run_job(job: Job) -> Tally:
    """The item of a campaign."""
    kind, seeds, level, weights = job
    return run_seed(kind, seeds[0], level, weights) if len(seeds) == 1 else run_together(kind, seeds, level)
