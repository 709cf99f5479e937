"""Copies within the frame that are not needed: nobody reads them, or the value is there already."""

from __future__ import annotations

from ..format.isa import Slot, Step
from ..lower.code import Code
from .liveness import Effects, frame_bit, live_after


def is_copy(code: Code, step: Step) -> bool:
    """Whether the step only copies a value into the frame, and does not stand for a computation."""
    return step.op == "mov" and step.dest is not None and step.dest.kind == "frame" and step.site not in code.computed


def remove_dead_copies(code: Code, effects: Effects, first: int | None = None) -> None:
    """Remove copies into slots that are not read before they are written again, unless by copies that go themselves.

    first: only among that many steps.
    """
    optional = [is_copy(code, step) and (first is None or i < first) for i, step in enumerate(code.steps)]
    after = live_after(code, effects, optional)
    kept = [
        not may_go or bool(frame_bit(step.dest) & live)
        for may_go, step, live in zip(optional, code.steps, after, strict=True)
    ]
    code.remove(kept, "dead copy")


def remove_redundant_copies(code: Code, effects: Effects) -> None:
    """Remove copies into slots that hold the same value already, as far as straight runs of steps show it."""
    entered = {code.labels[label] for label in code.target_counts()}
    kept = [True] * len(code.steps)
    values: dict[Slot, int] = {}  # slots with the same number hold the same value
    count = 0
    for i, step in enumerate(code.steps):
        if i in entered:
            values.clear()
        if step.op == "mov" and step.a is not None and step.dest is not None:
            if step.a not in values:
                values[step.a] = count = count + 1
            if values.get(step.dest) == values[step.a] and is_copy(code, step):
                kept[i] = False
            values[step.dest] = values[step.a]
            continue
        if step.operation.calls:
            overwritten = effects.writes(step)
            values = {s: v for s, v in values.items() if s.kind == "frame" and not frame_bit(s) & overwritten}
        elif step.dest is not None:
            values.pop(step.dest, None)
    code.remove(kept, "redundant copy")
