"""Small functions in the place of their calls, in loops and in themselves: no token for the call and for the return at the end.

A callee's frame lies in its caller's, at its arguments, so its steps are copied as they are with their slots moved up by the
call's `imm`. What is copied are functions as the other passes leave them; nothing is done to the copies, and `Inlined` says where
they are, so each can be compared with the function's instructions as the function itself is. A function may stand in itself, once
deep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..format.isa import EXCEPTION_REGISTER, Inlined, Site, Slot, Step
from ..format.limits import FRAME_SIZE_LIMIT
from ..lower.code import Code
from ..lower.lower import LoweredFunction
from .coalesce import loop_depths

# Steps of a callee, which is called in a loop, or by itself; it has more than a return.
_CALLEE = 16
EXCEPTION = Slot("hidden", EXCEPTION_REGISTER)
# Steps that a function may come to have more.
_GROWTH = 160


def inline(lowered: Sequence[LoweredFunction]) -> None:
    """In place. Linked routines stay as they are, and what they are called by calls them."""
    before = {f.index: (_copy(f.code), f.frame_size) for f in lowered if not f.internal and _may_move(f.code)}
    gone = set[Site]()  # no copy of an instruction says that it was there, if one of them does not: calls, returns
    for function in lowered:
        if not function.internal:
            for callee in _into(function, before, gone):
                gone |= {s.site for s in before[callee][0].steps if s.op == "return" and s.site is not None}
    for function in lowered:
        for step in function.code.steps:
            if step.site in gone:
                function.code.fold(step.site, "inlined call")


def _may_move(code: Code) -> bool:
    """A tail call would take the place of whoever the steps stand in; what throws seldom runs; and without a step before its
    first call that answers for an instruction, calls could follow one another without a record."""
    if any(step.operation.tail or step.dest == EXCEPTION for step in code.steps):
        return False
    first = next((i for i, step in enumerate(code.steps) if step.operation.calls), None)
    return first is None or any(step.site is not None for step in code.steps[:first])


def _copy(code: Code) -> Code:
    return replace(code, steps=list(code.steps), labels=dict(code.labels))


def _into(function: LoweredFunction, before: dict[int, tuple[Code, int]], gone: set[Site]) -> set[int]:
    """Returns which functions are in it then. gone: where the calls that are not there any more are added."""
    code = function.code
    depths, left = loop_depths(code), _GROWTH
    chosen: dict[int, Code] = {}
    for i, step in enumerate(code.steps):
        if step.op != "call" or step.site is None or step.callee not in before:
            continue
        callee, frame = before[step.callee]
        often = depths[i] > 0 or step.callee == function.index
        size = len(callee.steps)
        if not often or not 2 <= size <= min(_CALLEE, left) or step.imm + frame > min(FRAME_SIZE_LIMIT, 256):
            continue
        left -= size
        chosen[i] = callee
        function.frame_size = max(function.frame_size, step.imm + frame)
    calls = [code.steps[i] for i in chosen]
    inside = {step.callee for step in calls if step.callee is not None}
    gone |= {step.site for step in calls if step.site is not None}
    if chosen:
        _replace_calls(code, chosen)
    return inside


def _replace_calls(code: Code, chosen: dict[int, Code]) -> None:
    """chosen: the callee's code by the number of the step that calls it."""
    steps: list[Step] = []
    position: list[int] = []
    inlined: list[Inlined] = []
    labels: dict[int, int] = {}
    for i, step in enumerate(code.steps):
        position.append(len(steps))
        if i not in chosen:
            steps.append(step)
            continue
        callee = chosen[i]
        assert step.callee is not None and step.site is not None
        code.fold(step.site, "inlined call")
        start, end = len(steps), code.new_label()
        names = {name: code.new_label() for name in callee.labels}
        body = _body(callee, step.imm, names, end)
        steps += body
        labels |= {names[name]: start + min(at, len(body)) for name, at in callee.labels.items()}
        labels[end] = len(steps)
        inlined.append(Inlined(start, len(steps), step.callee, step.imm, step.site))
    position.append(len(steps))
    code.labels = {name: position[at] for name, at in code.labels.items()} | labels
    code.steps, code.inlined = steps, inlined


def _body(callee: Code, imm: int, names: dict[int, int], end: int) -> list[Step]:
    """The callee's steps in a frame that begins at slot `imm`; a return goes to the end, the last one is there."""
    body = []
    for step in callee.steps:
        if step.op == "return":
            body.append(Step("jump", target=end))
            continue
        slots = {name: _moved(getattr(step, name), imm) for name in ("a", "b", "c", "d", "dest")}
        target = None if step.target is None else names[step.target]
        step = step.but(target=target, targets=tuple(names[name] for name in step.targets), **slots)
        if step.operation.calls:
            step = step.but(imm=step.imm + imm)
        body.append(step.but(site=None) if step.site in callee.folded else step)  # as `Code.resolved` does
    if body[-1].op == "jump" and body[-1].target == end:
        body.pop()
    return body


def _moved(slot: Slot | None, imm: int) -> Slot | None:
    return Slot("frame", int(slot.index) + imm) if slot is not None and slot.kind == "frame" else slot
