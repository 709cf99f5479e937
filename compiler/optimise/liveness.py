"""Which frame slots are still needed after each step of a function.

Sets of slots are bit masks: bit i stands for frame slot i.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..format.isa import Slot, Step
from ..lower.code import Code, falls_through, labels_of
from ..wasm.module import FuncType


@dataclass(frozen=True)
class Effects:
    """What steps read and write in a function's frame. types: function index -> type, for calls."""

    types: Mapping[int, FuncType]
    results: int
    frame_size: int

    def reads(self, step: Step) -> int:
        mask = 0
        for slot in (step.a, step.b, step.c):
            mask |= frame_bit(slot)
        if step.op == "return":
            mask |= (1 << self.results) - 1
        elif step.operation.calls:
            mask |= ((1 << len(self.callee_type(step).params)) - 1) << step.imm
        return mask

    def writes(self, step: Step) -> int:
        """Slots whose value from before is gone: a call leaves nothing of its frame as it was."""
        if step.operation.calls:
            return ((1 << self.frame_size) - 1) >> step.imm << step.imm
        return frame_bit(step.dest)

    def callee_type(self, step: Step) -> FuncType:
        if step.type is not None:
            return step.type
        assert step.callee is not None
        return self.types[step.callee]


def frame_bit(slot: Slot | None) -> int:
    return 1 << int(slot.index) if slot is not None and slot.kind == "frame" else 0


def live_after(code: Code, effects: Effects) -> list[int]:
    """For each step the slots that may be read behind it before they are written."""
    steps = code.steps
    reads = [effects.reads(step) for step in steps]
    keeps = [~effects.writes(step) for step in steps]
    targets = [[code.labels[label] for label in labels_of(step)] for step in steps]
    before = [0] * (len(steps) + 1)
    after = [0] * len(steps)
    changed = True
    while changed:
        changed = False
        for i in range(len(steps) - 1, -1, -1):
            live = before[i + 1] if falls_through(steps[i]) else 0
            for target in targets[i]:
                live |= before[target]
            after[i] = live
            live = reads[i] | live & keeps[i]
            if live != before[i]:
                before[i] = live
                changed = True
    return after
