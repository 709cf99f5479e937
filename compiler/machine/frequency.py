"""How often a step may run, estimated from the program's shape: it decides which jumps get a short encoding, nothing else."""

from __future__ import annotations

from itertools import accumulate

from ..format.isa import Program
from .call_graph import CallGraph

PER_LOOP = 8.0  # runs of a loop's body for one of the loop
DEEPEST = 6  # loops inside of each other that are told apart
MOST = 1e12
REFERENCED = 8.0  # calls of a function that is called through references


def frequencies(program: Program, calls: CallGraph) -> list[float]:
    """For each step: 8 for each loop around it, times the same for the places that its function is called from."""
    steps = program.steps
    result = [PER_LOOP ** min(depth, DEEPEST) for depth in _loop_depths(program)]
    runs = dict.fromkeys(program.functions, 0.0) | dict.fromkeys(program.references.values(), REFERENCED)
    inside = [False] * len(steps)
    for f in program.functions.values():
        inside[f.entry : f.end] = [True] * (f.end - f.entry)
    for step, known in zip(steps, inside, strict=True):
        if step.callee is not None and not known:
            runs[step.callee] += 1.0
    for index in calls.order:  # callers first
        f = program.functions[index]
        for i in range(f.entry, f.end):
            result[i] = min(result[i] * max(runs[index], 1.0), MOST)
            callee = steps[i].callee
            if callee is not None:
                runs[callee] += result[i]
    return result


def _loop_depths(program: Program) -> list[int]:
    """Of each step: the backward jumps' targets whose last jump stands behind it. Two jumps to one place are one loop."""
    last: dict[int, int] = {}
    for index, step in enumerate(program.steps):
        for target in (step.target, *step.targets):
            if target is not None and target <= index:
                last[target] = index
    change = [0] * (len(program.steps) + 1)
    for first, end in last.items():
        change[first] += 1
        change[end + 1] -= 1
    return list(accumulate(change[:-1]))


__all__ = ["frequencies"]
