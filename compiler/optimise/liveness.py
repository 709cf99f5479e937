"""Which frame slots are still needed after each step of a function.

Sets of slots are bit masks: bit i stands for frame slot i.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..format.isa import Slot, Step
from ..format.operations import CALL, NEXT, OPERATIONS, RETURN, TAIL
from ..lower.code import Code, falls_through, labels_of
from ..wasm.module import FuncType


@dataclass
class Effects:
    """What steps read and write in a function's frame. types: function index -> type, for calls. frame_size: slots; passes
    may add to it."""

    types: Mapping[int, FuncType]
    results: int
    frame_size: int

    def reads(self, step: Step) -> int:
        mask = frame_bit(step.a) | frame_bit(step.b)
        if step.c is not None or step.d is not None:
            mask |= frame_bit(step.c) | frame_bit(step.d)
        control = OPERATIONS[step.op].control
        if control == NEXT:
            return mask
        if control == RETURN:
            mask |= (1 << self.results) - 1
        elif control == CALL:
            mask |= ((1 << len(self.callee_type(step).params)) - 1) << step.imm
        elif control == TAIL:
            mask |= (1 << len(self.callee_type(step).params)) - 1
        return mask

    def writes(self, step: Step) -> int:
        """Slots whose value from before is gone: a call leaves nothing of its frame as it was."""
        if OPERATIONS[step.op].control == CALL:
            return ((1 << self.frame_size) - 1) >> step.imm << step.imm
        return frame_bit(step.dest)

    def callee_type(self, step: Step) -> FuncType:
        if step.type is not None:
            return step.type
        assert step.callee is not None
        return self.types[step.callee]


def frame_bit(slot: Slot | None) -> int:
    return 1 << slot.index if slot is not None and slot.kind == "frame" else 0  # type: ignore[operator]


def straight_runs(code: Code) -> list[range]:
    """The steps cut behind every step that goes elsewhere, and before every step that something goes to."""
    steps = code.steps
    starts = {0} | {code.labels[label] for label in code.target_counts()}
    # What has a target goes elsewhere, or not: it is a run's last step in either case.
    starts |= {
        i + 1
        for i, step in enumerate(steps)
        if step.target is not None or step.targets or not OPERATIONS[step.op].falls_through
    }
    bounds = [*sorted(start for start in starts if start < len(steps)), len(steps)]
    return [range(a, b) for a, b in pairwise(bounds)]


def successors_of(code: Code, runs: list[range]) -> list[list[int]]:
    """For each run the numbers of those that may follow it."""
    number = {run.start: k for k, run in enumerate(runs)}
    found = []
    for k, run in enumerate(runs):
        last = code.steps[run.stop - 1]
        following = {number[code.labels[label]] for label in labels_of(last)}
        if falls_through(last) and k + 1 < len(runs):
            following.add(k + 1)
        found.append(sorted(following))
    return found


def live_after(code: Code, effects: Effects, optional: Sequence[bool] = ()) -> list[int]:
    """For each step the slots that may be read behind it before they are written.

    optional: steps that read nothing if what they write is not read (copies that can go).
    """
    steps = code.steps
    reads = [effects.reads(step) for step in steps]
    keeps = [~effects.writes(step) for step in steps]
    runs = straight_runs(code)
    successors = successors_of(code, runs)
    predecessors: list[list[int]] = [[] for _ in runs]
    for k, following in enumerate(successors):
        for other in following:
            predecessors[other].append(k)
    before = [0] * len(runs)
    after = [0] * len(steps)
    pending = list(range(len(runs)))
    waits = [True] * len(runs)
    while pending:
        k = pending.pop()
        waits[k] = False
        live = 0
        for other in successors[k]:
            live |= before[other]
        for i in reversed(runs[k]):
            after[i] = live
            if not (optional and optional[i] and not live & ~keeps[i]):
                live = reads[i] | live & keeps[i]
        if live != before[k]:
            before[k] = live
            for other in predecessors[k]:
                if not waits[other]:
                    waits[other] = True
                    pending.append(other)
    return after
