"""Slots that nothing uses any more leave the frame, so that a call moves it by less and recursion can go deeper."""

from __future__ import annotations

from itertools import accumulate

from ..format.isa import Slot
from ..format.operations import OPERATIONS
from ..lower.lower import LoweredFunction
from .liveness import Effects, frame_bit


def compact(function: LoweredFunction, effects: Effects) -> None:
    """Renumber the frame slots of a function, keeping their order, and set its frame size."""
    code = function.code
    used = (1 << max(function.parameters, effects.results, 1)) - 1
    for step in code.steps:
        used |= frame_bit(step.a) | frame_bit(step.b) | frame_bit(step.dest)
        if step.c is not None or step.d is not None:
            used |= frame_bit(step.c) | frame_bit(step.d)
        operation = OPERATIONS[step.op]
        if operation.calls:
            type_ = effects.callee_type(step)
            used |= ((1 << max(len(type_.params), len(type_.results))) - 1) << step.imm
        elif operation.tail:
            used |= (1 << len(effects.callee_type(step).params)) - 1
    # By slot: how many slots in use are below it.
    below = list(accumulate((used >> slot & 1 for slot in range(effects.frame_size)), initial=0))
    size = effects.frame_size
    function.frame_size = effects.frame_size = below[size]
    if below[-1] == size:  # all of them are
        return
    slots = [Slot("frame", at) for at in below]

    def moved(slot: Slot | None) -> Slot | None:
        return slots[slot.index] if slot is not None and slot.kind == "frame" else slot  # type: ignore[index]

    for i, step in enumerate(code.steps):
        imm = below[step.imm] if OPERATIONS[step.op].calls else step.imm
        a, b, dest = moved(step.a), moved(step.b), moved(step.dest)
        if step.c is not None or step.d is not None:
            code.steps[i] = step.but(imm=imm, a=a, b=b, c=moved(step.c), d=moved(step.d), dest=dest)
        elif a != step.a or b != step.b or dest != step.dest or imm != step.imm:
            code.steps[i] = step.but(imm=imm, a=a, b=b, dest=dest)
