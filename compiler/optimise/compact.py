"""Slots that nothing uses any more leave the frame, so that a call moves it by less and recursion can go deeper."""

from __future__ import annotations

from ..format.isa import Slot
from ..lower.lower import LoweredFunction
from .liveness import Effects, frame_bit


def compact(function: LoweredFunction, effects: Effects) -> None:
    """Renumber the frame slots of a function, keeping their order, and set its frame size."""
    code = function.code
    used = (1 << max(function.parameters, effects.results, 1)) - 1
    for step in code.steps:
        used |= frame_bit(step.a) | frame_bit(step.b) | frame_bit(step.c) | frame_bit(step.d) | frame_bit(step.dest)
        if step.operation.calls:
            type_ = effects.callee_type(step)
            used |= ((1 << max(len(type_.params), len(type_.results))) - 1) << step.imm
        elif step.operation.tail:
            used |= (1 << len(effects.callee_type(step).params)) - 1
    # By slot: how many slots in use are below it.
    below = [0]
    for slot in range(effects.frame_size):
        below.append(below[-1] + (used >> slot & 1))

    def moved(slot: Slot | None) -> Slot | None:
        return Slot("frame", below[int(slot.index)]) if slot is not None and slot.kind == "frame" else slot

    for i, step in enumerate(code.steps):
        imm = below[step.imm] if step.operation.calls else step.imm
        slots = {name: moved(getattr(step, name)) for name in ("a", "b", "c", "d", "dest")}
        code.steps[i] = step.but(imm=imm, **slots)
    function.frame_size = below[effects.frame_size]
