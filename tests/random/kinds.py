"""The generators by name."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from .case import Case
from .check import Tally, run, run_steps
from .exceptions import exceptions
from .expressions import expressions
from .structured import structured
from .ttf import ttf

KINDS: dict[str, Callable[[int], Case]] = {
    "expressions": expressions, "structured": structured, "exceptions": exceptions, "ttf": ttf,
}  # fmt: skip


def run_seed(kind: str, seed: int, opt_level: int, weights: bool = True) -> Tally:
    """Makes and runs one case. An error counts as a difference: no valid module may make any part fail."""
    try:
        return (run if weights else run_steps)(KINDS[kind](seed), opt_level)
    except Exception:
        return Tally(diverged=[traceback.format_exc()])


Job = tuple[str, int, int, bool]  # kind, seed, level, whether weights are made


def run_job(job: Job) -> tuple[Job, Tally]:
    """For the processes of a pool."""
    return job, run_seed(*job)
