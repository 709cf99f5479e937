"""Who calls whom in a step program: how deep frames can lie on each other."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.isa import Program
from ..format.limits import FRAME_LIMIT


@dataclass(frozen=True)
class CallGraph:
    """Functions by their index in `Program.functions`.

    callees: of each function, once for each call step. order: callers stand before their callees; functions that can
    call themselves, directly or through others, and what only they call, stand last in no particular order.
    recursive: whether there are such. indirect: whether anything is called through a reference.
    """

    callees: dict[int, list[int]]
    order: list[int]
    recursive: bool
    indirect: bool


def call_graph(program: Program) -> CallGraph:
    """In time linear in the number of steps, however long a chain of calls is."""
    callees: dict[int, list[int]] = {}
    callers = dict.fromkeys(program.functions, 0)  # call steps that have not been passed yet
    indirect = False
    for f in program.functions.values():
        steps = program.steps[f.entry : f.end]
        indirect = indirect or any(step.type is not None for step in steps)
        callees[f.index] = [step.callee for step in steps if step.callee is not None]
        for callee in callees[f.index]:
            callers[callee] += 1
    order = [index for index, count in callers.items() if not count]
    for index in order:  # grows while it is read
        for callee in callees[index]:
            callers[callee] -= 1
            if not callers[callee]:
                order.append(callee)
    rest = [index for index, count in callers.items() if count]
    return CallGraph(callees, order + rest, bool(rest), indirect)


def frame_limit(program: Program) -> int:
    """FRAME_LIMIT, or less where no call can be recursive: short keys leave real softmax more room."""
    calls = call_graph(program)
    if calls.recursive or calls.indirect:
        return FRAME_LIMIT
    depth: dict[int, int] = {}
    for index in reversed(calls.order):
        below = max((depth[c] for c in calls.callees[index]), default=0)
        depth[index] = program.functions[index].frame_size + below
    used = max(depth.values(), default=0)
    return min(FRAME_LIMIT, max(64, 2 * used + 64))


__all__ = ["CallGraph", "call_graph", "frame_limit"]
